//! Follow-up batches: made once at the end of the batch that asked for them.
//!
//! The tape marks it due in the transaction that closes the batch; the engine makes the batch. A batch has at most
//! one follow-up ever, and whole: its rows are written in the transaction that ends `due`.

use crate::store::Store;
use crate::store::backend::{Durability, all, count, insert_many, one, run};
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::quotas::QuotaAddition;
use crate::store::records::{BatchKey, BatchRecord, CreateBatch, NewBlock};
use crate::store::tape::{INSERT_BLOCKS, block_rows, initial, insert, to_record, width_for};

/// Follow-ups made in one round at most; the rest comes with the next.
const DUE_BATCHES: &str = "SELECT * FROM batches WHERE follow = 'due' ORDER BY id LIMIT 16";
/// Whoever changes the row first does it: the other finds nothing that is due.
const SETTLE: &str = "UPDATE batches SET follow = $2, reason = COALESCE($3, reason), rev = rev + 1 \
     WHERE id = $1 AND follow = 'due'";

/// Deleted ones too: what was due at the end is made.
const BY_KEY: &str = "SELECT * FROM batches WHERE id = $1";

/// A batch and what followed it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The batch that had ended.
    pub parent: BatchRecord,
    /// The one that was made.
    pub batch: BatchRecord,
}

impl Store {
    /// Batches that have ended and whose follow-up is to be made, oldest first.
    ///
    /// # Errors
    /// Outages.
    pub async fn follows_due(&self) -> Result<Vec<BatchRecord>, StoreError> {
        let due: Vec<batches::Model> = all(self.inner.backend.reader(), DUE_BATCHES, vec![]).await?;
        due.iter().map(to_record).collect()
    }

    /// Makes the follow-up of `parent`, whole and sealed; none where somebody has made it before.
    ///
    /// # Errors
    /// Outages.
    pub async fn follow(
        &self,
        parent: BatchKey,
        new: CreateBatch,
        blocks: &[NewBlock],
    ) -> Result<Option<Followed>, StoreError> {
        let mut batch = initial(&new, self.moment());
        let tx = self.inner.backend.write().await?;
        let settled = run(&tx, SETTLE, vec![parent.into(), "done".into(), None::<String>.into()]).await?;
        if settled == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        batch.total += blocks.iter().map(|block| i64::from(block.count)).sum::<i64>();
        batch.sealed = true;
        batch.cell_items = width_for(batch.total, 1);
        let more = QuotaAddition { is_batch: true, items: count(batch.total)?, bytes: 0 };
        self.within_quota(&tx, &new.owner, more).await?;
        insert(&tx, &mut batch).await?;
        let (rows, _end) = block_rows(batch.id, 1, blocks);
        insert_many(&tx, INSERT_BLOCKS, "", rows).await?;
        let parent: Option<batches::Model> = one(&tx, BY_KEY, vec![parent.into()]).await?;
        let parent = parent.ok_or(StoreError::NotFound("batch"))?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(Some(Followed { parent: to_record(&parent)?, batch: to_record(&batch)? }))
    }

    /// Says that the follow-up of `parent` cannot be made, and why; none where somebody has settled it before.
    ///
    /// # Errors
    /// Outages.
    pub async fn follow_fails(
        &self,
        parent: BatchKey,
        reason: String,
    ) -> Result<Option<BatchRecord>, StoreError> {
        let tx = self.inner.backend.write().await?;
        let settled = run(&tx, SETTLE, vec![parent.into(), "failed".into(), reason.into()]).await?;
        let row: Option<batches::Model> = one(&tx, BY_KEY, vec![parent.into()]).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        row.filter(|_row| settled > 0).map(|row| to_record(&row)).transpose()
    }
}
