//! What is owed to a batch whose items have stopped coming: the seal, or its end with a reason, and the key of its
//! request.
//!
//! Owns the list of what could not be done at once and the loop that does it. Called by intakes. Invariant: what is owed
//! is tried until it is done or refused for good, whatever becomes of the request; what a process takes along with its
//! end is settled by the next start, or by another node. Deliberately knows no format.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::{Notify, oneshot};

use crate::backoff::Backoff;
use crate::engine::{Engine, EngineError, Inner};
use crate::protocol::{BatchId, Timestamp};
use crate::store::access::KeyBinding;
use crate::store::{BatchKey, BatchRecord, Completion, StoreError};

/// Shortest and longest pause before what is owed is tried again.
const AGAIN_MIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 100 });
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Longest time that a request waits for what is owed to it; then it is told that it is not known yet.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What is owed at most; beyond, no batch is begun or gone on with.
const OWED_MAX: usize = 1_024;
/// Settled at the same time.
const AT_ONCE: usize = 8;
/// A batch whose creation was not answered is looked for so long: its commit may still be on the way.
const LOST_CREATE: Duration = Duration::from_secs(60);

/// An idempotency key that a request has claimed. Whoever holds it binds it or frees it.
pub struct ClaimedKey {
    /// Whose key.
    pub caller: String,
    /// The key.
    pub key: String,
    /// Which claim of it.
    pub claimed_at: Timestamp,
    /// Keeps other requests of this process from the key until it is settled.
    pub guard: Box<dyn Send + Sync>,
}

impl ClaimedKey {
    /// As it is bound, with the hash of its request.
    pub fn binding(&self, body_hash: String) -> KeyBinding {
        let (caller, key, claimed_at) = (self.caller.clone(), self.key.clone(), self.claimed_at);
        KeyBinding { caller, key, claimed_at, body_hash }
    }
}

/// What becomes of a batch that no item came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// It stays, with the reason.
    Shown,
    /// It goes, as if it had never been.
    Removed,
}

/// One thing that is owed.
pub enum Debt {
    /// The body has come: the batch is whole.
    Complete(BatchKey, Completion),
    /// The body has failed: the batch ends cancelled.
    End {
        batch: BatchKey,
        reason: String,
        empty: Empty,
        /// Files of items that were not committed.
        files: Vec<String>,
    },
    /// Nobody was told whether the batch was made: if so, it goes.
    Forget(BatchId, Instant),
    /// A key stands for nothing.
    FreeKey,
}

/// A debt, who waits for it, and the key that hangs on it.
struct Owed {
    debt: Debt,
    key: Option<ClaimedKey>,
    answer: Option<oneshot::Sender<Result<BatchRecord, EngineError>>>,
}

/// What could not be done at once.
#[derive(Default)]
pub struct Debts {
    waiting: Mutex<Vec<Owed>>,
    /// Those in hand of the loop included.
    open: AtomicUsize,
    come: Notify,
}

impl Debts {
    fn add(&self, owed: Owed) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(owed);
        self.come.notify_one();
    }

    fn take(&self) -> Vec<Owed> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True once nothing is owed.
    pub fn is_settled(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// True while so much is owed that nothing more may be begun.
    pub fn is_too_much(&self) -> bool {
        self.open.load(Ordering::Acquire) >= OWED_MAX
    }
}

/// How a try went.
enum Tried {
    Done(Option<Box<BatchRecord>>),
    /// For good.
    Refused(EngineError),
    Later(StoreError),
}

