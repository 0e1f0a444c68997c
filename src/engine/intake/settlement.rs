//! The end of what a request began: its batch is completed, cancelled or removed, and its key bound or freed.
//!
//! What cannot be done at once, because the database does not answer, waits in a queue and is tried until it is done or
//! refused for good, whatever becomes of the request. What a process takes along with its end is settled by the next
//! start, or by another node.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use crate::engine::EngineError;
use crate::protocol::{BatchId, Timestamp};
use crate::store::access::KeyBinding;
use crate::store::{BatchKey, BatchRecord, Completion, StoreError};

/// Settlements that wait at most; beyond, no batch is begun or gone on with.
const WAITING_MAX: usize = 1_024;

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

/// One thing to settle.
pub enum Settlement {
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
    /// Nobody was told whether the batch was made: if so, it goes. Since when it is looked for.
    Forget(BatchId, Instant),
    /// A key stands for nothing.
    FreeKey,
}

impl Settlement {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Complete(..) => "the completion of a batch",
            Self::End { .. } => "the end of a batch",
            Self::Forget(..) => "the removal of a batch that nobody knows",
            Self::FreeKey => "an idempotency key",
        }
    }

    /// True where a key that hangs on it is free once it is done.
    pub(super) fn frees_key(&self) -> bool {
        match self {
            Self::Complete(..) => false,
            Self::End { .. } | Self::Forget(..) | Self::FreeKey => true,
        }
    }

    /// What is answered where it is not known yet how it ends.
    pub(super) fn not_known_yet(&self) -> EngineError {
        EngineError::Unready(match self {
            Self::Complete(batch, completion) => format!(
                "All {} items of batch #{batch} are stored, but the database does not answer: the batch is completed \
                 as soon as it does. Look at it before you send them again.",
                completion.items
            ),
            Self::End { batch, .. } => {
                format!("The database does not answer: batch #{batch} is cancelled as soon as it does.")
            }
            Self::Forget(..) | Self::FreeKey => "The database does not answer; try again.".to_owned(),
        })
    }

    /// What is to be settled instead, where this was refused for good.
    fn after_refusal(&self, error: &EngineError) -> Option<Self> {
        let ended = |batch: &BatchKey, reason: &str| {
            let (batch, reason) = (*batch, reason.to_owned());
            Some(Self::End { batch, reason, empty: Empty::Shown, files: Vec::new() })
        };
        match (self, error) {
            // The key is another request's: whoever sent this one twice must not have two batches.
            (Self::Complete(batch, _), EngineError::Store(StoreError::Taken(_))) => {
                ended(batch, "its idempotency key was used by another request meanwhile")
            }
            // Whatever is wrong with it, it does not wait for items for ever.
            (Self::Complete(batch, _), EngineError::Store(StoreError::Invariant(_))) => {
                ended(batch, "it could not be completed; see the log")
            }
            (Self::Complete(..) | Self::End { .. } | Self::Forget(..) | Self::FreeKey, _) => None,
        }
    }
}

/// A settlement, the key that hangs on it, and who waits for it.
pub struct Waiting {
    pub(super) settlement: Settlement,
    pub(super) key: Option<ClaimedKey>,
    pub(super) answer: Option<oneshot::Sender<Result<BatchRecord, EngineError>>>,
}

impl Waiting {
    /// One that nobody waits for.
    pub(super) fn unattended(settlement: Settlement, key: Option<ClaimedKey>) -> Self {
        Self { settlement, key, answer: None }
    }

    /// What waits after a refusal: what takes its place, or the freeing of its key.
    pub(super) fn after_refusal(
        settlement: &Settlement,
        error: &EngineError,
        key: Option<ClaimedKey>,
    ) -> Option<Self> {
        match (settlement.after_refusal(error), key) {
            (Some(next), key) => Some(Self::unattended(next, key)),
            (None, Some(key)) => Some(Self::unattended(Settlement::FreeKey, Some(key))),
            (None, None) => None,
        }
    }
}

/// What could not be settled at once.
#[derive(Default)]
pub struct SettlementQueue {
    waiting: Mutex<Vec<Waiting>>,
    /// Those in hand of the loop included.
    open: AtomicUsize,
    /// Wakes the loop.
    pub(super) added: Notify,
}

impl SettlementQueue {
    pub(super) fn add(&self, waiting: Waiting) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.put_back(vec![waiting]);
        self.added.notify_one();
    }

    /// Takes all that wait.
    pub(super) fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// They wait on.
    pub(super) fn put_back(&self, waiting: Vec<Waiting>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(waiting);
    }

    /// One of those that were taken is settled.
    pub(super) fn settled(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// True once nothing waits.
    pub fn is_empty(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// True while so much waits that nothing more may be begun.
    pub fn is_full(&self) -> bool {
        self.open.load(Ordering::Acquire) >= WAITING_MAX
    }
}

/// What is answered to whoever waits.
pub fn known(batch: Option<Box<BatchRecord>>) -> Result<BatchRecord, EngineError> {
    batch.map(|batch| *batch).ok_or(EngineError::Store(StoreError::NotFound("batch")))
}
