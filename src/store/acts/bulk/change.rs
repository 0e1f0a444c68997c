//! Acts over many that are asked for, ended before their end, and no longer kept.

use sea_orm::DatabaseTransaction;

use super::rows::{BulkRow, print_refusals, write};
use crate::protocol::limits::{BULK_ACTS_KEPT_MAX, BULK_ACTS_MAX, BULK_ACTS_PER_PERSON_MAX};
use crate::protocol::{BatchId, BulkAct, BulkActId, BulkState, Timestamp};
use crate::store::Store;
use crate::store::backend::{
    Durability, count, hold_name, in_keys, insert_many, int, list_value, locking, number, one, row, rows, run,
};
use crate::store::error::StoreError;
use crate::store::records::BatchKey;

/// Acts that are deleted in one transaction.
const DELETED_MAX: i64 = 500;

/// What is held while acts are counted and one is added.
const NAME: &str = "bulk_acts";

const INSERT: &str = "INSERT INTO bulk_acts (uuid, act, who, address, state, total, place, done, refused, refusals, \
     claimed_until, created_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, 0, $10, $11) RETURNING id";

/// An act over many that is to be carried out.
#[derive(Clone, Debug)]
pub struct CreateBulkAct {
    /// As it begins: what was refused at the door is refused already.
    pub act: BulkAct,
    /// From where it was asked for; empty where that has no meaning.
    pub address: String,
    /// The batches that it goes to, in order.
    pub batches: Vec<(BatchKey, BatchId)>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum BulkAdded {
    /// It runs.
    Made(BulkAct),
    /// As many of the same person run as may.
    FullForPerson,
    /// As many run in all as may.
    Full,
}

impl Store {
    /// Adds an act over many. Where nothing is left to be done, it has ended at once.
    ///
    /// # Errors
    /// Outages.
    pub async fn bulk_add(&self, new: &CreateBulkAct) -> Result<BulkAdded, StoreError> {
        self.with_reserve(|| self.bulk_add_once(new)).await
    }

    async fn bulk_add_once(&self, new: &CreateBulkAct) -> Result<BulkAdded, StoreError> {
        let mut act = new.act.clone();
        let tx = self.inner.backend.write().await?;
        hold_name(&tx, NAME).await?;
        if let Some(full) = full(&tx, &act.by).await? {
            return Ok(full);
        }
        forget_oldest(&tx, &act.by).await?;
        if new.batches.is_empty() {
            (act.state, act.ended_at) = (BulkState::Done, Some(act.created_at));
        }
        let values = vec![
            act.id.to_string().into(),
            act.act.as_str().into(),
            act.by.clone().into(),
            new.address.clone().into(),
            act.state.as_str().into(),
            int(act.total).into(),
            int(act.done).into(),
            int(act.refused).into(),
            print_refusals(&act).into(),
            act.created_at.0.into(),
            act.ended_at.map(|at| at.0).into(),
        ];
        let made = row(&tx, INSERT, values).await?;
        let key: i64 = made.ok_or(StoreError::NotFound("act"))?.try_get_by_index(0)?;
        let batches = (1_i64..).zip(&new.batches);
        let batches = batches.map(|(place, (batch, id))| {
            vec![key.into(), place.into(), (*batch).into(), id.to_string().into()]
        });
        let head = "INSERT INTO bulk_act_batches (act, place, batch, uuid)";
        insert_many(&tx, head, "", batches.collect()).await?;
        let detail = format!("{}, batches: {}", act.act.as_str(), act.total);
        self.sign(&tx, "act.begin", &act.id.to_string(), &detail).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(BulkAdded::Made(act))
    }

    /// Ends an act where it is: the step in hand is its last. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn bulk_abort(&self, id: BulkActId) -> Result<BulkAct, StoreError> {
        self.with_reserve(|| self.bulk_abort_once(id)).await
    }

    async fn bulk_abort_once(&self, id: BulkActId) -> Result<BulkAct, StoreError> {
        let tx = self.inner.backend.write().await?;
        let text = locking(&tx, "SELECT * FROM bulk_acts WHERE uuid = $1");
        let row: Option<BulkRow> = one(&tx, &text, vec![id.to_string().into()]).await?;
        let row = row.ok_or(StoreError::NotFound("act"))?;
        let mut act = row.to_act()?;
        if act.state != BulkState::Running {
            return Ok(act);
        }
        (act.state, act.ended_at) = (BulkState::Aborted, Some(self.now()));
        write(&tx, row.id, row.place, &act, (None, 0)).await?;
        self.sign(&tx, "act.abort", &act.id.to_string(), "").await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(act)
    }

    /// Deletes acts that ended before `oldest`, some at a time; false where none is left.
    ///
    /// # Errors
    /// Outages.
    pub async fn delete_bulk_acts(&self, oldest: Timestamp) -> Result<bool, StoreError> {
        let text = "SELECT id FROM bulk_acts WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY ended_at LIMIT $2";
        let values = vec![oldest.0.into(), DELETED_MAX.into()];
        let found = rows(self.inner.backend.reader(), text, values).await?;
        let keys: Vec<i64> = found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Ok(false);
        }
        let tx = self.inner.backend.write().await?;
        let text = format!("DELETE FROM bulk_acts WHERE id {}", in_keys(&tx, 1));
        run(&tx, &text, vec![list_value(&keys)]).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(true)
    }
}

/// Why one more may not run now, if so.
async fn full(tx: &DatabaseTransaction, who: &str) -> Result<Option<BulkAdded>, StoreError> {
    let text = "SELECT COUNT(*) FROM bulk_acts WHERE ended_at IS NULL";
    let running = count(number(tx, text, vec![]).await?.unwrap_or(0))?;
    let text = "SELECT COUNT(*) FROM bulk_acts WHERE ended_at IS NULL AND who = $1";
    let of_person = count(number(tx, text, vec![who.into()]).await?.unwrap_or(0))?;
    Ok(match (of_person >= BULK_ACTS_PER_PERSON_MAX, running >= BULK_ACTS_MAX) {
        (true, _) => Some(BulkAdded::FullForPerson),
        (false, true) => Some(BulkAdded::Full),
        (false, false) => None,
    })
}

/// Makes room for one more among those that are kept of a person.
async fn forget_oldest(tx: &DatabaseTransaction, who: &str) -> Result<(), StoreError> {
    let text = "SELECT id FROM bulk_acts WHERE who = $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
    let values = vec![who.into(), int(BULK_ACTS_KEPT_MAX - 1).into()];
    if let Some(oldest) = number(tx, text, values).await? {
        let text = "DELETE FROM bulk_acts WHERE who = $1 AND id <= $2 AND ended_at IS NOT NULL";
        run(tx, text, vec![who.into(), oldest.into()]).await?;
    }
    Ok(())
}
