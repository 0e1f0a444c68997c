//! What people ask of a batch: each act whole, even where the asker has gone.
//!
//! An act commits, publishes, then redirects the running work: once the answer is given, nothing new of the batch starts
//! that the act forbids.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::engine::dispatch::{Dispatcher, Disposition};
use crate::engine::publisher::Publisher;
use crate::engine::record::AuditQueue;
use crate::engine::{EngineError, new_batch};
use crate::protocol::{BatchPatch, RetryRequest, Running, limits};
use crate::store::access::Signature;
use crate::store::{BatchChange, BatchKey, BatchRecord, Completion, Store, StoreError};

/// Acts on batches.
pub struct Acts {
    pub store: Store,
    pub publisher: Arc<Publisher>,
    pub dispatcher: Arc<Dispatcher>,
    pub audits: Arc<AuditQueue>,
    pub wakes: ActWakes,
}

/// Whom acts wake.
#[derive(Clone, Default)]
pub struct ActWakes {
    /// The step loop: an act may have to go on, or a batch may have to follow.
    pub steps: Arc<Notify>,
    /// The retention loop: something was deleted.
    pub sweep: Arc<Notify>,
    /// Uploads that came before their turn: items were added to some batch.
    pub grown: Arc<Notify>,
}

/// Runs an act to its end, whether or not the caller goes on waiting.
///
/// # Errors
/// Those of the act; `Invariant` where it panicked.
pub async fn to_its_end<T, F>(act: F) -> Result<T, EngineError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, EngineError>> + Send + 'static,
{
    match tokio::spawn(Signature::carried(Box::pin(act))).await {
        Ok(done) => done,
        Err(fault) => {
            tracing::error!(%fault, "an act on a batch broke off");
            Err(EngineError::Store(StoreError::Invariant("an act broke off".to_owned())))
        }
    }
}

/// Nobody goes on with a batch, or seals it, before the request that makes it has come whole: it may yet fail, and then
/// the batch ends with all its items.
pub fn not_filling(batch: &BatchRecord) -> Result<(), EngineError> {
    if batch.filling {
        return Err(EngineError::Unready("The request that makes this batch has not ended.".to_owned()));
    }
    Ok(())
}

impl Acts {
    /// Publishes what an act changed, and has everybody look for work anew.
    pub(super) fn published(&self, change: BatchChange) -> BatchRecord {
        self.publisher.publish(&change);
        if change.batch.state.is_finished() && !change.batch.deleted {
            self.audits.add(change.batch.key);
        }
        self.dispatcher.work_arrived();
        // Of an act over many items this was the first step; of a batch that it ended another may follow.
        self.wakes.steps.notify_one();
        change.batch
    }

