//! Whether the loops have their turn, and whether the clock was set.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::lease_recovery::LeaseRecovery;
use crate::engine::EngineError;
use crate::engine::health::Turns;
use crate::engine::supervisor::Loops;
use crate::fault::Loop;
use crate::store::StoreError;

/// How often the clock and the loops are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Loops that had no turn in so many looks are blocked.
const BLOCKED_LOOKS: u32 = 5;

/// Counts turns in `turns` until the engine stops, and waits for nothing else.
pub async fn turn_loop(turns: Arc<AtomicU64>, loops: Loops) {
    let stop = loops.stop_token();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks from a thread of its own whether `turns` grows, until the engine is gone.
pub fn start_watchdog(turns: &Arc<AtomicU64>, loops: Loops) -> Result<(), EngineError> {
    let turns = Arc::downgrade(turns);
    let health = Arc::clone(loops.health());
    let looks = move || {
        if catch_unwind(AssertUnwindSafe(|| look(&turns, &loops))).is_err() {
            health.broke(Loop::Watchdog, &"it panicked");
        }
    };
    let made = std::thread::Builder::new().name("milepost-look".to_owned()).spawn(looks);
    made.map(drop).map_err(|fault| EngineError::Store(StoreError::Io(fault)))
}

fn look(turns: &Weak<AtomicU64>, loops: &Loops) {
    let stop = loops.stop_token();
    let (mut seen, mut still) = (0, 0);
    loop {
        Loop::Watchdog.turn();
        let until = Instant::now() + LOOK_INTERVAL;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        let Some(turns) = turns.upgrade().filter(|_| !stop.is_cancelled()) else { return };
        let now = turns.load(Ordering::Relaxed);
        // Its own looks are counted, not time: a process that was frozen as a whole is not blocked.
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
        loops.health().set_blocked(if still >= BLOCKED_LOOKS { Turns::Blocked } else { Turns::Regular });
    }
}

/// Looks whether the clock was set, until the engine stops.
pub async fn clock_loop(recovery: Arc<LeaseRecovery>, loops: Loops) {
    let (stop, store) = (loops.stop_token(), recovery.store().clone());
    let mut epoch = store.clock_epoch();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let looked = async {
            store.renew_clock().await?;
            let now = store.clock_epoch();
            if now != epoch {
                // What was recorded by a clock that was wrong for a moment waits no longer than it may.
                recovery.clamp_due().await?;
                epoch = now;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            loops.health().trouble("the clock cannot be looked at", &error);
        }
    }
}
