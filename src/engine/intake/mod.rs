//! Items in: from a request to committed blocks.
//!
//! A batch is checked and created (`create`, `validate`), its items are gathered into blocks (`upload`, `block_buffer`)
//! and committed (`block_writer`). `settlement` finishes what a cut request or an absent database left open;
//! `follow_up` reads the batch that is to follow another.

mod block_buffer;
mod block_writer;
mod create;
pub mod follow_up;
pub mod settlement;
mod upload;
pub mod validate;

pub use self::settlement::{ClaimedKey, Debts, Empty};
pub use self::upload::Intake;
