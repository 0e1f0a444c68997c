//! The beat: how this node says that it lives, and what it does where it cannot.
//!
//! Owns the loop that beats; on a shared database it has a thread and connections of its own, so that nothing else
//! keeps it waiting. Started by the engine. Invariant: a node that could not beat has stopped its own work before
//! others may have it, and joins anew under another id before it claims again. Deliberately takes nothing from others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::liveness::Rhythm;
use crate::engine::supervisor::visited;
use crate::engine::{EngineError, Inner, lifecycle};
use crate::fault::Loop;
use crate::protocol::NodeState;
use crate::store::{StoreError, Uptime};

/// Pause after a beat that failed.
const AGAIN: Duration = Duration::from_millis(250);

/// Beats on a thread of its own until the engine stops.
pub fn start_thread(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let failed = |fault| EngineError::Store(StoreError::Io(fault));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let inner = Arc::clone(inner);
    let beats = move || {
        let watched = Arc::clone(&inner);
        let beats = visited(Loop::Beat, beat_loop(inner));
        if catch_unwind(AssertUnwindSafe(|| runtime.block_on(beats))).is_err() {
            watched.broke(Loop::Beat, &"it panicked");
            watched.fence("the thread that beats broke");
        }
    };
    std::thread::Builder::new().name("milepost-beat".to_owned()).spawn(beats).map(drop).map_err(failed)
}

/// Beats until the engine says no more.
pub async fn beat_loop(inner: Arc<Inner>) {
    let rhythm = Rhythm::of(&inner.options);
    let shared = inner.store.is_shared();
    let mut rate = Rate { at: Instant::now(), ended: 0 };
    let mut pause = rhythm.interval;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = inner.pulse.hurried() => {}
            () = inner.quiet.cancelled() => return,
        }
        if inner.is_stale() {
            inner.fence("this node could not beat for too long");
        }
        if shared && inner.health().broken.is_some() {
            // It records nothing any more: without a beat the others take what it holds. What is stored is still shown.
            inner.fence("this node is broken");
            inner.quiet.cancelled().await;
            return;
        }
        rate.measure(&inner);
        let sent = Uptime::now();
        let told =
            async { if inner.pulse.is_fenced() { join_anew(&inner).await } else { beat(&inner).await } };
        let answer = tokio::select! {
            answer = tokio::time::timeout(rhythm.patience, told) => answer,
            () = inner.quiet.cancelled() => return,
        };
        pause = match answer {
            Ok(Ok(())) => {
                inner.pulse.beaten(sent);
                inner.recovered();
                // A slot may have let all go while the beat was on its way.
                if inner.pulse.is_fenced() { Duration::ZERO } else { rhythm.interval }
            }
            Ok(Err(StoreError::NotFound(_))) if shared => {
                inner.fence("this node was taken for lost");
                Duration::ZERO
            }
            Ok(Err(error)) => {
                inner.pulse.miss();
                inner.trouble("the node cannot beat", &error);
                AGAIN
            }
            Err(_late) => {
                inner.pulse.miss();
                inner.trouble("the node cannot beat", &StoreError::Busy("no answer in time".to_owned()));
                AGAIN
            }
        };
        if shared && !inner.pulse.is_fenced() {
            pause = pause.min(rhythm.fence.saturating_sub(inner.pulse.age()));
        }
    }
}

async fn beat(inner: &Arc<Inner>) -> Result<(), StoreError> {
    if inner.store.is_shared() {
        // First: where this machine stood still, the beat must not be of before.
        inner.store.renew_clock_to_beat().await?;
    }
    let state = inner.state_told();
    let wish = inner.store.node_beat(&inner.node(), inner.desk.busy(), inner.rate(), state).await?;
    if wish == NodeState::Draining && !inner.is_leaving() {
        inner.retire();
    }
    Ok(())
}

/// Registers under a fresh id: what the old one held is lost to it, whether or not others have taken it yet.
async fn join_anew(inner: &Arc<Inner>) -> Result<(), StoreError> {
    inner.store.renew_clock_to_beat().await?;
    let old = inner.node();
    let fresh = lifecycle::fresh_node(&inner.options.node_name);
    let mut record = inner.node_record();
    record.id = fresh.clone();
    // On the runtime of the loops: connections made there outlive this thread.
    let (store, left) = (inner.store.clone(), old.clone());
    let replaced = inner.main.spawn(async move { store.node_replaced(&left, &record).await });
    let replaced = AbortOnDropHandle::new(replaced).await;
    replaced.map_err(|fault| StoreError::Io(std::io::Error::other(fault)))??;
    *inner.node.write().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
    // A claim may have been answered meanwhile: whatever is held is of the old id.
    inner.desk.lose_all();
    tracing::warn!(old = old.0, new = fresh.0, "this node has joined anew");
    inner.pulse.unfence();
    inner.lost.notify_one();
    inner.desk.nudge.notify_one();
    Ok(())
}

impl Inner {
    /// Stops all work of this node at once: from now on it may be another's.
    pub fn fence(&self, why: &'static str) {
        let first = self.pulse.fence();
        let lost = self.desk.lose_all();
        if first {
            tracing::warn!(leases = lost, why, "this node stops its work until it has joined anew");
        }
    }

    /// What this node says of itself.
    pub fn state_told(&self) -> NodeState {
        if self.is_leaving() || self.pulse.is_retired() { NodeState::Draining } else { NodeState::Up }
    }
}

/// Items ended per second between beats.
struct Rate {
    at: Instant,
    ended: u64,
}

impl Rate {
    fn measure(&mut self, inner: &Inner) {
        let ended = inner.ended.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a rate for a card")]
        let rate = (ended - self.ended) as f64 / self.at.elapsed().as_secs_f64().max(0.001);
        *self = Self { at: Instant::now(), ended };
        inner.rate_bits.store(rate.to_bits(), Ordering::Relaxed);
    }
}
