//! Takes back what nodes held that are gone, and ends the uploads that came in through them.
//!
//! On a shared database every node looks for the gone, again and again; whichever nodes find one at once, it is done
//! once: the store decides under the batch's lock, by its own clock. A node alone takes everything back at its start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::acts::Acts;
use crate::engine::liveness::Liveness;
use crate::engine::supervisor::Loops;
use crate::engine::{CUT_OFF, EngineError, EngineOptions};
use crate::store::{ReclaimScope, RetryPolicy, Store, StoreError};

/// The recovery of leases.
pub struct LeaseRecovery {
    acts: Arc<Acts>,
    liveness: Arc<Liveness>,
    loops: Loops,
    options: Arc<EngineOptions>,
}

impl LeaseRecovery {
    /// By the acts of this node.
    pub fn new(acts: Arc<Acts>, liveness: Arc<Liveness>, loops: Loops, options: Arc<EngineOptions>) -> Self {
        Self { acts, liveness, loops, options }
    }

    /// Where leases are.
    pub fn store(&self) -> &Store {
        &self.acts.store
    }

    /// How attempts go on where a batch says nothing.
    fn policy(&self) -> RetryPolicy {
        RetryPolicy::new(self.options.attempts_max)
    }

    /// Nothing waits longer than it may, whatever the clock said when it was recorded.
    pub async fn clamp_due(&self) -> Result<(), StoreError> {
        self.store().clamp_due(self.policy()).await?;
        self.acts.dispatcher.work_arrived();
        Ok(())
    }

    /// Where nobody else works on the database: takes everything back that an earlier process had in hand, and ends the
    /// batches whose bodies stopped coming with it, open ones included: nobody was told of them.
    pub async fn take_all_back(&self) -> Result<(), StoreError> {
        let store = self.store();
        let taken_back = store.reclaim(ReclaimScope::All, self.policy()).await?;
        if !taken_back.is_empty() {
            tracing::info!(batches = taken_back.len(), "took back what an earlier process had in hand");
        }
        store.clamp_due(self.policy()).await?;
        let unfinished = store.unfinished().await?;
        for batch in
            unfinished.into_iter().filter(|batch| !batch.sealed && (batch.filling || !batch.options.open))
        {
            store.cancel(batch.key, Some(CUT_OFF.to_owned())).await?;
        }
        Ok(())
    }

    /// Looks for nodes that are gone until the engine stops, and at once when `lost` says that there may be one.
    pub async fn run(self: Arc<Self>, lost: Arc<Notify>) {
        let stop = self.loops.stop_token();
        let interval = Duration::from_secs(u64::from(self.options.reclaim_seconds));
        loop {
            // A node that may be lost itself leaves the others alone.
            if !self.liveness.is_stale()
                && let Err(error) = self.look().await
            {
                self.loops.health().trouble("what lost nodes held cannot be taken back", &error);
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = lost.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let Acts { store, publisher, dispatcher, .. } = &*self.acts;
        let lease = Duration::from_secs(u64::from(self.options.lease_seconds));
        for node in store.expel(lease).await? {
            tracing::warn!(node = node.0, "a node has not beaten for too long: it is taken for lost");
        }
        let taken_back = store.reclaim(ReclaimScope::Gone, self.policy()).await?;
        if !taken_back.is_empty() {
            tracing::info!(batches = taken_back.len(), "took back what lost nodes had in hand");
            for change in &taken_back {
                publisher.publish(change);
            }
            dispatcher.work_arrived();
        }
        store.expire_remote_progress().await?;
        for batch in store.intakes_of_the_gone().await? {
            match self.acts.cancel_because(batch, Some(CUT_OFF.to_owned())).await {
                // Another node was quicker.
                Ok(_) | Err(EngineError::Store(StoreError::WrongState(_) | StoreError::NotFound(_))) => {}
                Err(EngineError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(batch, %error, "a batch cut off in its upload stays open for now");
                }
            }
        }
        Ok(())
    }
}