    /// No more items can come.
    ///
    /// # Errors
    /// `Unready` while the body that makes it is still coming; what the store says.
    pub async fn seal(self: &Arc<Self>, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            not_filling(&acts.store.batch_by_key(batch).await?)?;
            Ok(acts.published(acts.store.seal(batch).await?))
        })
        .await
    }

    /// As [`Acts::seal`], by the installation itself, with a reason that is shown.
    ///
    /// # Errors
    /// As [`Acts::seal`].
    pub async fn seal_because(
        self: &Arc<Self>,
        batch: BatchKey,
        reason: &'static str,
    ) -> Result<BatchRecord, EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            not_filling(&acts.store.batch_by_key(batch).await?)?;
            Ok(acts.published(acts.store.seal_because(batch, reason).await?))
        })
        .await
    }

    /// The body that made the batch has come whole.
    pub async fn complete(
        self: &Arc<Self>,
        batch: BatchKey,
        completion: &Completion,
    ) -> Result<BatchRecord, EngineError> {
        let (acts, completion) = (Arc::clone(self), completion.clone());
        to_its_end(async move { Ok(acts.published(acts.store.complete(batch, &completion).await?)) }).await
    }

    /// Takes away a batch that no item came to.
    pub async fn discard(self: &Arc<Self>, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            let gone = acts.published(acts.store.discard(batch).await?);
            acts.wakes.sweep.notify_one();
            Ok(gone)
        })
        .await
    }

    /// Pause, and hand back what has not started.
    ///
    /// # Errors
    /// `WrongState` where it cannot be paused; what else the store says.
    pub async fn pause(self: &Arc<Self>, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            let change = acts.store.pause(batch, None).await?;
            acts.dispatcher.redirect(batch, change.batch.rev, Disposition::HandBack);
            Ok(acts.published(change))
        })
        .await
    }

    /// Resume.
    ///
    /// # Errors
    /// `WrongState` where it cannot be resumed; what else the store says.
    pub async fn resume(self: &Arc<Self>, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            let change = acts.store.resume(batch).await?;
            Ok(acts.published(change))
        })
        .await
    }

    /// Cancel: untouched items end at once, running ones go on or are stopped; a running intake stops.
    ///
    /// # Errors
    /// `WrongState` where it has ended otherwise; what else the store says.
    pub async fn cancel_as(
        self: &Arc<Self>,
        batch: BatchKey,
        running: Running,
    ) -> Result<BatchRecord, EngineError> {
        self.cancel_whole(batch, None, running).await
    }

    /// As [`Acts::cancel_as`], with a reason that is shown; what runs is stopped.
    ///
    /// # Errors
    /// As [`Acts::cancel_as`].
    pub async fn cancel_because(
        self: &Arc<Self>,
        batch: BatchKey,
        reason: Option<String>,
    ) -> Result<BatchRecord, EngineError> {
        self.cancel_whole(batch, reason, Running::Stop).await
    }

    async fn cancel_whole(
        self: &Arc<Self>,
        batch: BatchKey,
        reason: Option<String>,
        running: Running,
    ) -> Result<BatchRecord, EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            let change = acts.store.cancel_as(batch, reason, running).await?;
            let disposition =
                if change.batch.cancel_drains { Disposition::HandBack } else { Disposition::Cancel };
            acts.dispatcher.redirect(batch, change.batch.rev, disposition);
            Ok(acts.published(change))
        })
        .await
    }

    /// Retry failed or chosen items.
    ///
    /// # Errors
    /// `TooLarge` for too many seqs; `WrongState` while it is cancelling; what else the store says.
    pub async fn retry(
        self: &Arc<Self>,
        batch: BatchKey,
        request: &RetryRequest,
    ) -> Result<BatchRecord, EngineError> {
        let named = request.seqs.as_ref().map_or(0, Vec::len);
        if named > limits::RETRY_SEQS_MAX {
            let most = limits::RETRY_SEQS_MAX;
            return Err(EngineError::TooLarge(format!("{named} items are named; {most} are allowed")));
        }
        let (acts, request) = (Arc::clone(self), request.clone());
        to_its_end(async move {
            let change = acts.store.retry(batch, &request).await?;
            Ok(acts.published(change))
        })
        .await
    }

    /// Name, concurrency, priority.
    ///
    /// # Errors
    /// `Invalid` for a value out of bounds; what else the store says.
    pub async fn patch(
        self: &Arc<Self>,
        batch: BatchKey,
        patch: &BatchPatch,
    ) -> Result<BatchRecord, EngineError> {
        new_batch::concurrency(patch.concurrency)?;
        let mut patch = patch.clone();
        patch.name = patch.name.as_deref().map(new_batch::name).transpose()?;
        let acts = Arc::clone(self);
        to_its_end(async move {
            let change = acts.store.patch(batch, &patch).await?;
            if patch.concurrency.is_some() || patch.priority.is_some() {
                // Leases were granted under the old figures: what has not started is claimed anew.
                acts.dispatcher.redirect(batch, change.batch.rev, Disposition::HandBack);
            }
            Ok(acts.published(change))
        })
        .await
    }

    /// Delete a finished batch.
    ///
    /// # Errors
    /// `NotFinished`; what else the store says.
    pub async fn delete(self: &Arc<Self>, batch: BatchKey) -> Result<(), EngineError> {
        let acts = Arc::clone(self);
        to_its_end(async move {
            let mut change = acts.store.delete(batch).await?;
            change.batch.deleted = true;
            acts.published(change);
            acts.wakes.sweep.notify_one();
            Ok(())
        })
        .await
    }
}
