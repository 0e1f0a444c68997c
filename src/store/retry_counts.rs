//! What became of the items of the last retry: columns of the batch, moved with its other counters.
//!
//! A retry gives its items a generation of their own. Items that no retry took are of [`FIRST_GENERATION`], so an end is
//! one of the last retry exactly where its generation is the batch's.

use crate::protocol::{BatchRetry, ItemState, Timestamp};
use crate::store::backend::count;
use crate::store::entity::batches;
use crate::store::error::StoreError;

/// Generation of items that no retry took.
pub const FIRST_GENERATION: i64 = 1;

/// True where `generation` is that of the last retry. Of batches that were retried by an earlier version only, nothing is
/// known: they gave it to other items as well.
fn is_last(batch: &batches::Model, generation: i64) -> bool {
    batch.retry_at.is_some() && generation == batch.generation
}

/// A retry begins, asked for by `by` at `now`: it has taken nothing yet. The counts of the one before it end.
pub fn begin(batch: &mut batches::Model, by: Option<String>, now: i64) {
    batch.generation += 1;
    batch.retry_by = by;
    batch.retry_at = Some(now);
    batch.retry_items = 0;
    (batch.retry_succeeded, batch.retry_failed, batch.retry_cancelled) = (0, 0, 0);
}

/// A retry of `generation` takes items.
pub fn take(batch: &mut batches::Model, generation: i64, items: i64) {
    if is_last(batch, generation) {
        batch.retry_items += items;
    }
}

/// Items of `generation` end; below 0, they leave their end.
pub fn spread(batch: &mut batches::Model, generation: i64, state: ItemState, items: i64) {
    if !is_last(batch, generation) {
        return;
    }
    match state {
        ItemState::Succeeded => batch.retry_succeeded += items,
        ItemState::Failed => batch.retry_failed += items,
        ItemState::Cancelled => batch.retry_cancelled += items,
        ItemState::Pending | ItemState::Running | ItemState::Retrying => {}
    }
}

/// True where the counts can be: all ends are of items that were taken, and of a batch that has `finished` every one ended.
pub fn fit(batch: &batches::Model, finished: bool) -> bool {
    let ends = [batch.retry_succeeded, batch.retry_failed, batch.retry_cancelled];
    let ended: i64 = ends.iter().sum();
    let items = batch.retry_items;
    ends.iter().all(|count| *count >= 0)
        && ended <= items
        && items <= batch.total
        && (!finished || ended == items)
}

/// As it leaves the store; none before the first retry.
pub fn to_retry(batch: &batches::Model) -> Result<Option<BatchRetry>, StoreError> {
    let Some(at) = batch.retry_at else { return Ok(None) };
    Ok(Some(BatchRetry {
        by: batch.retry_by.clone().unwrap_or_default(),
        at: Timestamp(at),
        items: count(batch.retry_items)?,
        succeeded: count(batch.retry_succeeded)?,
        failed: count(batch.retry_failed)?,
        cancelled: count(batch.retry_cancelled)?,
    }))
}
