//! The audit of what has ended: counters against rows, in release builds too.
//!
//! What does not add up stops this node's claiming, for good; what is stored can still be read. Audits one batch at a
//! time, on connections that read: work goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::engine::supervisor::Loops;
use crate::store::{BatchKey, Store, StoreError};

/// Batches that wait at most; beyond, the one that has waited longest is not audited.
const WAITING_MAX: usize = 1_024;

/// Batches that have ended and were not audited yet.
#[derive(Default)]
pub struct AuditQueue {
    waiting: Mutex<VecDeque<BatchKey>>,
    added: Notify,
}

impl AuditQueue {
    /// Adds a batch that has ended.
    pub fn add(&self, batch: BatchKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(batch);
        drop(waiting);
        self.added.notify_one();
    }

    fn next(&self) -> Option<BatchKey> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Audits what has ended until the engine stops.
pub async fn audit_loop(store: Store, queue: Arc<AuditQueue>, loops: Loops) {
    let stop = loops.stop_token();
    loop {
        while let Some(batch) = queue.next() {
            match store.audit_sums(batch).await {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(fault @ StoreError::Invariant(_)) => {
                    loops.health().trouble("a batch does not add up", &fault);
                }
                Err(error) => tracing::warn!(batch, %error, "a batch that has ended was not audited"),
            }
        }
        tokio::select! {
            () = queue.added.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}
