//! What a process writes: its lines, bounded, and what each of them says.
//!
//! ```text
//! lines      bytes into lines of a bounded length        mask       secrets taken out of them
//! interpret  what a line says, and the line that hands an item over   members, message   the members of one object
//! quota      how much one item may say
//! ```

mod interpret;
mod lines;
mod mask;
mod members;
mod message;
mod quota;

pub(super) use self::interpret::{failure, hand, read, refused, take_words};
pub(super) use self::lines::{Line, Lines};
pub(super) use self::mask::Mask;
pub(super) use self::message::Message;
pub use self::quota::OutputLimits;
