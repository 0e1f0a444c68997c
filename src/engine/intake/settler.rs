//! Settles at once what can be, and tries the rest until it is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::oneshot;

use super::settlement::{ClaimedKey, Empty, Settlement, SettlementQueue, Waiting, known};
use crate::backoff::Backoff;
use crate::engine::EngineError;
use crate::engine::acts::Acts;
use crate::engine::supervisor::Loops;
use crate::protocol::BatchId;
use crate::store::{BatchKey, BatchRecord, Store, StoreError};

/// Longest time that a request waits for its settlement; then it is told that the outcome is not known yet.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Shortest and longest pause before settlements are tried again.
const AGAIN_MIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 100 });
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Settled at the same time.
const AT_ONCE: usize = 8;
/// A batch whose creation was not answered is looked for so long: its commit may still be on the way.
const LOST_CREATE: Duration = Duration::from_secs(60);

/// How a try went.
enum Tried {
    Done(Option<Box<BatchRecord>>),
    /// For good.
    Refused(EngineError),
    Later(StoreError),
}

/// Tries once.
async fn attempt(acts: &Arc<Acts>, settlement: &Settlement) -> Tried {
    let done = match settlement {
        Settlement::Complete(batch, completion) => acts.complete(*batch, completion).await.map(Some),
        Settlement::End { batch, reason, empty, files } => end(acts, *batch, reason, *empty, files).await,
        Settlement::Forget(id, since) => forget(acts, *id, *since).await,
        Settlement::FreeKey => Ok(None),
    };
    match done {
        Ok(batch) => Tried::Done(batch.map(Box::new)),
        Err(EngineError::Store(error)) if !error.is_refusal() => Tried::Later(error),
        Err(error) => Tried::Refused(error),
    }
}

/// Frees a key.
async fn free(store: &Store, key: &ClaimedKey) -> Result<(), StoreError> {
    store.key_freed(&key.caller, &key.key, key.claimed_at).await
}

/// Cancels a batch, or removes it where no item came and none is to be shown.
async fn end(
    acts: &Arc<Acts>,
    batch: BatchKey,
    reason: &str,
    empty: Empty,
    files: &[String],
) -> Result<Option<BatchRecord>, EngineError> {
    let removed = match empty {
        Empty::Removed => acts.discard(batch).await.map(Some),
        Empty::Shown => Ok(None),
    };
    let ended = match removed {
        Ok(Some(gone)) => Some(gone),
        // It has items, then.
        Ok(None) | Err(EngineError::Store(StoreError::NotFinished)) => {
            match acts.cancel_because(batch, Some(reason.to_owned())).await {
                Ok(ended) => Some(ended),
                // It was ended otherwise before.
                Err(EngineError::Store(StoreError::WrongState(_))) => {
                    Some(acts.store.batch_by_key(batch).await?)
                }
                Err(EngineError::Store(StoreError::NotFound(_))) => None,
                Err(error) => return Err(error),
            }
        }
        Err(EngineError::Store(StoreError::NotFound(_))) => None,
        Err(error) => return Err(error),
    };
    // Nothing names them any more: whoever was about to has waited for the batch's row, and was refused.
    acts.store.remove_unnamed(files).await?;
    Ok(ended)
}

