//! Reads: items, lists of batches, files, changes since a revision, and the audit of a batch.

mod audit;
mod changes;
mod files;
mod items;
mod listing;
mod search;
mod sorted;

pub use self::changes::{Hints, Since, Standing};
