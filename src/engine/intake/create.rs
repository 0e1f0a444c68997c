//! How a batch begins: with an intake, whole from numbers, or gone on with.
//!
//! All but the items was checked before: see [`CheckedBatch`].

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block_writer::publish_grown;
use super::settlement::{ClaimedKey, Settlement};
use super::settler::Settler;
use super::turn::AppendTurn;
use super::upload::{Intake, UploadParts};
use crate::engine::EngineError;
use crate::engine::acts::{Acts, not_filling, to_its_end};
use crate::engine::dispatch::Preparer;
use crate::engine::liveness::Liveness;
use crate::engine::new_batch::{CheckedBatch, ScheduledItems, Validator, blocks};
use crate::protocol::{BatchId, Seq};
use crate::store::access::KeyBinding;
use crate::store::{BatchKey, BatchRecord, RunClaim, StoreError, WholeItems};
use crate::tasks::Prepared;

/// The stage where batches begin.
pub struct IntakeStage {
    pub acts: Arc<Acts>,
    pub validator: Arc<Validator>,
    pub preparer: Arc<Preparer>,
    pub liveness: Arc<Liveness>,
    pub settler: Arc<Settler>,
}

impl IntakeStage {
    /// Starts a batch. Items come through the [`Intake`].
    ///
    /// # Errors
    /// `TooLarge`, `Unready`; what the store says.
    pub async fn create(
        self: &Arc<Self>,
        checked: CheckedBatch,
        columns: Vec<String>,
    ) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let CheckedBatch { mut new, prepared } = checked.with_columns(columns)?;
        new.intake_node = Some(self.liveness.node());
        let stage = Arc::clone(self);
        to_its_end(async move {
            let id = new.id;
            let _ahead = stage.preparer.keep_ahead(id, &prepared);
            match stage.acts.store.create(new).await {
                Ok(batch) => {
                    stage.keep(&batch, prepared);
                    Ok(Intake::begun(stage.upload_parts(), batch))
                }
                Err(error) => {
                    stage.forget_unanswered(id, &error);
                    Err(error.into())
                }
            }
        })
        .await
    }

    fn upload_parts(&self) -> UploadParts {
        UploadParts { settler: Arc::clone(&self.settler), validator: Arc::clone(&self.validator) }
    }

    /// The task was prepared to check its parameters: a node with slots need not prepare it again.
    fn keep(&self, batch: &BatchRecord, prepared: Arc<dyn Prepared>) {
        let dispatcher = &self.acts.dispatcher;
        if dispatcher.slots.count() > 0 {
            dispatcher.keep_prepared(&self.preparer.with(batch, prepared));
        }
    }

    /// Nobody is told of a batch whose creation was not answered: where it was made all the same, it goes.
    fn forget_unanswered(&self, id: BatchId, error: &StoreError) {
        self.acts.store.record_full(error);
        if !error.is_refusal() && !error.is_disk_full() {
            self.settler.settle_later(Settlement::Forget(id, Instant::now()));
        }
    }

    /// Creates a batch of the numbers 1 to `count`; `key` and the hash of its request are bound to it in the same
    /// transaction, and free where there is an error.
    ///
    /// # Errors
    /// `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_generated(
        self: &Arc<Self>,
        checked: CheckedBatch,
        count: u64,
        key: Option<(ClaimedKey, String)>,
    ) -> Result<BatchRecord, EngineError> {
        let (claimed, hash) = key.unzip();
        let binding = claimed.as_ref().zip(hash).map(|(claimed, hash)| claimed.binding(hash));
        let made = self.create_numbers(checked, count, binding).await;
        if let (Err(_), Some(claimed)) = (&made, claimed) {
            // Where the batch was made although nobody could say so, the key is bound, and stays so.
            self.settler.free_key(claimed).await;
        }
        made
    }

    async fn create_numbers(
        self: &Arc<Self>,
        checked: CheckedBatch,
        count: u64,
        key: Option<KeyBinding>,
    ) -> Result<BatchRecord, EngineError> {
        self.takes_batches()?;
        self.validator.within_limit(count)?;
        let CheckedBatch { new, prepared } = checked.with_numbers(count)?;
        let stage = Arc::clone(self);
        to_its_end(async move {
            let store = &stage.acts.store;
            let _ahead = stage.preparer.keep_ahead(new.id, &prepared);
            let made = store.create_under(new, key.as_ref()).await;
            let batch = made.inspect_err(|error| {
                store.record_full(error);
            })?;
            stage.keep(&batch, prepared);
            publish_grown(&stage.acts, &batch, &batch);
            Ok(batch)
        })
        .await
    }

    /// Creates the batch that a schedule is to make, whole, with `key` as in [`Self::create_generated`]; none where it was made before, or the schedule has changed or is
    /// gone.
    ///
    /// # Errors
    /// `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_scheduled(
        self: &Arc<Self>,
        checked: CheckedBatch,
        items: ScheduledItems,
        claim: RunClaim,
        key: Option<(ClaimedKey, String)>,
    ) -> Result<Option<BatchRecord>, EngineError> {
        let (claimed, hash) = key.unzip();
        let binding = claimed.as_ref().zip(hash).map(|(claimed, hash)| claimed.binding(hash));
        let made = self.create_whole(checked, items, claim, binding).await;
        if let (Err(_) | Ok(None), Some(claimed)) = (&made, claimed) {
            self.settler.free_key(claimed).await;
        }
        made
    }

    async fn create_whole(
        self: &Arc<Self>,
        checked: CheckedBatch,
        items: ScheduledItems,
        claim: RunClaim,
        key: Option<KeyBinding>,
    ) -> Result<Option<BatchRecord>, EngineError> {
        self.takes_batches()?;
        self.validator.within_limit(items.count())?;
        let (checked, items) = match items {
            ScheduledItems::Count(count) => (checked.with_numbers(count)?, WholeItems::Generated),
            ScheduledItems::List(items) => {
                if items.is_empty() {
                    return Err(EngineError::NoItems);
                }
                let blocks = blocks(&checked.new, &items)?;
                (checked, WholeItems::Blocks(blocks))
            }
            ScheduledItems::Kept { count, columns } => {
                (checked.with_columns(columns)?, WholeItems::Kept(count))
            }
        };
        let CheckedBatch { new, prepared } = checked;
        let stage = Arc::clone(self);
        to_its_end(async move {
            let store = &stage.acts.store;
            let _ahead = stage.preparer.keep_ahead(new.id, &prepared);
            let made = store.create_scheduled(new, &items, claim, key.as_ref()).await;
            let made = made.inspect_err(|error| {
                store.record_full(error);
            })?;
            if let Some(batch) = &made {
                stage.keep(batch, prepared);
                publish_grown(&stage.acts, batch, batch);
            }
            Ok(made)
        })
        .await
    }

    /// Goes on with an open batch; `first_seq` must be its total + 1, or come to be it within `patience`.
    ///
    /// # Errors
    /// `WrongFirstSeq` with the total; `WrongState` for a sealed batch; `Unready` while the body that makes it is still
    /// coming; what else the store says.
    pub async fn append(
        self: &Arc<Self>,
        batch: BatchKey,
        first_seq: Seq,
        patience: Duration,
    ) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let batch = self.acts.store.batch_by_key(batch).await?;
        if batch.sealed {
            return Err(StoreError::WrongState(batch.state).into());
        }
        not_filling(&batch)?;
        let turn = match first_seq.cmp(&(batch.total + 1)) {
            Ordering::Equal => AppendTurn::Now,
            Ordering::Greater if !patience.is_zero() => {
                AppendTurn::Until(tokio::time::Instant::now() + patience)
            }
            Ordering::Greater | Ordering::Less => {
                return Err(StoreError::WrongFirstSeq { total: batch.total }.into());
            }
        };
        Ok(Intake::continued(self.upload_parts(), batch, first_seq, turn))
    }

    /// A node that leaves would cut off what it begins.
    fn takes_batches(&self) -> Result<(), EngineError> {
        if self.liveness.is_leaving() {
            return Err(EngineError::Unready("The node is draining.".to_owned()));
        }
        if self.settler.queue.is_full() {
            return Err(EngineError::Unready("Too many batches wait for the database.".to_owned()));
        }
        Ok(self.acts.store.has_room()?)
    }
}
