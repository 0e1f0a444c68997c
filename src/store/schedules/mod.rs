//! Schedules: their rows, what is due, and the batches that they make.
//!
//! ```text
//! listing   by id, by page, by what is due      change   made, set, removed
//! row       a row as a record                   run      a batch of a schedule, in one transaction
//! inputs    items of another batch, kept
//! ```
//!
//! A batch that was due is made in the transaction that moves its schedule on, so there is one for each time at which it
//! was due, whoever looks and whoever is killed. What a pattern means is for others: here times are compared only.

mod change;
mod inputs;
mod listing;
mod row;
mod run;
