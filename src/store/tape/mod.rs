//! The tape of a batch: its blocks, outcomes, counters, strip cells, time buckets and families, moved in one transaction.

mod batch_row;
mod batch_transaction;
mod batches;
mod blocks;
mod budgets;
mod columns;
mod families;
mod follow_state;
mod meeting;
mod ranges;
mod rows;
mod strip_cells;

pub use self::batch_row::to_record;
pub use self::batch_transaction::{Requeue, TRIED_FIRST, Tape};
pub use self::batches::{INSERT_BLOCKS, block_rows, initial, insert};
pub use self::blocks::BlockCache;
pub use self::columns::{Columns, PLAIN_COLUMN};
pub use self::families::to_family;
pub use self::meeting::{ENDS_WITHIN, meeting_any, meets};
pub use self::ranges::Ranges;
pub use self::rows::insert_files;
pub use self::strip_cells::{STRIP_CELLS_MAX, to_cell, width_for};
