//! The tape of a batch: its blocks, outcomes, counters, strip cells and families, moved in one transaction.

mod batch_transaction;
mod batches;
mod blocks;
mod budgets;
mod columns;
mod families;
mod follow_state;
mod ranges;
mod rows;
mod strip_cells;

pub use self::batch_transaction::{Again, Sums, TRIED_FIRST, Tape};
pub use self::batches::{INSERT_BLOCKS, block_rows, initial, insert, to_record};
pub use self::blocks::BlockCache;
pub use self::columns::{Columns, PLAIN_COLUMN};
pub use self::families::to_family;
pub use self::ranges::Ranges;
pub use self::strip_cells::{to_cell, width_for};
