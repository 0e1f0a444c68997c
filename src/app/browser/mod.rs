//! What only a browser does: its history, the live connection of its tab, uploads, and word of a panic.
//!
//! `no_browser.rs` has the same functions for the server, where they do nothing.

pub mod history;
pub mod live_tab;
mod panic;
pub mod upload;

pub use panic::panicked;
