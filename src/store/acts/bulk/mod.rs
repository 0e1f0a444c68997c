//! Acts over many batches: made, carried out one batch to a transaction, ended, listed, and no longer kept.
//!
//! The row of an act says how far it has come; it moves in the transaction that changes the batch, so whatever is killed,
//! no batch is acted on twice and none is forgotten.

mod change;
mod listing;
mod rows;
mod steps;

pub use self::change::{BulkAdded, CreateBulkAct};
pub use self::listing::{BulkFilter, NamedBatch};
pub use self::steps::BulkStep;
