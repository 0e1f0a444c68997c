//! How this node stands by the clock: its last beat, whether it may work, whether its loops have their turn.
//!
//! Owns what the beating thread, the claim loop and the recorder share of it. Invariant: on a shared database a node
//! whose last beat is too long ago claims nothing and tells nothing. Deliberately asks no database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::{EngineError, EngineOptions, Inner};
use crate::store::StoreError;

/// Longest time between beats, and shortest.
const BEAT_MAX: Duration = Duration::from_secs(5);
const BEAT_MIN: Duration = Duration::from_millis(100);
/// A node stops its own work so long before others may take it, unless that were half of the lease.
const MARGIN: Duration = Duration::from_secs(1);
/// How often the clocks are compared, and the loops looked after.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Loops that had no turn in so many looks are blocked.
const BLOCKED_LOOKS: u32 = 5;
/// The system's clock has jumped where it went further than this from the one that never jumps, in ms.
const JUMP_MS: i64 = 1_000;

/// The times of a node's beats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
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
pub(super) struct Pulse {
    since: Instant,
    /// When the last beat that was answered was sent, in ms after `since`.
    beaten_ms: AtomicU64,
    /// The last beat was not answered.
    missed: AtomicBool,
    fenced: AtomicBool,
    retired: AtomicBool,
    /// Counts turns of the process's own loops.
    turns: AtomicU64,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            beaten_ms: AtomicU64::new(0),
            missed: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            turns: AtomicU64::new(0),
        }
    }

    /// A beat that was sent at `sent` has been answered.
    pub fn beaten(&self, sent: Instant) {
        let ms = sent.saturating_duration_since(self.since).as_millis();
        self.missed.store(false, Ordering::Release);
        self.beaten_ms.fetch_max(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::AcqRel);
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
        self.since.elapsed().saturating_sub(Duration::from_millis(self.beaten_ms.load(Ordering::Acquire)))
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
    pub(super) fn is_stale(&self) -> bool {
        self.store.is_shared() && self.pulse.age() >= Rhythm::of(&self.options).fence
    }
}

/// Counts turns, and mends what a jump of the system's clock would do to what waits, until the engine stops.
pub(super) async fn clock_loop(inner: Arc<Inner>) {
    let mut last = (Instant::now(), SystemTime::now());
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = inner.stop.cancelled() => return,
        }
        inner.pulse.turns.fetch_add(1, Ordering::Relaxed);
        if inner.store.is_shared() {
            continue;
        }
        let now = (Instant::now(), SystemTime::now());
        let jump = jumped(last, now);
        last = now;
        if jump.abs() > JUMP_MS {
            tracing::warn!(ms = jump, "the system's clock has jumped");
            if let Err(error) = inner.store.shift_due(jump).await {
                inner.trouble("what waits cannot be set to the clock", &error);
            }
            inner.desk.nudge.notify_one();
        }
    }
}

/// How far the system's clock went beyond the other, in ms.
fn jumped(last: (Instant, SystemTime), now: (Instant, SystemTime)) -> i64 {
    let ms = |passed: Duration| i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
    let wall = match now.1.duration_since(last.1) {
        Ok(passed) => ms(passed),
        Err(back) => -ms(back.duration()),
    };
    wall.saturating_sub(ms(now.0.saturating_duration_since(last.0)))
}

/// Looks from a thread of its own whether the loops have their turn, until the engine is gone.
pub(super) fn look_after(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let watched = Arc::downgrade(inner);
    let looks = move || {
        let (mut seen, mut still) = (0, 0);
        loop {
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
    let made = std::thread::Builder::new().name("milepost-look".to_owned()).spawn(looks);
    made.map(drop).map_err(|fault| EngineError::Store(StoreError::Io(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_told_in_both_directions() {
        let (at, wall) = (Instant::now(), SystemTime::now());
        let later = at + Duration::from_secs(1);
        assert_eq!(jumped((at, wall), (later, wall + Duration::from_secs(1))), 0);
        assert_eq!(jumped((at, wall), (later, wall + Duration::from_secs(61))), 60_000);
        assert_eq!(jumped((at, wall), (later, wall - Duration::from_secs(59))), -60_000);
    }
}
