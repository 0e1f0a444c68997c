//! Goes on with acts over many: a step of each in a round, and what every step has the rest of the node do.

use std::sync::Arc;

use super::on_batch::Acts;
use crate::engine::dispatch::Disposition;
use crate::engine::liveness::Liveness;
use crate::protocol::BatchAct;
use crate::store::{BatchChange, BulkStep, StoreError};

/// What people are told of an act that met something broken; the log says more.
const BROKEN: &str = "One of the batches is broken; the log of the server says more.";

/// Steps acts over many.
pub struct BulkActs {
    pub acts: Arc<Acts>,
    pub liveness: Arc<Liveness>,
}

impl BulkActs {
    /// One step of each act that this node is to go on with; true where there was one.
    pub async fn round(&self) -> Result<bool, StoreError> {
        let (store, node) = (&self.acts.store, self.liveness.node());
        let mut any = false;
        for key in store.bulk_under_way(&node.0).await? {
            match store.bulk_step(key, &node.0).await {
                Ok(None) => {}
                Ok(Some(BulkStep { act, change })) => {
                    any = true;
                    if let Some(change) = change {
                        self.acts.follow_through(act, change);
                    }
                }
                // Not again and again: what it had done stays done.
                Err(fault @ StoreError::Invariant(_)) => {
                    tracing::error!(act = key, %fault, "an act over many cannot go on");
                    store.bulk_fail(key, BROKEN).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(any)
    }
}

impl Acts {
    /// What follows an act that was committed: running work is redirected, and everybody hears.
    fn follow_through(&self, act: BatchAct, mut change: BatchChange) {
        let (batch, rev) = (change.batch.key, change.batch.rev);
        match act {
            BatchAct::Pause => self.dispatcher.redirect(batch, rev, Disposition::HandBack),
            BatchAct::Cancel => {
                let drains = change.batch.cancel_drains;
                let disposition = if drains { Disposition::HandBack } else { Disposition::Cancel };
                self.dispatcher.redirect(batch, rev, disposition);
            }
            BatchAct::Delete => change.batch.deleted = true,
            BatchAct::Resume | BatchAct::Retry => {}
        }
        self.published(change);
        if act == BatchAct::Delete {
            self.wakes.sweep.notify_one();
        }
    }
}
