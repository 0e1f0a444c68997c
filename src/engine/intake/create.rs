//! How a batch begins: with an intake, whole from numbers, or gone on with.
//!
//! Owns the creation of batches. Called by service. Invariant: nothing is written before all but the items is
//! checked. Deliberately reads no item.

use std::time::Instant;

use super::settlement::{ClaimedKey, Debt};
use super::validate::{self, invalid};
use crate::engine::{Engine, EngineError, Inner, Intake};
use crate::protocol::{BatchId, NewBatch, Seq};
use crate::store::access::KeyBinding;
use crate::store::{BatchKey, BatchRecord, Source, StoreError};

impl Engine {
    /// Starts a batch: checks task, parameters and options. Items come through the [`Intake`].
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `TooLarge`, `Unready`; what the store says.
    pub async fn create(
        &self,
        new: NewBatch,
        owner: String,
        columns: Vec<String>,
    ) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let new = validate::batch(&self.inner, new, owner, columns, Source::Blocks, 0)?;
        let engine = self.clone();
        self.whole(async move {
            let id = new.id;
            match engine.inner.store.create(new).await {
                Ok(batch) => Ok(Intake::begun(engine, batch)),
                Err(error) => {
                    engine.forget_unanswered(id, &error);
                    Err(error.into())
                }
            }
        })
        .await
    }

    /// Nobody is told of a batch whose creation was not answered: where it was made all the same, it goes.
    fn forget_unanswered(&self, id: BatchId, error: &StoreError) {
        self.inner.store.note_full(error);
        if !error.is_refusal() && !error.is_disk_full() {
            self.owe(Debt::Forget(id, Instant::now()));
        }
    }

    /// Creates a batch of the numbers 1 to `count`.
    ///
    /// # Errors
    /// As [`Engine::create_generated_under`].
    pub async fn create_generated(
        &self,
        new: NewBatch,
        owner: String,
        count: u64,
    ) -> Result<BatchRecord, EngineError> {
        self.create_generated_under(new, owner, count, None).await
    }

    /// As [`Engine::create_generated`]; `key` and the hash of its request are bound to it in the same
    /// transaction, and free where there is an error.
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_generated_under(
        &self,
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
        &self,
        new: NewBatch,
        owner: String,
        count: u64,
        key: Option<KeyBinding>,
    ) -> Result<BatchRecord, EngineError> {
        self.takes_batches()?;
        if count == 0 {
            return Err(EngineError::NoItems);
        }
        self.within_limit(count)?;
        if new.options.open {
            return Err(invalid("options.open: a batch of numbers is whole from the start"));
        }
        let new = validate::batch(&self.inner, new, owner, Vec::new(), Source::Generated, count)?;
        let engine = self.clone();
        self.whole(async move {
            let made = engine.inner.store.create_under(new, key.as_ref()).await;
            let batch = made.inspect_err(|error| {
                engine.inner.store.note_full(error);
            })?;
            engine.publish_grown(&batch, &batch);
            engine.inner.desk.nudge.notify_one();
            Ok(batch)
        })
        .await
    }

    /// Goes on with an open batch; `first_seq` must be its total + 1.
    ///
    /// # Errors
    /// `WrongFirstSeq` with the total; `WrongState` for a sealed batch; `Unready` while the body that makes it is still
    /// coming; what else the store says.
    pub async fn append(&self, batch: BatchKey, first_seq: Seq) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let batch = self.inner.store.batch_by_key(batch).await?;
        if batch.sealed {
            return Err(StoreError::WrongState(batch.state).into());
        }
        self.not_filling(&batch)?;
        if first_seq != batch.total + 1 {
            return Err(StoreError::WrongFirstSeq { total: batch.total }.into());
        }
        Ok(Intake::continued(self.clone(), batch, first_seq))
    }

    /// Nobody goes on with a batch, or seals it, before the request that makes it has come whole: it may yet fail, and
    /// then the batch ends with all its items.
    pub fn not_filling(&self, batch: &BatchRecord) -> Result<(), EngineError> {
        if batch.filling {
            return Err(EngineError::Unready("The request that makes this batch has not ended.".to_owned()));
        }
        Ok(())
    }

    /// A node that leaves would cut off what it begins.
    fn takes_batches(&self) -> Result<(), EngineError> {
        if self.inner.is_leaving() {
            return Err(EngineError::Unready("The node is draining.".to_owned()));
        }
        if self.inner.debts.is_too_much() {
            return Err(EngineError::Unready("Too many batches wait for the database.".to_owned()));
        }
        Ok(self.inner.store.has_room()?)
    }

    /// Checks that a batch may have so many items.
    pub fn within_limit(&self, items: u64) -> Result<(), EngineError> {
        self.inner.within_limit(items)
    }
}

impl Inner {
    /// Checks that a batch may have so many items.
    pub fn within_limit(&self, items: u64) -> Result<(), EngineError> {
        let most = self.options.items_per_batch_max;
        if items > most {
            return Err(EngineError::TooLarge(format!("a batch may have {most} items")));
        }
        Ok(())
    }
}
