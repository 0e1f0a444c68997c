//! Makes work happen.
//!
//! ```text
//! intake, commit, owed    items in         claims → desk (lease, work, board) → slots, slot   items run
//! report, retry, family   what to record   recorder, publish, estimate                       what was recorded
//! acts, nodes             from outside     steps, follow, then        acts over many items, and what follows an end
//! life, supervisor        all loops, from their start to their end
//! beat, pulse, reclaim, relay, glimpses                one node among others     audit   whether it adds up
//! ```
//!
//! Called by service. Invariant: only what is committed is told, and whatever is not recorded runs again.
//! Deliberately knows no HTTP and no person.

mod acts;
mod cluster;
mod dispatch;
mod execute;
mod health;
mod intake;
mod lifecycle;
mod record;
mod supervisor;
#[cfg(test)]
mod tests;
mod window_feed;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cluster::{Outbox, Pulse};
use self::dispatch::{Board, Desk};
use self::health::Health;
use self::intake::Debts;
pub use self::intake::{ClaimedKey, Empty, Intake};
use self::record::{Audits, Estimates};
pub use self::window_feed::start_mirror;
use crate::hub::Hub;
use crate::protocol::{BatchId, NodeId, Role, Seq};
use crate::store::{Store, StoreError};
use crate::tasks::{Registry, WorkCell};

/// Settings of the engine, plain values.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Name of the node for people.
    pub node_name: String,
    /// Serves, works, or both.
    pub role: Role,
    /// Items at once.
    pub slots: u32,
    /// A node that has not beaten for so long is lost.
    pub lease_seconds: u32,
    /// How often lost nodes are looked for.
    pub reclaim_seconds: u32,
    /// Grace of a drain.
    pub drain_seconds: u32,
    /// Attempts per item where a batch says nothing.
    pub attempts_max: u32,
    /// Days after which finished batches are deleted.
    pub retention_days: u32,
    /// Items of one batch at most.
    pub items_per_batch_max: u64,
    /// Folder for the files of running attempts.
    pub work: PathBuf,
}

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such task. The request's fault.
    #[error("there is no task named {0:?}")]
    UnknownTask(String),
    /// Parameters, options or items are not acceptable. The request's fault.
    #[error("{detail}")]
    Invalid {
        /// What was expected.
        detail: String,
        /// Line of the input, from 1.
        line: Option<u64>,
    },
    /// More items or bytes than a limit allows.
    #[error("{0}")]
    TooLarge(String),
    /// No items came, and the batch is not open.
    #[error("a batch needs at least one item")]
    NoItems,
    /// The engine claims nothing (disk full, invariant broken, draining); reason as a sentence.
    #[error("{0}")]
    Unready(String),
}

/// The engine of this node. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What the loops share.
struct Inner {
    store: Store,
    tasks: Arc<Registry>,
    hub: Hub,
    options: EngineOptions,
    /// Changes where this process was taken for lost and joined anew.
    node: RwLock<NodeId>,
    pulse: Pulse,
    relay: Outbox,
    desk: Desk,
    estimates: Mutex<Estimates>,
    /// Something may have to be taken on in steps, or to be made after an end.
    acts: Notify,
    debts: Debts,
    audits: Audits,
    health: Mutex<Health>,
    leaving: AtomicBool,
    drained: OnceCell<()>,
    list_rev: AtomicU64,
    /// Items ended on this node since its start, and how many a second at the last beat (bits of an `f64`).
    ended: AtomicU64,
    rate_bits: AtomicU64,
    sweep: Notify,
    /// Nodes may have gone.
    lost: Notify,
    /// Beats end before the loops.
    quiet: CancellationToken,
    stop: CancellationToken,
    loops: TaskTracker,
    /// Where the loops run.
    main: Handle,
}

impl Engine {
    /// Takes back what an earlier process left, then starts all loops.
    ///
    /// # Errors
    /// What the store or the file system says.
    pub async fn start(
        store: Store,
        tasks: Arc<Registry>,
        hub: Hub,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let slots = if options.role == Role::Web { 0 } else { options.slots.max(1) };
        let inner = Inner {
            store,
            tasks,
            hub,
            node: RwLock::new(self::lifecycle::fresh_node(&options.node_name)),
            pulse: Pulse::new(),
            relay: Outbox::default(),
            desk: Desk::new(slots),
            estimates: Mutex::default(),
            acts: Notify::new(),
            debts: Debts::default(),
            audits: Audits::default(),
            health: Mutex::default(),
            leaving: AtomicBool::new(false),
            drained: OnceCell::new(),
            list_rev: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            rate_bits: AtomicU64::new(0),
            sweep: Notify::new(),
            lost: Notify::new(),
            quiet: CancellationToken::new(),
            main: Handle::current(),
            stop: CancellationToken::new(),
            loops: TaskTracker::new(),
            options,
        };
        let engine = Self { inner: Arc::new(inner) };
        self::lifecycle::begin(&engine).await?;
        Ok(engine)
    }

    /// Stops claiming, finishes within the grace, hands back the rest, stops all loops. Idempotent.
    pub async fn drain(&self) {
        let inner = Arc::clone(&self.inner);
        self.inner.drained.get_or_init(|| async move { self::lifecycle::end(&inner).await }).await;
    }

    /// This node, as it is known now.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.inner.node()
    }

    /// Why this node is not ready, if it is not: a sentence.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        self.inner.unready()
    }

    /// True while the database does not answer this node: whatever needs it would wait in vain.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.inner.store.is_shared() && self.inner.pulse.is_away()
    }

    /// The cell of an item that runs on this node now.
    #[must_use]
    pub fn work_cell(&self, batch: BatchId, seq: Seq) -> Option<Arc<WorkCell>> {
        self.inner.desk.boards.iter().find_map(|board| board.cell(batch, seq))
    }

    /// Running items of this node, at most `max`.
    #[must_use]
    pub fn running(&self, max: usize) -> Vec<(BatchId, Seq)> {
        self.inner.desk.boards.iter().filter_map(Board::shown).take(max).collect()
    }
}

impl Inner {
    fn estimates(&self) -> MutexGuard<'_, Estimates> {
        self.estimates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self) -> NodeId {
        self.node.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }
}
