//! What only a browser does: the live connection of its tab, uploads, and word of a panic.
//!
//! `no_browser.rs` has the same functions for the server, where they do nothing.

pub mod live_tab;
mod panic;
pub mod upload;

pub use panic::panicked;
