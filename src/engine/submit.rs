//! How a batch begins: with an intake, whole from numbers, or gone on with.
//!
//! Owns the creation of batches. Called by service. Invariant: nothing is written before all but the items is
//! checked. Deliberately reads no item.

use super::check::{self, invalid};
use super::{Engine, EngineError, Inner, Intake};
use crate::protocol::{NewBatch, Seq};
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
        let new = check::batch(&self.inner, new, owner, columns, Source::Blocks, 0)?;
        let engine = self.clone();
        self.whole(async move {
            let batch = engine.inner.store.create(new).await?;
            Ok(Intake::new(engine, batch, 1))
        })
        .await
    }

    /// Creates a batch of the numbers 1 to `count`.
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_generated(
        &self,
        new: NewBatch,
        owner: String,
        count: u64,
    ) -> Result<BatchRecord, EngineError> {
        self.takes_batches()?;
        if count == 0 {
            return Err(EngineError::NoItems);
        }
        self.within_limit(count)?;
        if new.options.open {
            return Err(invalid("options.open: a batch of numbers is whole from the start"));
        }
        let new = check::batch(&self.inner, new, owner, Vec::new(), Source::Generated, count)?;
        let engine = self.clone();
        self.whole(async move {
            let batch = engine.inner.store.create(new).await?;
            engine.publish_grown(&batch, &batch);
            engine.inner.desk.nudge.notify_one();
            Ok(batch)
        })
        .await
    }

    /// Goes on with an open batch; `first_seq` must be its total + 1.
    ///
    /// # Errors
    /// `WrongFirstSeq` with the total; `WrongState` for a sealed batch; what else the store says.
    pub async fn append(&self, batch: BatchKey, first_seq: Seq) -> Result<Intake, EngineError> {
        self.takes_batches()?;
        let batch = self.inner.store.batch_by_key(batch).await?;
        if batch.sealed {
            return Err(StoreError::WrongState(batch.state).into());
        }
        if first_seq != batch.total + 1 {
            return Err(StoreError::WrongFirstSeq { total: batch.total }.into());
        }
        Ok(Intake::new(self.clone(), batch, first_seq))
    }

    /// A node that leaves would cut off what it begins.
    fn takes_batches(&self) -> Result<(), EngineError> {
        if self.inner.is_leaving() {
            return Err(EngineError::Unready("The node is draining.".to_owned()));
        }
        Ok(())
    }

    /// Checks that a batch may have so many items.
    pub(super) fn within_limit(&self, items: u64) -> Result<(), EngineError> {
        self.inner.within_limit(items)
    }
}

impl Inner {
    /// Checks that a batch may have so many items.
    pub(super) fn within_limit(&self, items: u64) -> Result<(), EngineError> {
        let most = self.options.items_per_batch_max;
        if items > most {
            return Err(EngineError::TooLarge(format!("a batch may have {most} items")));
        }
        Ok(())
    }
}