async fn forget(acts: &Arc<Acts>, id: BatchId, since: Instant) -> Result<Option<BatchRecord>, EngineError> {
    match acts.store.batch(id).await {
        Ok(batch) => acts.discard(batch.key).await.map(Some),
        Err(StoreError::NotFound(_)) if since.elapsed() < LOST_CREATE => {
            Err(StoreError::Busy("a commit may be on the way".to_owned()).into())
        }
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Settles what requests began.
pub struct Settler {
    pub acts: Arc<Acts>,
    pub queue: SettlementQueue,
    pub loops: Loops,
}

impl Settler {
    /// Settles now. Where the database cannot, leaves it to the loop, and waits for that no longer than [`ANSWER_MAX`].
    ///
    /// # Errors
    /// `Unready` where the outcome is not known yet; what refused it for good.
    pub async fn settle(
        &self,
        settlement: Settlement,
        key: Option<ClaimedKey>,
    ) -> Result<BatchRecord, EngineError> {
        let not_known_yet = settlement.not_known_yet();
        match attempt(&self.acts, &settlement).await {
            Tried::Done(batch) => {
                if let Some(key) = key.filter(|_| settlement.frees_key()) {
                    self.free_key(key).await;
                }
                known(batch)
            }
            Tried::Refused(error) => {
                if let Some(waiting) = Waiting::after_refusal(&settlement, &error, key) {
                    self.queue.add(waiting);
                }
                Err(error)
            }
            Tried::Later(error) => {
                tracing::warn!(%error, settles = settlement.name(), "not done at once: it is tried again");
                let (answer, answered) = oneshot::channel();
                self.queue.add(Waiting { settlement, key, answer: Some(answer) });
                match tokio::time::timeout(ANSWER_MAX, answered).await {
                    Ok(Ok(answer)) => answer,
                    // The loop has stopped, or takes too long.
                    Ok(Err(_)) | Err(_) => Err(not_known_yet),
                }
            }
        }
    }

    /// Leaves it to the loop.
    pub fn settle_later(&self, settlement: Settlement) {
        self.queue.add(Waiting::unattended(settlement, None));
    }

    /// The request of a claimed key has failed before a batch was whole: the key is free.
    pub async fn free_key(&self, key: ClaimedKey) {
        if let Err(error) = free(&self.acts.store, &key).await {
            tracing::warn!(%error, "an idempotency key is freed later");
            self.queue.add(Waiting::unattended(Settlement::FreeKey, Some(key)));
        }
    }

    /// Settles what waits until the engine stops.
    pub async fn run(self: Arc<Self>) {
        let stop = self.loops.stop_token();
        let mut backoff = Backoff::new(AGAIN_MIN, AGAIN_MAX);
        loop {
            let waiting = self.queue.take();
            if waiting.is_empty() {
                backoff.reset();
                tokio::select! {
                    () = self.queue.added.notified() => {}
                    () = stop.cancelled() => return,
                }
                continue;
            }
            let before = waiting.len();
            let tries = futures_util::stream::iter(waiting).map(|waiting| self.try_again(waiting));
            let left: Vec<Waiting> =
                tries.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
            if left.len() < before {
                backoff.reset();
            }
            let done = left.is_empty();
            self.queue.put_back(left);
            if done {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                // The next start ends it, or another node.
                () = stop.cancelled() => return,
            }
        }
    }

    /// Tries once more; what is left of it.
    async fn try_again(&self, waiting: Waiting) -> Option<Waiting> {
        let Waiting { settlement, key, answer } = waiting;
        let (left, outcome) = match attempt(&self.acts, &settlement).await {
            Tried::Later(error) => {
                if error.is_disk_full() {
                    self.acts.store.record_full(&error);
                }
                self.loops.health().trouble("a batch cannot be settled", &error);
                return Some(Waiting { settlement, key, answer });
            }
            // With the end of its batch a key is free, unless it was bound before.
            Tried::Done(batch) => {
                let key = key.filter(|_| settlement.frees_key());
                (self.freed(key).await, known(batch))
            }
            Tried::Refused(error) => {
                if let EngineError::Store(StoreError::Invariant(_)) = &error {
                    tracing::error!(%error, settles = settlement.name(), "a batch cannot be settled");
                }
                (Waiting::after_refusal(&settlement, &error, key), Err(error))
            }
        };
        if let Some(answer) = answer {
            // Whoever waited may have gone: it is done all the same.
            let _gone = answer.send(outcome);
        }
        if left.is_none() {
            self.queue.settled();
        }
        left
    }

    /// Frees a key; what waits where it could not be.
    async fn freed(&self, key: Option<ClaimedKey>) -> Option<Waiting> {
        let key = key?;
        let failed = free(&self.acts.store, &key).await.is_err();
        failed.then(|| Waiting::unattended(Settlement::FreeKey, Some(key)))
    }
}
