//! Items of another batch that are kept for a schedule, so that they outlive it: its blocks, and rows that name the
//! contents of its files.
//!
//! They lie in the tables of the tape under the negative of the schedule's key, which no batch has. A row of a file is
//! written while one that names the same content is held by the row of its batch or schedule: neither is swept before it
//! is marked as deleted, and whoever marks it waits.

use sea_orm::DatabaseTransaction;

use crate::store::backend::{locking, row, run};
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, ScheduleKey, kept_key};

/// Keeps the inputs of `batch`, which is held by this to the end of the transaction.
///
/// # Errors
/// [`StoreError::NotFound`] where it has been deleted; outages.
pub async fn keep(
    tx: &DatabaseTransaction,
    batch: BatchKey,
    schedule: ScheduleKey,
) -> Result<(), StoreError> {
    let held = locking(tx, "SELECT id FROM batches WHERE id = $1 AND NOT deleted");
    if row(tx, &held, vec![batch.into()]).await?.is_none() {
        return Err(StoreError::NotFound("batch"));
    }
    copy(tx, batch, kept_key(schedule)).await
}

/// Copies the inputs of one to another, which has none: a statement for the blocks and one for the files, whatever their
/// number.
///
/// # Errors
/// Outages.
pub async fn copy(tx: &DatabaseTransaction, from: BatchKey, to: BatchKey) -> Result<(), StoreError> {
    let blocks = "INSERT INTO blocks (batch, first, count, payload) \
         SELECT CAST($2 AS BIGINT), first, count, payload FROM blocks WHERE batch = $1";
    let files = "INSERT INTO files (batch, seq, side, \"key\", name, bytes, media_type, blake3) \
         SELECT CAST($2 AS BIGINT), seq, side, \"key\", name, bytes, media_type, blake3 FROM files \
         WHERE batch = $1 AND side = 'input'";
    for text in [blocks, files] {
        run(tx, text, vec![from.into(), to.into()]).await?;
    }
    Ok(())
}
