//! Open batches with a limit on how long nothing may be added: when that has passed.
//!
//! A row is written with the batch, moved on while something is added, and removed once the limit has passed or the
//! batch is no longer open. Whether a batch is ended is for the engine.

use sea_orm::{DatabaseTransaction, FromQueryResult};

use crate::store::Store;
use crate::store::backend::{Durability, all, int, run};
use crate::store::clock::Moment;
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, BatchRecord};

/// Batches looked at in one call; the rest comes with the next.
const DUE_MAX: u32 = 100;

/// A batch whose limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct IdleBatch {
    /// Which.
    pub batch: BatchKey,
    /// The limit.
    pub idle_ms: i64,
    /// True while more may be added to it.
    pub open: bool,
    /// True while the request that makes it has not ended.
    pub filling: bool,
}

/// Writes the row of a new batch, where its options have the limit.
pub async fn begin_idle(
    tx: &DatabaseTransaction,
    batch: BatchKey,
    idle_seconds: Option<u64>,
    now: Moment,
) -> Result<(), StoreError> {
    let Some(seconds) = idle_seconds else { return Ok(()) };
    let idle_ms = int(seconds.saturating_mul(1_000));
    let due = now.steady.plus_ms(idle_ms).0;
    let text = "INSERT INTO open_batches (batch, idle_ms, due) VALUES ($1, $2, $3)";
    run(tx, text, vec![batch.into(), idle_ms.into(), due.into()]).await?;
    Ok(())
}

impl Store {
    /// Something is being added to `batch`: its limit, if it has one, counts from now.
    ///
    /// # Errors
    /// Outages.
    pub async fn touch_open(&self, batch: &BatchRecord) -> Result<(), StoreError> {
        let Some(seconds) = batch.options.idle_seconds else { return Ok(()) };
        self.set_idle_due(batch.key, int(seconds.saturating_mul(1_000))).await
    }

    /// The limit of a batch counts from now.
    ///
    /// # Errors
    /// Outages.
    pub async fn set_idle_due(&self, batch: BatchKey, idle_ms: i64) -> Result<(), StoreError> {
        let due = self.steady().plus_ms(idle_ms).0;
        let tx = self.inner.backend.write().await?;
        run(&tx, "UPDATE open_batches SET due = $2 WHERE batch = $1", vec![batch.into(), due.into()]).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// Batches whose limit has passed, the first of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn idle_batches(&self) -> Result<Vec<IdleBatch>, StoreError> {
        let text = format!(
            "SELECT o.batch, o.idle_ms, COALESCE(NOT b.sealed AND b.finished_at IS NULL, FALSE) AS open, \
             COALESCE(b.intake_node IS NOT NULL, FALSE) AS filling \
             FROM open_batches o LEFT JOIN batches b ON b.id = o.batch WHERE o.due <= $1 ORDER BY o.due LIMIT {DUE_MAX}"
        );
        all(self.inner.backend.reader(), &text, vec![self.steady().0.into()]).await
    }

    /// The limit of a batch is of no use any more.
    ///
    /// # Errors
    /// Outages.
    pub async fn end_idle(&self, batch: BatchKey) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM open_batches WHERE batch = $1", vec![batch.into()]).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }
}
