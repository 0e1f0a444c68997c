//! What people see: pages that are complete as server HTML and come alive with scripts.
//!
//! ```text
//! shell, routes   the document and its addresses      pages/       one file or folder per screen
//! actions/        server functions, thin doors        components/  pieces of pages, without server calls
//! live/           the browser's one connection        format       numbers and times as words
//! ```
//!
//! Called by server (HTML) and by the browser's entry in `lib.rs`. Invariant: the first HTML is the truth, and
//! what hydrates is equal to it. Deliberately knows no table and no socket: data comes by [`actions`] and `live`.

pub mod actions;
pub mod clock;
pub mod components;
pub mod format;
mod frame;
pub mod live;
pub mod pages;
pub mod routes;
#[cfg(feature = "ssr")]
pub mod shell;
pub mod theme;
pub mod upload;

pub use routes::App;
#[cfg(feature = "ssr")]
pub use shell::{Assets, shell};
