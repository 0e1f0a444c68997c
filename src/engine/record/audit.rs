//! The audit of what has ended: counters against rows, in release builds too.
//!
//! Owns the queue of batches to look at and the loop that does. Told by recorder and acts after the commit that ends a
//! batch. Invariant: what does not add up stops this node's claiming, for good, and what is stored can still be read.
//! Deliberately one batch at a time, on connections that read: work goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::engine::Inner;
use crate::store::{BatchKey, StoreError};

/// Batches that wait at most; beyond, the one that has waited longest is not looked at.
const WAITING_MAX: usize = 1_024;

/// Batches that have ended and were not looked at yet.
#[derive(Default)]
pub struct Audits {
    waiting: Mutex<VecDeque<BatchKey>>,
    come: Notify,
}

impl Audits {
    /// Takes note of a batch that has ended.
    pub fn note(&self, batch: BatchKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(batch);
        drop(waiting);
        self.come.notify_one();
    }

    fn next(&self) -> Option<BatchKey> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Looks at what has ended until the engine stops.
pub async fn audit_loop(inner: Arc<Inner>) {
    loop {
        while let Some(batch) = inner.audits.next() {
            match inner.store.audit_sums(batch).await {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(fault @ StoreError::Invariant(_)) => inner.trouble("a batch does not add up", &fault),
                Err(error) => tracing::warn!(batch, %error, "a batch that has ended was not audited"),
            }
        }
        tokio::select! {
            () = inner.audits.come.notified() => {}
            () = inner.stop.cancelled() => return,
        }
    }
}
