//! Whether this node lives: who it is, when it last beat, and whether it may work.
//!
//! Shared by the thread that beats, the stages that claim, run and record, and the probes. On a shared database a node
//! whose last beat is too long ago claims nothing, starts nothing and records nothing: others may have taken its work.
//! Asks no database.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use super::EngineOptions;
use crate::protocol::{NodeId, NodeState};
use crate::store::Uptime;

/// Longest time between beats, and shortest.
const BEAT_MAX: Duration = Duration::from_secs(5);
const BEAT_MIN: Duration = Duration::from_millis(100);
/// A node stops its own work so long before others may take it, unless that were half of the lease.
const MARGIN: Duration = Duration::from_secs(1);

/// The times of a node's beats.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    pub interval: Duration,
    /// Longest wait for the answer to one beat.
    pub patience: Duration,
    /// So long after its last beat a node stops its work.
    pub fence: Duration,
}

impl Rhythm {
    /// For the options of an engine.
    fn of(options: &EngineOptions) -> Self {
        let lease = Duration::from_secs(u64::from(options.lease_seconds));
        let margin = MARGIN.max(lease / 5).min(lease / 2);
        Self {
            interval: (lease / 3).clamp(BEAT_MIN, BEAT_MAX),
            patience: (lease / 3).min(2 * BEAT_MAX),
            fence: lease - margin,
        }
    }
}

/// A fresh id: the name made plain, and a random end.
pub fn fresh_node(name: &str) -> NodeId {
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let plain = if plain.is_empty() { "node" } else { plain.as_str() };
    NodeId(format!("{}-{:06x}", &plain[..plain.len().min(40)], rand::random_range(0..0x100_0000_u32)))
}

/// How this node stands.
pub struct Liveness {
    /// Other processes may work on the same database.
    shared: bool,
    /// The times of its beats.
    pub rhythm: Rhythm,
    /// Changes where this process was taken for lost and joined anew.
    node: RwLock<NodeId>,
    /// When the last beat that was answered was sent, in ms of the uptime, which goes on while the machine sleeps: so do
    /// the other nodes.
    beaten_ms: AtomicU64,
    /// The last beat was not answered.
    missed: AtomicBool,
    fenced: AtomicBool,
    retired: AtomicBool,
    leaving: AtomicBool,
    /// The next beat is not to wait for its time.
    hurry: Notify,
}

impl Liveness {
    /// A node that lives from now on.
    pub fn new(options: &EngineOptions, shared: bool) -> Self {
        Self {
            shared,
            rhythm: Rhythm::of(options),
            node: RwLock::new(fresh_node(&options.node_name)),
            beaten_ms: AtomicU64::new(Uptime::now().ms()),
            missed: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            hurry: Notify::new(),
        }
    }

    /// Who this node is.
    pub fn node(&self) -> NodeId {
        self.node.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is another from now on.
    pub fn rename(&self, node: NodeId) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = node;
    }

    /// True where this node is not (or may not be) `node` any more.
    pub fn is_another_than(&self, node: &NodeId) -> bool {
        self.is_fenced() || self.node() != *node
    }

    /// A beat that was sent at `sent` has been answered.
    pub fn beaten(&self, sent: Uptime) {
        self.missed.store(false, Ordering::Release);
        self.beaten_ms.fetch_max(sent.ms(), Ordering::AcqRel);
    }

    /// A beat has not been answered.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::Release);
    }

    /// True while beats are not answered: the database is busy beyond measure, or away.
    pub fn is_away(&self) -> bool {
        self.shared && self.missed.load(Ordering::Acquire)
    }

    /// Time since the last beat that was answered.
    pub fn age(&self) -> Duration {
        Duration::from_millis(Uptime::now().ms().saturating_sub(self.beaten_ms.load(Ordering::Acquire)))
    }

    /// True where others may take this node for lost, so that it must beat before it claims or records anything.
    pub fn is_stale(&self) -> bool {
        self.shared && self.age() >= self.rhythm.fence
    }

    /// True while the node has stopped its own work, until it has joined anew.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// Nothing may be done any more as who this node was; true where it was not fenced before.
    pub fn fence(&self) -> bool {
        !self.fenced.swap(true, Ordering::AcqRel)
    }

    /// It has joined anew.
    pub fn unfence(&self) {
        self.fenced.store(false, Ordering::Release);
    }

    /// Has the node beat at once.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Resolves where it is to beat at once. Cancel-safe.
    pub async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// True once somebody asked this node to take no more work.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// It takes no more work; true where it was not asked before.
    pub fn retire(&self) -> bool {
        !self.retired.swap(true, Ordering::AcqRel)
    }

    /// True once the process stops.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The process stops.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// What this node says of itself.
    pub fn state(&self) -> NodeState {
        if self.is_leaving() || self.is_retired() { NodeState::Draining } else { NodeState::Up }
    }

    /// As if the last beat that was answered had been sent so much earlier.
    #[cfg(test)]
    pub fn age_by(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        let older = |beaten: u64| Some(beaten.saturating_sub(ms));
        self.beaten_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, older).unwrap();
    }
}
