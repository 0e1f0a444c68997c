//! Acts on a batch: at once, in steps, over many batches, and the batch that follows.

mod act_rows;
mod act_steps;
mod bulk;
mod follow_up;
mod retry;
mod verbs;

#[cfg(test)]
pub use self::act_rows::STEP_ROWS;
pub use self::bulk::{BulkAdded, BulkFilter, BulkStep, CreateBulkAct, NamedBatch};
pub use self::follow_up::Followed;
