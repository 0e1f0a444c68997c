//! Items run: one attempt at a time in each slot, and what is to be recorded of it.

mod attempt;
mod failure_family;
mod kept_files;
mod slot_loop;
mod verdict;

pub use self::slot_loop::SlotLoop;
