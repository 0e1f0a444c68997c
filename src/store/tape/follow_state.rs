//! The state `follow` of a batch that another is to follow: `waits`, then `due` from the transaction that ends it.

use serde::Deserialize;

use crate::protocol::{BatchState, Options, ThenOn};
use crate::store::entity::batches;
use crate::store::error::StoreError;

/// The end has not come yet.
pub const WAITS: &str = "waits";
/// The end has come: the follow-up is to be made.
const DUE: &str = "due";
#[derive(Deserialize)]
struct Then {
    #[serde(default)]
    on: ThenOn,
}

/// Marks what is to follow a batch that ends so.
pub fn at_end(batch: &mut batches::Model, end: BatchState) -> Result<(), StoreError> {
    if batch.follow.as_deref() != Some(WAITS) {
        return Ok(());
    }
    let broken = |error| StoreError::Invariant(format!("options of batch {}: {error}", batch.id));
    let options: Options = serde_json::from_str(&batch.options).map_err(broken)?;
    let Some(then) = options.then else { return Ok(()) };
    let Then { on } = serde_json::from_str(then.as_str()).map_err(broken)?;
    let matches = match end {
        BatchState::Succeeded => true,
        BatchState::Failed => on == ThenOn::Finished,
        BatchState::Cancelled
        | BatchState::Scheduled
        | BatchState::Pending
        | BatchState::Running
        | BatchState::Paused
        | BatchState::Cancelling => false,
    };
    if matches {
        batch.follow = Some(DUE.to_owned());
    }
    Ok(())
}
