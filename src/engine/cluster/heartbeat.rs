//! The heartbeat: how this node says that it lives, and what it does where it cannot.
//!
//! On a shared database it has a thread and connections of its own, so that nothing else keeps it waiting. A node that
//! could not beat has stopped its own work before others may have it, and joins anew under another id before it claims
//! again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::membership::Membership;
use crate::engine::EngineError;
use crate::engine::liveness::fresh_node;
use crate::engine::supervisor::counted;
use crate::fault::Loop;
use crate::protocol::NodeState;
use crate::store::{StoreError, Uptime};

/// Pause after a beat that failed.
const AGAIN: Duration = Duration::from_millis(250);

/// The loop that beats.
pub struct Heartbeat {
    pub membership: Arc<Membership>,
    /// Wakes the loop that takes back what lost nodes held: this one was lost.
    pub lost: Arc<Notify>,
}

impl Heartbeat {
    /// Beats on a thread of its own until the engine stops.
    pub fn start_thread(self) -> Result<(), EngineError> {
        let failed = |fault| EngineError::Store(StoreError::Io(fault));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let beats = move || {
            let membership = Arc::clone(&self.membership);
            let beats = counted(Loop::Heartbeat, self.run());
            if catch_unwind(AssertUnwindSafe(|| runtime.block_on(beats))).is_err() {
                membership.loops.health().broke(Loop::Heartbeat, &"it panicked");
                membership.dispatcher.fence("the thread that beats broke");
            }
        };
        std::thread::Builder::new().name("milepost-beat".to_owned()).spawn(beats).map(drop).map_err(failed)
    }

    /// Beats until the engine says no more.
    pub async fn run(self) {
        let Membership { store, liveness, dispatcher, loops, .. } = &*self.membership;
        let (quiet, health, rhythm) = (loops.quiet_token(), loops.health(), liveness.rhythm);
        let shared = store.is_shared();
        let mut rate = Rate { at: Instant::now(), ended: 0 };
        let mut pause = rhythm.interval;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = liveness.hurried() => {}
                () = quiet.cancelled() => return,
            }
            if liveness.is_stale() {
                dispatcher.fence("this node could not beat for too long");
            }
            if shared && health.is_broken() {
                // It records nothing any more: without a beat the others take what it holds. What is stored is still
                // shown.
                dispatcher.fence("this node is broken");
                quiet.cancelled().await;
                return;
            }
            rate.measure(&self.membership);
            let sent = Uptime::now();
            let beat =
                async { if liveness.is_fenced() { self.join_anew().await } else { self.beat().await } };
            let answer = tokio::select! {
                answer = tokio::time::timeout(rhythm.patience, beat) => answer,
                () = quiet.cancelled() => return,
            };
            let answer = answer.unwrap_or_else(|_late| Err(StoreError::Busy("no answer in time".to_owned())));
            pause = match answer {
                Ok(()) => {
                    liveness.beaten(sent);
                    health.recovered();
                    // A slot may have let all go while the beat was on its way.
                    if liveness.is_fenced() { Duration::ZERO } else { rhythm.interval }
                }
                Err(StoreError::NotFound(_)) if shared => {
                    dispatcher.fence("this node was taken for lost");
                    Duration::ZERO
                }
                Err(error) => {
                    liveness.miss();
                    health.trouble("the node cannot beat", &error);
                    AGAIN
                }
            };
            if shared && !liveness.is_fenced() {
                pause = pause.min(rhythm.fence.saturating_sub(liveness.age()));
            }
        }
    }

    async fn beat(&self) -> Result<(), StoreError> {
        let Membership { store, liveness, dispatcher, .. } = &*self.membership;
        if store.is_shared() {
            // First: where this machine stood still, the beat must not be of before.
            store.renew_clock_to_beat().await?;
        }
        let (busy, rate) = (dispatcher.slots.busy(), self.membership.rate());
        let wish = store.node_beat(&liveness.node(), busy, rate, liveness.state()).await?;
        if wish == NodeState::Draining && !liveness.is_leaving() {
            self.membership.retire();
        }
        Ok(())
    }

    /// Registers under a fresh id: what the old one held is lost to it, whether or not others have taken it yet.
    async fn join_anew(&self) -> Result<(), StoreError> {
        let Membership { store, liveness, dispatcher, loops, options, .. } = &*self.membership;
        store.renew_clock_to_beat().await?;
        let old = liveness.node();
        let fresh = fresh_node(&options.node_name);
        let mut record = self.membership.record();
        record.id = fresh.clone();
        // On the runtime of the loops: connections made there outlive this thread.
        let (store, left) = (store.clone(), old.clone());
        let replaced = loops.runtime().spawn(async move { store.node_replaced(&left, &record).await });
        let replaced = AbortOnDropHandle::new(replaced).await;
        replaced.map_err(|fault| StoreError::Io(std::io::Error::other(fault)))??;
        liveness.rename(fresh.clone());
        // A claim may have been answered meanwhile: whatever is held is of the old id.
        dispatcher.lose_all();
        tracing::warn!(old = old.0, new = fresh.0, "this node has joined anew");
        liveness.unfence();
        self.lost.notify_one();
        dispatcher.work_arrived();
        Ok(())
    }
}

/// Items ended per second between beats.
struct Rate {
    at: Instant,
    ended: u64,
}

impl Rate {
    fn measure(&mut self, membership: &Membership) {
        let ended = membership.loops.ended_items();
        #[expect(clippy::cast_precision_loss, reason = "a rate for a card")]
        let rate = (ended - self.ended) as f64 / self.at.elapsed().as_secs_f64().max(0.001);
        *self = Self { at: Instant::now(), ended };
        membership.rate_bits.store(rate.to_bits(), Ordering::Relaxed);
    }
}
