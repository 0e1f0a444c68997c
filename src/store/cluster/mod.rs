//! Nodes of a shared database, and how far what they run is.

mod nodes;
mod remote_progress;

pub use self::remote_progress::ProgressRecord;
