//! The steps of an act over many: one batch to a transaction, which moves the act's own row as well.
//!
//! One node carries an act out, for as long as it goes on with it; another takes over where it has stopped. That they
//! agree is not needed for the act to be exact: whoever steps holds the act's row.

use sea_orm::DatabaseTransaction;

use super::rows::{BulkRow, write};
use crate::fault::Point;
use crate::protocol::{BatchAct, BatchId, BulkReason, BulkState, RetryRequest, Running};
use crate::store::Store;
use crate::store::access::Signature;
use crate::store::backend::{Durability, locking, one, row, rows};
use crate::store::error::StoreError;
use crate::store::records::{BatchChange, BatchKey};
use crate::store::tape::Tape;

/// For so long the others leave an act to the node that has stepped it, in ms.
const CLAIM_MS: i64 = 5_000;
/// Acts that are stepped in one round: all that may run.
const ROUND_MAX: u64 = crate::protocol::limits::BULK_ACTS_MAX;
/// By what an act comes to a batch, in the log.
const VIA: &str = "act";

/// What a step has done.
#[derive(Debug)]
pub struct BulkStep {
    /// What was done.
    pub act: BatchAct,
    /// The batch after it; none where it was left as it is, or the act has come to its end.
    pub change: Option<BatchChange>,
}

impl Store {
    /// Acts over many that `node` is to go on with.
    ///
    /// # Errors
    /// Outages.
    pub async fn bulk_under_way(&self, node: &str) -> Result<Vec<i64>, StoreError> {
        // A process alone goes on with what it left, whatever it was called then.
        let free =
            if self.is_shared() { "(node = $1 OR claimed_until <= $2)" } else { "$1 <> '' AND $2 >= 0" };
        let text = format!(
            "SELECT id FROM bulk_acts WHERE ended_at IS NULL AND {free} ORDER BY id LIMIT {ROUND_MAX}"
        );
        let values = vec![node.into(), self.steady().0.into()];
        let found = rows(self.inner.backend.reader(), &text, values).await?;
        Ok(found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Takes the next step of an act; none where it has ended.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] for a row that cannot be; outages.
    pub async fn bulk_step(&self, key: i64, node: &str) -> Result<Option<BulkStep>, StoreError> {
        let step = self.with_reserve(|| self.bulk_step_once(key, node)).await?;
        Point::ActBetween.visit();
        Ok(step)
    }

    async fn bulk_step_once(&self, key: i64, node: &str) -> Result<Option<BulkStep>, StoreError> {
        let tx = self.inner.backend.write().await?;
        let Some(held) = hold(&tx, key).await? else { return Ok(None) };
        let mut act = held.to_act()?;
        let mut step = BulkStep { act: act.act, change: None };
        let next = next_batch(&tx, key, held.place).await?;
        let mut place = held.place;
        let mut claim = (Some(node), self.steady().0 + CLAIM_MS);
        if let Some((batch, id)) = next {
            place += 1;
            let signature = Signature { who: held.who.clone(), via: VIA, address: held.address.clone() };
            match signature.on(self.act_within(&tx, batch, act.act)).await? {
                Ok(change) => {
                    act.done += 1;
                    step.change = Some(change);
                }
                Err(reason) => act.refuse(reason, id),
            }
        }
        if act.looked() >= act.total {
            (act.state, act.ended_at, claim) = (BulkState::Done, Some(self.now()), (None, 0));
        } else if next.is_none() {
            let counts =
                format!("act {key} over many has no batch left, and {} to go", act.total - act.looked());
            return Err(StoreError::Invariant(counts));
        }
        write(&tx, key, place, &act, claim).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(Some(step))
    }

    /// Ends an act that cannot go on, with the reason for people.
    ///
    /// # Errors
    /// Outages.
    pub async fn bulk_fail(&self, key: i64, failure: &str) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        let Some(held) = hold(&tx, key).await? else { return Ok(()) };
        let mut act = held.to_act()?;
        (act.state, act.ended_at, act.failure) =
            (BulkState::Failed, Some(self.now()), Some(failure.to_owned()));
        write(&tx, key, held.place, &act, (None, 0)).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    /// Acts on a batch within the transaction; the reason where it is to be left as it is.
    async fn act_within(
        &self,
        tx: &DatabaseTransaction,
        batch: BatchKey,
        act: BatchAct,
    ) -> Result<Result<BatchChange, BulkReason>, StoreError> {
        let acted = match Tape::lock(tx, batch, self.moment()).await {
            Ok(tape) => match act {
                BatchAct::Pause => self.pause_within(tape, None).await,
                BatchAct::Resume => self.resume_within(tape).await,
                BatchAct::Cancel => self.cancel_within(tape, None, Running::Stop).await,
                BatchAct::Retry => self.retry_within(tape, &RetryRequest::default()).await,
                BatchAct::Delete => self.delete_within(tape).await,
            },
            Err(error) => Err(error),
        };
        match acted {
            Ok(change) => Ok(Ok(change)),
            Err(StoreError::NotFound(_)) => Ok(Err(BulkReason::NotFound)),
            Err(StoreError::NotFinished) => Ok(Err(BulkReason::NotFinished)),
            Err(StoreError::WrongState(state)) if state.is_finished() => Ok(Err(BulkReason::Ended)),
            Err(StoreError::WrongState(_)) => Ok(Err(BulkReason::WrongState)),
            Err(error) => Err(error),
        }
    }
}

/// The row of an act that runs, held until the transaction ends; none where it has ended.
async fn hold(tx: &DatabaseTransaction, key: i64) -> Result<Option<BulkRow>, StoreError> {
    let text = locking(tx, "SELECT * FROM bulk_acts WHERE id = $1 AND ended_at IS NULL");
    one(tx, &text, vec![key.into()]).await
}

/// The batch after `place`.
async fn next_batch(
    tx: &DatabaseTransaction,
    act: i64,
    place: i64,
) -> Result<Option<(BatchKey, BatchId)>, StoreError> {
    let text = "SELECT batch, uuid FROM bulk_act_batches WHERE act = $1 AND place = $2";
    let Some(found) = row(tx, text, vec![act.into(), (place + 1).into()]).await? else { return Ok(None) };
    let id: String = found.try_get_by_index(1)?;
    let id =
        id.parse().map_err(|_form| StoreError::Invariant(format!("act {act} over many names {id:?}")))?;
    Ok(Some((found.try_get_by_index(0)?, id)))
}
