//! What people do to batches: each act whole, even where the asker has gone.
//!
//! Owns the order commit → publish → steer the running work. Called by service. Invariant: once the answer is given,
//! nothing new of the batch starts that the act forbids. Deliberately knows no person.

use std::future::Future;

use crate::engine::dispatch::Course;
use crate::engine::intake::validate;
use crate::engine::{Engine, EngineError};
use crate::protocol::{BatchPatch, RetryRequest, Running, limits};
use crate::store::{BatchChange, BatchKey, BatchRecord, Completion, StoreError};

impl Engine {
    /// Runs an act to its end, whether or not the caller goes on waiting.
    pub async fn whole<T, F>(&self, act: F) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        match tokio::spawn(act).await {
            Ok(done) => done,
            Err(fault) => {
                tracing::error!(%fault, "an act on a batch broke off");
                Err(EngineError::Store(StoreError::Invariant("an act broke off".to_owned())))
            }
        }
    }

    /// Tells what an act changed, and looks for work anew.
    fn told(&self, change: BatchChange) -> BatchRecord {
        self.publish(&change);
        if change.batch.state.is_finished() && !change.batch.deleted {
            self.inner.audits.note(change.batch.key);
        }
        self.inner.desk.nudge.notify_one();
        // Of an act over many items this was the first step; of a batch that it ended another may follow.
        self.inner.acts.notify_one();
        change.batch
    }

    /// No more items can come.
    ///
    /// # Errors
    /// `Unready` while the body that makes it is still coming; what the store says.
    pub async fn seal(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let engine = self.clone();
        self.whole(async move {
            engine.not_filling(&engine.inner.store.batch_by_key(batch).await?)?;
            Ok(engine.told(engine.inner.store.seal(batch).await?))
        })
        .await
    }

    /// The body that made the batch has come whole.
    pub async fn complete(
        &self,
        batch: BatchKey,
        completion: &Completion,
    ) -> Result<BatchRecord, EngineError> {
        let (engine, completion) = (self.clone(), completion.clone());
        self.whole(async move { Ok(engine.told(engine.inner.store.complete(batch, &completion).await?)) })
            .await
    }

    /// Takes away a batch that no item came to.
    pub async fn discard(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let engine = self.clone();
        self.whole(async move {
            let gone = engine.told(engine.inner.store.discard(batch).await?);
            engine.inner.sweep.notify_one();
            Ok(gone)
        })
        .await
    }

    /// Pause, and hand back what has not started.
    ///
    /// # Errors
    /// `WrongState` where it cannot be paused; what else the store says.
    pub async fn pause(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let engine = self.clone();
        self.whole(async move {
            let change = engine.inner.store.pause(batch, None).await?;
            engine.inner.desk.steer(batch, change.batch.rev, Course::HandBack);
            Ok(engine.told(change))
        })
        .await
    }

    /// Resume.
    ///
    /// # Errors
    /// `WrongState` where it cannot be resumed; what else the store says.
    pub async fn resume(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let engine = self.clone();
        self.whole(async move {
            let change = engine.inner.store.resume(batch).await?;
            Ok(engine.told(change))
        })
        .await
    }

    /// Cancel: untouched items end at once, running ones are stopped; a running intake stops.
    ///
    /// # Errors
    /// `WrongState` where it has ended otherwise; what else the store says.
    pub async fn cancel(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        self.cancel_whole(batch, None, Running::Stop).await
    }

    /// As [`Engine::cancel`], with what becomes of the items that run.
    ///
    /// # Errors
    /// As [`Engine::cancel`].
    pub async fn cancel_as(&self, batch: BatchKey, running: Running) -> Result<BatchRecord, EngineError> {
        self.cancel_whole(batch, None, running).await
    }

    /// As [`Engine::cancel`], with a reason that is shown.
    ///
    /// # Errors
    /// As [`Engine::cancel`].
    pub async fn cancel_because(
        &self,
        batch: BatchKey,
        reason: Option<String>,
    ) -> Result<BatchRecord, EngineError> {
        self.cancel_whole(batch, reason, Running::Stop).await
    }

    async fn cancel_whole(
        &self,
        batch: BatchKey,
        reason: Option<String>,
        running: Running,
    ) -> Result<BatchRecord, EngineError> {
        let engine = self.clone();
        self.whole(async move {
            let change = engine.inner.store.cancel_as(batch, reason, running).await?;
            let course = if change.batch.cancel_drains { Course::HandBack } else { Course::Cancel };
            engine.inner.desk.steer(batch, change.batch.rev, course);
            Ok(engine.told(change))
        })
        .await
    }

    /// Retry failed or chosen items.
    ///
    /// # Errors
    /// `TooLarge` for too many seqs; `WrongState` while it is cancelling; what else the store says.
    pub async fn retry(&self, batch: BatchKey, request: &RetryRequest) -> Result<BatchRecord, EngineError> {
        let named = request.seqs.as_ref().map_or(0, Vec::len);
        if named > limits::RETRY_SEQS_MAX {
            let most = limits::RETRY_SEQS_MAX;
            return Err(EngineError::TooLarge(format!("{named} items are named; {most} are allowed")));
        }
        let (engine, request) = (self.clone(), request.clone());
        self.whole(async move {
            let change = engine.inner.store.retry(batch, &request).await?;
            Ok(engine.told(change))
        })
        .await
    }

    /// Name, concurrency, priority.
    ///
    /// # Errors
    /// `Invalid` for a value out of bounds; what else the store says.
    pub async fn patch(&self, batch: BatchKey, patch: &BatchPatch) -> Result<BatchRecord, EngineError> {
        validate::concurrency(patch.concurrency)?;
        let mut patch = patch.clone();
        patch.name = patch.name.map(|name| validate::name(name.trim().to_owned())).transpose()?;
        if patch.name.as_deref().is_some_and(str::is_empty) {
            return Err(validate::invalid("name: at least one character is expected"));
        }
        let engine = self.clone();
        self.whole(async move {
            let change = engine.inner.store.patch(batch, &patch).await?;
            if patch.concurrency.is_some() || patch.priority.is_some() {
                // Leases were granted under the old figures: what has not started is claimed anew.
                engine.inner.desk.steer(batch, change.batch.rev, Course::HandBack);
            }
            Ok(engine.told(change))
        })
        .await
    }

    /// Delete a finished batch.
    ///
    /// # Errors
    /// `NotFinished`; what else the store says.
    pub async fn delete(&self, batch: BatchKey) -> Result<(), EngineError> {
        let engine = self.clone();
        self.whole(async move {
            let mut change = engine.inner.store.delete(batch).await?;
            change.batch.deleted = true;
            engine.told(change);
            engine.inner.sweep.notify_one();
            Ok(())
        })
        .await
    }
}
