//! File contents: where they are kept, and how what nobody names is swept away.

mod file_store;
mod sweep;

pub use self::file_store::{Draft, FileStore, Stored};
pub use self::sweep::SweepPlace;
