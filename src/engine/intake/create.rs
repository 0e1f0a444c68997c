//! How a batch begins: with an intake, whole from numbers, or gone on with.
//!
//! Nothing is written before all but the items is checked.

use std::sync::Arc;
use std::time::Instant;

use super::block_writer::publish_grown;
use super::settlement::{ClaimedKey, Settlement, SettlementQueue};
use super::upload::Intake;
use crate::engine::EngineError;
use crate::engine::acts::{Acts, not_filling, to_its_end};
use crate::engine::dispatch::Preparer;
use crate::engine::liveness::Liveness;
use crate::engine::new_batch::{CheckedBatch, Validator, invalid};
use crate::protocol::{BatchId, NewBatch, Seq};
use crate::store::access::KeyBinding;
use crate::store::{BatchKey, BatchRecord, Source, StoreError};
use crate::tasks::Prepared;

/// The stage where batches begin.
pub struct IntakeStage {
    pub acts: Arc<Acts>,
    pub validator: Arc<Validator>,
    pub preparer: Arc<Preparer>,
    pub liveness: Arc<Liveness>,
    pub settlements: Arc<SettlementQueue>,
}

impl IntakeStage {
    /// Starts a batch: checks task, parameters and options. Items come through the [`Intake`].
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `TooLarge`, `Unready`; what the store says.
    pub async fn create(
        self: &Arc<Self>,
        new: NewBatch,
        owner: String,
        columns: Vec<String>,
    ) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let CheckedBatch { new, prepared } = self.validator.batch(new, owner, columns, Source::Blocks, 0)?;
        let stage = Arc::clone(self);
        to_its_end(async move {
            let id = new.id;
            match stage.acts.store.create(new).await {
                Ok(batch) => {
                    stage.keep(&batch, prepared);
                    Ok(Intake::begun(stage, batch))
                }
                Err(error) => {
                    stage.forget_unanswered(id, &error);
                    Err(error.into())
                }
            }
        })
        .await
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
        self.acts.store.note_full(error);
        if !error.is_refusal() && !error.is_disk_full() {
            self.settle_later(Settlement::Forget(id, Instant::now()));
        }
    }

    /// Creates a batch of the numbers 1 to `count`; `key` and the hash of its request are bound to it in the same
    /// transaction, and free where there is an error.
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_generated(
        self: &Arc<Self>,
        new: NewBatch,
        owner: String,
        count: u64,
        key: Option<(ClaimedKey, String)>,
    ) -> Result<BatchRecord, EngineError> {
        let (claimed, hash) = key.unzip();
        let binding = claimed.as_ref().zip(hash).map(|(claimed, hash)| claimed.binding(hash));
        let made = self.create_numbers(new, owner, count, binding).await;
        if let (Err(_), Some(claimed)) = (&made, claimed) {
            // Where the batch was made although nobody could say so, the key is bound, and stays so.
            self.free_key(claimed).await;
        }
        made
    }

    async fn create_numbers(
        self: &Arc<Self>,
        new: NewBatch,
        owner: String,
        count: u64,
        key: Option<KeyBinding>,
    ) -> Result<BatchRecord, EngineError> {
        self.takes_batches()?;
        if count == 0 {
            return Err(EngineError::NoItems);
        }
        self.validator.within_limit(count)?;
        if new.options.open {
            return Err(invalid("options.open: a batch of numbers is whole from the start"));
        }
        let CheckedBatch { new, prepared } =
            self.validator.batch(new, owner, Vec::new(), Source::Generated, count)?;
        let stage = Arc::clone(self);
        to_its_end(async move {
            let store = &stage.acts.store;
            let made = store.create_under(new, key.as_ref()).await;
            let batch = made.inspect_err(|error| {
                store.note_full(error);
            })?;
            stage.keep(&batch, prepared);
            publish_grown(&stage.acts, &batch, &batch);
            Ok(batch)
        })
        .await
    }

    /// Goes on with an open batch; `first_seq` must be its total + 1.
    ///
    /// # Errors
    /// `WrongFirstSeq` with the total; `WrongState` for a sealed batch; `Unready` while the body that makes it is still
    /// coming; what else the store says.
    pub async fn append(self: &Arc<Self>, batch: BatchKey, first_seq: Seq) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let batch = self.acts.store.batch_by_key(batch).await?;
        if batch.sealed {
            return Err(StoreError::WrongState(batch.state).into());
        }
        not_filling(&batch)?;
        if first_seq != batch.total + 1 {
            return Err(StoreError::WrongFirstSeq { total: batch.total }.into());
        }
        Ok(Intake::continued(Arc::clone(self), batch, first_seq))
    }

    /// A node that leaves would cut off what it begins.
    fn takes_batches(&self) -> Result<(), EngineError> {
        if self.liveness.is_leaving() {
            return Err(EngineError::Unready("The node is draining.".to_owned()));
        }
        if self.settlements.is_full() {
            return Err(EngineError::Unready("Too many batches wait for the database.".to_owned()));
        }
        Ok(self.acts.store.has_room()?)
    }
}
