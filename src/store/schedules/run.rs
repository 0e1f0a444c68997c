//! A batch of a schedule: made whole, in the transaction that moves the schedule on.

use sea_orm::DatabaseTransaction;

use super::inputs::copy;
use crate::fault::Point;
use crate::store::Store;
use crate::store::access::{KeyBinding, bind};
use crate::store::backend::{Durability, count, insert_many, int, row, run};
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::quotas::QuotaAddition;
use crate::store::records::{BatchKey, BatchRecord, CreateBatch, RunCause, RunClaim, WholeItems, kept_key};
use crate::store::tape::{INSERT_BLOCKS, block_rows, initial, insert, to_record, width_for};

/// Whoever changes the row first makes the batch: for the others the version has moved on.
const MOVE_ON: &str = "UPDATE schedules SET next_at = $2, waiting_for = $3, wake_at = $4, last_due_at = $5, \
     last_error = NULL, last_error_at = NULL, version = version + 1 \
     WHERE id = $1 AND version = $6 AND NOT deleted RETURNING uuid";
const ASKED: &str = "UPDATE schedules SET version = version + 1 WHERE id = $1 AND NOT deleted RETURNING uuid";

impl Store {
    /// Makes the batch that `claim` allows, whole and sealed, with `key` bound to it; none where it has been made, or the schedule has changed or
    /// is gone.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the key is another request's by now; [`StoreError::DiskFull`] while there is no room;
    /// outages.
    pub async fn create_scheduled(
        &self,
        new: CreateBatch,
        items: &WholeItems,
        claim: RunClaim,
        key: Option<&KeyBinding>,
    ) -> Result<Option<BatchRecord>, StoreError> {
        self.has_room()?;
        let made = self.create_scheduled_once(new, items, claim, key).await;
        self.gives_reserve(&made);
        made
    }

    async fn create_scheduled_once(
        &self,
        new: CreateBatch,
        items: &WholeItems,
        claim: RunClaim,
        key: Option<&KeyBinding>,
    ) -> Result<Option<BatchRecord>, StoreError> {
        let mut batch = initial(&new, self.moment());
        let tx = self.inner.backend.write().await?;
        let Some(schedule) = claimed(&tx, claim).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        batch.schedule = Some(schedule);
        batch.total += match items {
            WholeItems::Generated => 0,
            WholeItems::Blocks(blocks) => blocks.iter().map(|block| i64::from(block.count)).sum(),
            WholeItems::Kept(items) => int(*items),
        };
        batch.sealed = true;
        batch.cell_items = width_for(batch.total, 1);
        let more = QuotaAddition { is_batch: true, items: count(batch.total)?, bytes: 0 };
        self.within_quota(&tx, &new.owner, more).await?;
        insert(&tx, &mut batch).await?;
        fill(&tx, &batch, items, claim).await?;
        Point::ScheduleBetween.pass()?;
        let last = "UPDATE schedules SET last_batch = $2 WHERE id = $1";
        run(&tx, last, vec![claim.schedule.into(), BatchKey::into(batch.id)]).await?;
        let detail = format!("{} by schedule {}", batch.task, batch.schedule.as_deref().unwrap_or_default());
        self.sign(&tx, "batch.submit", &batch.uuid, &detail).await?;
        if let Some(key) = key {
            bind(&tx, key, &batch.uuid, self.steady()).await?;
        }
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(Some(to_record(&batch)?))
    }
}

/// Takes the right to make the batch, and holds the schedule; its id, or none where somebody was first.
async fn claimed(tx: &DatabaseTransaction, claim: RunClaim) -> Result<Option<String>, StoreError> {
    let found = match claim.cause {
        RunCause::Due { at, version, after } => {
            let time = |time: Option<crate::protocol::Timestamp>| time.map(|time| time.0).into();
            let values = vec![
                claim.schedule.into(),
                time(after.next_at),
                time(after.waiting_for),
                time(after.wake_at),
                at.0.into(),
                version.into(),
            ];
            row(tx, MOVE_ON, values).await?
        }
        RunCause::Asked => row(tx, ASKED, vec![claim.schedule.into()]).await?,
    };
    Ok(found.map(|row| row.try_get_by_index(0)).transpose()?)
}

async fn fill(
    tx: &DatabaseTransaction,
    batch: &batches::Model,
    items: &WholeItems,
    claim: RunClaim,
) -> Result<(), StoreError> {
    match items {
        WholeItems::Generated => Ok(()),
        WholeItems::Blocks(blocks) => {
            let (rows, _end) = block_rows(batch.id, 1, blocks);
            insert_many(tx, INSERT_BLOCKS, "", rows).await
        }
        WholeItems::Kept(_items) => copy(tx, kept_key(claim.schedule), batch.id).await,
    }
}