impl Engine {
    /// Does what is owed now. Where the database cannot, leaves it to the loop, and waits for that no longer than
    /// [`ANSWER_MAX`].
    ///
    /// # Errors
    /// `Unready` where it is not known yet; what refused it for good.
    pub async fn settle(&self, debt: Debt, key: Option<ClaimedKey>) -> Result<BatchRecord, EngineError> {
        let later = later(&debt);
        match attempt(self, &debt).await {
            Tried::Done(batch) => {
                if let (Debt::End { .. } | Debt::Forget(..) | Debt::FreeKey, Some(key)) = (&debt, key) {
                    self.free_key(key).await;
                }
                known(batch)
            }
            Tried::Refused(error) => {
                if let Some(owed) = after(&debt, &error, key) {
                    self.inner.debts.add(owed);
                }
                Err(error)
            }
            Tried::Later(error) => {
                tracing::warn!(%error, owed = debt.name(), "not done at once: it is tried again");
                let (answer, answered) = oneshot::channel();
                self.inner.debts.add(Owed { debt, key, answer: Some(answer) });
                match tokio::time::timeout(ANSWER_MAX, answered).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_stopping)) => Err(later),
                    Err(_elapsed) => Err(later),
                }
            }
        }
    }

    /// Leaves it to the loop.
    pub fn owe(&self, debt: Debt) {
        self.inner.debts.add(Owed { debt, key: None, answer: None });
    }

    /// The request of a claimed key has failed before a batch was whole: the key is free.
    pub async fn free_key(&self, key: ClaimedKey) {
        if let Err(error) = free(self, &key).await {
            tracing::warn!(%error, "an idempotency key is freed later");
            self.inner.debts.add(Owed { debt: Debt::FreeKey, key: Some(key), answer: None });
        }
    }
}

impl Debt {
    fn name(&self) -> &'static str {
        match self {
            Self::Complete(..) => "the completion of a batch",
            Self::End { .. } => "the end of a batch",
            Self::Forget(..) => "the removal of a batch that nobody knows",
            Self::FreeKey => "an idempotency key",
        }
    }
}

/// What is told where it is not known yet how it ends.
fn later(debt: &Debt) -> EngineError {
    EngineError::Unready(match debt {
        Debt::Complete(batch, completion) => format!(
            "All {} items of batch #{batch} are stored, but the database does not answer: the batch is completed as \
             soon as it does. Look at it before you send them again.",
            completion.items
        ),
        Debt::End { batch, .. } => {
            format!("The database does not answer: batch #{batch} is cancelled as soon as it does.")
        }
        Debt::Forget(..) | Debt::FreeKey => "The database does not answer; try again.".to_owned(),
    })
}

fn known(batch: Option<Box<BatchRecord>>) -> Result<BatchRecord, EngineError> {
    batch.map(|batch| *batch).ok_or(EngineError::Store(StoreError::NotFound("batch")))
}

/// What is owed where a debt was refused for good.
fn after(debt: &Debt, error: &EngineError, key: Option<ClaimedKey>) -> Option<Owed> {
    let next = match (debt, error) {
        // The key is another request's: whoever sent this one twice must not have two batches.
        (Debt::Complete(batch, _), EngineError::Store(StoreError::Taken(_))) => Some(Debt::End {
            batch: *batch,
            reason: "its idempotency key was used by another request meanwhile".to_owned(),
            empty: Empty::Shown,
            files: Vec::new(),
        }),
        // Whatever is wrong with it, it does not wait for items for ever.
        (Debt::Complete(batch, _), EngineError::Store(StoreError::Invariant(_))) => Some(Debt::End {
            batch: *batch,
            reason: "it could not be completed; see the log".to_owned(),
            empty: Empty::Shown,
            files: Vec::new(),
        }),
        (Debt::Complete(..) | Debt::End { .. } | Debt::Forget(..) | Debt::FreeKey, _) => None,
    };
    match (next, key) {
        (None, None) => None,
        (None, key @ Some(_)) => Some(Owed { debt: Debt::FreeKey, key, answer: None }),
        (Some(debt), key) => Some(Owed { debt, key, answer: None }),
    }
}

async fn free(engine: &Engine, key: &ClaimedKey) -> Result<(), StoreError> {
    engine.inner.store.key_freed(&key.caller, &key.key, key.claimed_at).await
}

/// Tries once.
async fn attempt(engine: &Engine, debt: &Debt) -> Tried {
    let done = match debt {
        Debt::Complete(batch, completion) => engine.complete(*batch, completion).await.map(Some),
        Debt::End { batch, reason, empty, files } => end(engine, *batch, reason, *empty, files).await,
        Debt::Forget(id, since) => forget(engine, *id, *since).await,
        Debt::FreeKey => Ok(None),
    };
    match done {
        Ok(batch) => Tried::Done(batch.map(Box::new)),
        Err(EngineError::Store(error)) if !error.is_refusal() => Tried::Later(error),
        Err(error) => Tried::Refused(error),
    }
}

