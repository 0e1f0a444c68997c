//! Loops under watch.
//!
//! Owns what happens when a loop of this process breaks. Called at the start, by the engine for its own loops and by the
//! server for those beside it. Invariant: no loop stops in silence: one that holds work makes the node not ready for
//! good, one that holds nothing is begun anew, and the node is not ready while that does not last. Deliberately knows
//! none of them.

use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Engine, Inner};
use crate::backoff::Backoff;
use crate::fault::Loop;

/// Pause before a loop is begun anew: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// A loop that has run for so long runs well: what was before is forgotten.
const WELL: Duration = Duration::from_secs(10);

/// Runs a loop that holds work of this node; one that breaks makes the node not ready.
pub(super) fn watch(inner: &Arc<Inner>, which: Loop, work: impl Future<Output = ()> + Send + 'static) {
    let watched = Arc::clone(inner);
    let running = inner.loops.spawn(visited(which, work));
    inner.loops.spawn(async move {
        if let Err(fault) = running.await {
            watched.broke(which, &fault);
        }
    });
}

impl Inner {
    /// A loop of this node broke that nobody begins anew.
    pub(super) fn broke(&self, which: Loop, fault: &dyn Display) {
        say(which, fault);
        self.break_down(format!("The {} loop broke; see the log.", which.name()));
    }
}

fn say(which: Loop, fault: &dyn Display) {
    tracing::error!(name = which.name(), %fault, "a loop broke");
}

/// As `work`, and a place at each of its turns.
pub(super) async fn visited(which: Loop, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        which.turn();
        work.as_mut().poll(context)
    })
    .await;
}

impl Engine {
    /// Runs a loop beside those of the engine that holds nothing between two rounds; one that breaks is begun anew. It is
    /// to end when what it serves does.
    pub fn keep<F>(&self, which: Loop, begin: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.loops.spawn(async move {
            let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
            loop {
                let mut running = pin!(AssertUnwindSafe(visited(which, begin())).catch_unwind());
                let ended = tokio::select! {
                    ended = &mut running => ended,
                    () = tokio::time::sleep(WELL) => {
                        backoff.reset();
                        inner.health().stumbling.remove(which.name());
                        running.await
                    }
                };
                if ended.is_ok() {
                    inner.health().stumbling.remove(which.name());
                    return;
                }
                say(which, &"it panicked");
                if backoff.has_failed() {
                    inner.health().stumbling.insert(which.name());
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                    () = inner.stop.cancelled() => return,
                }
            }
        });
    }
}
