//! How this node stands by the clock: its last beat, whether it may work, whether its loops have their turn.
//!
//! Owns what the beating thread, the claim loop and the recorder share of it. Invariant: on a shared database a node
//! whose last beat is too long ago claims nothing and tells nothing. Deliberately asks no database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::lease_recovery;
use crate::engine::{EngineError, EngineOptions, Inner};
use crate::fault::Loop;
use crate::store::{StoreError, Uptime};

/// Longest time between beats, and shortest.
const BEAT_MAX: Duration = Duration::from_secs(5);
const BEAT_MIN: Duration = Duration::from_millis(100);
/// A node stops its own work so long before others may take it, unless that were half of the lease.
const MARGIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the clock was set, and after the loops.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Loops that had no turn in so many looks are blocked.
const BLOCKED_LOOKS: u32 = 5;

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
    pub fn of(options: &EngineOptions) -> Self {
        let lease = Duration::from_secs(u64::from(options.lease_seconds));
        let margin = MARGIN.max(lease / 5).min(lease / 2);
        Self {
            interval: (lease / 3).clamp(BEAT_MIN, BEAT_MAX),
            patience: (lease / 3).min(2 * BEAT_MAX),
            fence: lease - margin,
        }
    }
}

/// How this node stands.
pub struct Pulse {
    /// When the last beat that was answered was sent, in ms of the uptime, which goes on while the machine sleeps: so do
    /// the others.
    beaten_ms: AtomicU64,
    /// The last beat was not answered.
    missed: AtomicBool,
    fenced: AtomicBool,
    retired: AtomicBool,
    /// The next beat is not to wait for its time.
    hurry: Notify,
    /// Counts turns of the process's own loops.
    turns: AtomicU64,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            beaten_ms: AtomicU64::new(Uptime::now().ms()),
            missed: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            hurry: Notify::new(),
            turns: AtomicU64::new(0),
        }
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
        self.missed.load(Ordering::Acquire)
    }

    /// Time since the last beat that was answered.
    pub fn age(&self) -> Duration {
        Duration::from_millis(Uptime::now().ms().saturating_sub(self.beaten_ms.load(Ordering::Acquire)))
    }

    /// True while the node has stopped its own work, until it has joined anew.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// True where it was not fenced before.
    pub fn fence(&self) -> bool {
        !self.fenced.swap(true, Ordering::AcqRel)
    }

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

    /// As if the last beat that was answered had been sent so much earlier.
    #[cfg(test)]
    pub fn age_by(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        let older = |beaten: u64| Some(beaten.saturating_sub(ms));
        self.beaten_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, older).unwrap();
    }

    /// True once somebody asked this node to take no more work.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// True where it was not asked before.
    pub fn retire(&self) -> bool {
        !self.retired.swap(true, Ordering::AcqRel)
    }
}

impl Inner {
    /// True where others may take this node for lost, so that it must beat before it claims or tells anything.
    pub fn is_stale(&self) -> bool {
        self.store.is_shared() && self.pulse.age() >= Rhythm::of(&self.options).fence
    }

    /// True where an item of a lease may be started now. A process that was frozen, or slept with its machine, comes to
    /// itself in its slots first: whatever it holds may be another's by then, and is let go here, not only by the beat.
    pub fn may_start(&self) -> bool {
        if !self.is_stale() {
            return true;
        }
        self.fence("this node stood still for too long");
        self.pulse.hurry();
        false
    }
}

/// Counts turns until the engine stops, and waits for nothing else.
pub async fn turn_loop(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = inner.stop.cancelled() => return,
        }
        inner.pulse.turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks whether the clock was set, until the engine stops.
pub async fn clock_loop(inner: Arc<Inner>) {
    let mut epoch = inner.store.clock_epoch();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = inner.stop.cancelled() => return,
        }
        let looked = async {
            inner.store.renew_clock().await?;
            let now = inner.store.clock_epoch();
            if now != epoch {
                // What was recorded by a clock that was wrong for a moment waits no longer than it may.
                inner.store.clamp_due(lease_recovery::policy(&inner)).await?;
                epoch = now;
                inner.desk.nudge.notify_one();
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            inner.trouble("the clock cannot be looked at", &error);
        }
    }
}

/// Looks from a thread of its own whether the loops have their turn, until the engine is gone.
pub fn look_after(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let (watched, told) = (Arc::downgrade(inner), Arc::downgrade(inner));
    let looks = move || {
        let (mut seen, mut still) = (0, 0);
        loop {
            Loop::Look.turn();
            let until = Instant::now() + LOOK_INTERVAL;
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            {
                std::thread::park_timeout(left);
            }
            let Some(inner) = watched.upgrade().filter(|inner| !inner.stop.is_cancelled()) else { return };
            let turns = inner.pulse.turns.load(Ordering::Relaxed);
            // Its own looks are counted, not time: a process that was frozen as a whole is not blocked.
            still = if turns == seen { still + 1 } else { 0 };
            seen = turns;
            inner.note_blocked(still >= BLOCKED_LOOKS);
        }
    };
    let looks = move || {
        if catch_unwind(AssertUnwindSafe(looks)).is_err()
            && let Some(inner) = told.upgrade()
        {
            inner.broke(Loop::Look, &"it panicked");
        }
    };
    let made = std::thread::Builder::new().name("milepost-look".to_owned()).spawn(looks);
    made.map(drop).map_err(|fault| EngineError::Store(StoreError::Io(fault)))
}