/// Cancels a batch, or removes it where no item came and none is to be shown.
async fn end(
    engine: &Engine,
    batch: BatchKey,
    reason: &str,
    empty: Empty,
    files: &[String],
) -> Result<Option<BatchRecord>, EngineError> {
    let removed = match empty {
        Empty::Removed => engine.discard(batch).await.map(Some),
        Empty::Shown => Ok(None),
    };
    let ended = match removed {
        Ok(Some(gone)) => Some(gone),
        // It has items, then.
        Ok(None) | Err(EngineError::Store(StoreError::NotFinished)) => {
            match engine.cancel_because(batch, Some(reason.to_owned())).await {
                Ok(ended) => Some(ended),
                // It was ended otherwise before.
                Err(EngineError::Store(StoreError::WrongState(_))) => {
                    Some(engine.inner.store.batch_by_key(batch).await?)
                }
                Err(EngineError::Store(StoreError::NotFound(_))) => None,
                Err(error) => return Err(error),
            }
        }
        Err(EngineError::Store(StoreError::NotFound(_))) => None,
        Err(error) => return Err(error),
    };
    // Nothing names them any more: whoever was about to has waited for the batch's row, and was refused.
    engine.inner.store.remove_unnamed(files).await?;
    Ok(ended)
}

async fn forget(engine: &Engine, id: BatchId, since: Instant) -> Result<Option<BatchRecord>, EngineError> {
    match engine.inner.store.batch(id).await {
        Ok(batch) => engine.discard(batch.key).await.map(Some),
        Err(StoreError::NotFound(_)) if since.elapsed() < LOST_CREATE => {
            Err(StoreError::Busy("a commit may be on the way".to_owned()).into())
        }
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Settles what could not be done at once, until the engine stops.
pub async fn settle_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let mut backoff = Backoff::new(AGAIN_MIN, AGAIN_MAX);
    loop {
        let waiting = inner.debts.take();
        if waiting.is_empty() {
            backoff.reset();
            tokio::select! {
                () = inner.debts.come.notified() => {}
                () = inner.stop.cancelled() => return,
            }
            continue;
        }
        let before = waiting.len();
        let tries = futures_util::stream::iter(waiting).map(|owed| try_again(&engine, owed));
        let left: Vec<Owed> = tries.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
        if left.len() < before {
            backoff.reset();
        }
        let done = left.is_empty();
        inner.debts.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
        if done {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            // The next start ends it, or another node.
            () = inner.stop.cancelled() => return,
        }
    }
}

/// Tries once more; what is left of it.
async fn try_again(engine: &Engine, owed: Owed) -> Option<Owed> {
    let Owed { debt, key, answer } = owed;
    let tell = |answer: Option<oneshot::Sender<_>>, told: Result<BatchRecord, EngineError>| {
        // Whoever waited may have gone: it is done all the same.
        answer.map(|answer| answer.send(told).is_ok())
    };
    let left = match attempt(engine, &debt).await {
        Tried::Later(error) => {
            if error.is_disk_full() {
                engine.inner.store.note_full(&error);
            }
            engine.inner.trouble("what is owed to a batch cannot be done", &error);
            return Some(Owed { debt, key, answer });
        }
        // With the end of its batch a key is free, unless it was bound before.
        Tried::Done(batch) => {
            tell(answer, known(batch));
            match (debt, key) {
                (Debt::Complete(..), _) | (_, None) => None,
                (Debt::End { .. } | Debt::Forget(..) | Debt::FreeKey, Some(key)) => free(engine, &key)
                    .await
                    .err()
                    .map(|_again| Owed { debt: Debt::FreeKey, key: Some(key), answer: None }),
            }
        }
        Tried::Refused(error) => {
            if let EngineError::Store(StoreError::Invariant(_)) = &error {
                tracing::error!(%error, owed = debt.name(), "what is owed to a batch cannot be done");
            }
            let next = after(&debt, &error, key);
            tell(answer, Err(error));
            next
        }
    };
    if left.is_none() {
        engine.inner.debts.open.fetch_sub(1, Ordering::AcqRel);
    }
    left
}
