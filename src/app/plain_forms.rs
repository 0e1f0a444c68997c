//! What pages without scripts carry from one to the next: the question that one asks, and what a form has done.

/// What an address asks: a page with a question, or with fields that were behind a link, stays as it is.
pub const ASK: &str = "ask";

/// What an address has chosen of a list: a number each.
pub const CHOSEN: &str = "chosen";

/// The act that a form did before this page; the server provides it in context, where it was posted without scripts.
#[derive(Clone, Debug)]
pub struct DoneBefore(pub String);

/// The page stands at the address of a form that was refused: it comes without the program, and stays as it is. The server
/// provides it in context.
#[derive(Clone, Copy, Debug)]
pub struct RefusedForm;
