//! The loops of this process under watch, from their start to their end.
//!
//! No loop stops in silence. One that holds work makes the node not ready for good when it breaks; one that holds
//! nothing is started again, and the node is not ready while that does not last.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::health::{Health, log_break};
use crate::backoff::Backoff;
use crate::fault::Loop;

/// Pause before a loop is started again: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// A loop that has run for so long runs well: what was before is forgotten.
const WELL: Duration = Duration::from_secs(10);

/// The loops of this process, and when they are to stop. Cheap to clone.
#[derive(Clone)]
pub struct Loops {
    health: Arc<Health>,
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Beats end before the other loops.
    quiet: CancellationToken,
    /// The runtime that they run on.
    runtime: Handle,
    /// Items that ended on this node since its start.
    ended: Arc<AtomicU64>,
}

impl Loops {
    /// No loop yet, on the runtime of the caller.
    pub fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            quiet: CancellationToken::new(),
            runtime: Handle::current(),
            ended: Arc::default(),
        }
    }

    /// What the loops report to.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Fires when all loops are to end.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Fires when this node is to beat no more.
    pub fn quiet_token(&self) -> CancellationToken {
        self.quiet.clone()
    }

    /// The runtime that the loops run on: connections made there outlive the thread that asks for them.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Counts items that ended, for the rate of the node.
    pub fn ended(&self, items: u64) {
        self.ended.fetch_add(items, Ordering::Relaxed);
    }

    /// Items that ended on this node since its start.
    pub fn ended_items(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Runs something beside the loops that ends by itself.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(work, &self.runtime);
    }

    /// Runs a loop that holds work of this node; one that breaks makes the node not ready.
    pub fn watch(&self, which: Loop, work: impl Future<Output = ()> + Send + 'static) {
        let health = Arc::clone(&self.health);
        let running = self.tracker.spawn(counted(which, work));
        self.tracker.spawn(async move {
            if let Err(fault) = running.await {
                health.broke(which, &fault);
            }
        });
    }

    /// Runs a loop that holds nothing between two rounds; one that breaks is started again. It is to end when what it
    /// serves does.
    pub fn keep<F>(&self, which: Loop, begin: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (health, stop) = (Arc::clone(&self.health), self.stop.clone());
        self.tracker.spawn(async move {
            let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
            loop {
                let mut running = pin!(AssertUnwindSafe(counted(which, begin())).catch_unwind());
                let ended = tokio::select! {
                    ended = &mut running => ended,
                    () = tokio::time::sleep(WELL) => {
                        backoff.reset();
                        health.runs_well(which);
                        running.await
                    }
                };
                if ended.is_ok() {
                    health.runs_well(which);
                    return;
                }
                log_break(which, &"it panicked");
                if backoff.has_failed() {
                    health.stumbles(which);
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// No more beats.
    pub fn end_beats(&self) {
        self.quiet.cancel();
    }

    /// Ends all loops; false where some are still at work after `most`.
    pub async fn end(&self, most: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(most, self.tracker.wait()).await.is_ok()
    }
}

/// As `work`, and a fault point at each of its turns.
pub async fn counted(which: Loop, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        which.turn();
        work.as_mut().poll(context)
    })
    .await;
}
