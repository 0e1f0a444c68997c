//! What people see: pages that are complete as server HTML and come alive with scripts.
//!
//! ```text
//! shell, routes   the document and its addresses      pages/       one file or folder per screen
//! bootstrap.js    starts the program in the browser   panic        tells it that the program has ended
//! actions/        server functions, thin doors        components/  pieces of pages, without server calls
//! live/           the browser's one connection        format       numbers and times as words
//! ```
//!
//! Called by server (HTML) and by the browser's entry in `lib.rs`. Invariant: the first HTML is the truth, and
//! what hydrates is equal to it. Deliberately knows no table and no socket: data comes by [`actions`] and `live`.

pub mod actions;
pub mod clock;
pub mod components;
pub mod live;
mod page_header;
pub mod pages;
#[cfg(feature = "hydrate")]
mod panic;
pub mod routes;
#[cfg(feature = "ssr")]
pub mod shell;
pub mod theme;
pub mod upload;

#[cfg(feature = "hydrate")]
pub use panic::panicked;
pub use routes::App;
#[cfg(feature = "ssr")]
pub use shell::{Assets, FAULTS_PATH, shell};
