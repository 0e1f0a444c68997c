//! What leaves the store and what goes in: plain values, one per row or act.
//!
//! Entities never leave the store, records do. No query is made here.

mod batch;
mod item;
mod lease;
mod list;
mod node;
mod schedule;

pub use self::batch::*;
pub use self::item::*;
pub use self::lease::*;
pub use self::list::*;
pub use self::node::*;
pub use self::schedule::*;
