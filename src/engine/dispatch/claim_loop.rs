//! The claim loop: asks the store for leases, as many as the slots can use.
//!
//! Nothing is claimed while the node is not ready or leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::demand::Demand;
use super::dispatcher::Dispatcher;
use super::lease::Disposition;
use super::prepared_batch::Preparer;
use crate::engine::liveness::Liveness;
use crate::engine::publisher::Publisher;
use crate::engine::supervisor::Loops;
use crate::fault::Point;
use crate::protocol::NodeId;
use crate::store::{BatchKey, Claim, ClaimRequest, RunnableTasks, Store};

/// Items of one lease at most.
const LEASE_ITEMS_MAX: u64 = 131_072;
/// The store is asked at least so often while slots are idle: what a lost wake-up hid is found then.
const SAFETY_NET: Duration = Duration::from_millis(500);
/// With all slots taken, it is looked at least so often for a batch that has none of them, and at most so often.
const TURN_INTERVAL: Duration = Duration::from_millis(200);
const TURN_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Pause of these looks after one that brought nothing for whom it was meant.
const TURN_PAUSE: Duration = Duration::from_secs(2);
/// Items leased to a batch of unknown pace that gets its turn: ten quick ones beside a million are done in one go, and
/// slow ones go back within about 2 s.
const TURN_ITEMS: u64 = 16;
/// For so long after a claim without an answer leases are looked for that nobody here knows of: the database gives up a
/// commit that it was asked for within this time.
const DOUBT: Duration = Duration::from_secs(30);
/// Never sooner again for what comes due.
const DUE_MS_MIN: u64 = 2;
/// Pause after an error.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether the store may have something for this node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claimed {
    /// This node wants nothing now.
    Enough,
    /// The store has nothing now.
    Nothing,
    /// The store did not answer.
    Unanswered,
}

/// The loop that claims.
pub struct ClaimLoop {
    pub store: Store,
    pub dispatcher: Arc<Dispatcher>,
    pub preparer: Arc<Preparer>,
    pub publisher: Arc<Publisher>,
    pub liveness: Arc<Liveness>,
    pub loops: Loops,
}

impl ClaimLoop {
    /// Claims until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        let wakes = &self.dispatcher.wakes;
        let mut next_turn = Instant::now();
        let mut doubt_until: Option<Instant> = None;
        loop {
            if doubt_until.is_some() && self.return_orphaned().await {
                doubt_until = doubt_until.filter(|until| Instant::now() < *until);
            }
            let mut claimed = self.claim_all().await;
            if claimed == Claimed::Enough && Instant::now() >= next_turn {
                let (pause, turned) = self.give_turn().await;
                next_turn = Instant::now() + pause;
                claimed = turned;
            }
            match claimed {
                Claimed::Enough => tokio::select! {
                    () = wakes.room.notified() => {}
                    () = wakes.work.notified() => {}
                    () = tokio::time::sleep(TURN_INTERVAL) => {}
                    () = stop.cancelled() => return,
                },
                // More room here does not help where there is nothing: only a commit or time does.
                Claimed::Nothing => {
                    let due = self.until_due().await;
                    tokio::select! {
                        () = wakes.work.notified() => {}
                        () = tokio::time::sleep(due) => {}
                        () = stop.cancelled() => return,
                    }
                }
                Claimed::Unanswered => {
                    doubt_until = Some(Instant::now() + DOUBT);
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Hands back what an unanswered claim was granted after all; false where the store does not answer now either.
    async fn return_orphaned(&self) -> bool {
        let node = self.liveness.node();
        if self.liveness.is_stale() || self.liveness.is_another_than(&node) {
            // The leases of who this node was are for others to take back: what ran of them has spent an attempt.
            return false;
        }
        match self.store.return_orphaned_leases(&node, &self.dispatcher.held()).await {
            Ok(changes) => {
                for change in &changes {
                    let batch = change.batch.key;
                    tracing::warn!(batch, "a lease that was granted without an answer goes back");
                    self.publisher.publish(change);
                }
                self.dispatcher.clear_reservations();
                true
            }
            Err(error) => {
                self.loops.health().trouble("leases of this node cannot be looked for", &error);
                false
            }
        }
    }

    /// Tasks of whose batches work is claimed here. Alone on its database a node claims them all: what nobody can run is
    /// then paused with its reason. Of several, another may know the task.
    fn runnable(&self) -> RunnableTasks {
        if self.store.is_shared() {
            RunnableTasks::Named(self.preparer.task_names().collect())
        } else {
            RunnableTasks::Any
        }
    }

    /// Claims until there is no more to be had, or no more is wanted.
    async fn claim_all(&self) -> Claimed {
        while self.loops.health().may_claim() {
            let Some(demand) = Demand::of(&self.dispatcher) else {
                return Claimed::Enough;
            };
            match self.claim(&demand).await {
                Ok(Some(_batch)) => {}
                Ok(None) => return Claimed::Nothing,
                Err(Unanswered) => return Claimed::Unanswered,
            }
        }
        Claimed::Enough
    }

    /// Claims one lease and gives it to the dispatcher; of which batch.
    async fn claim(&self, demand: &Demand) -> Result<Option<BatchKey>, Unanswered> {
        let node = self.liveness.node();
        let request = ClaimRequest {
            tasks: &self.runnable(),
            node: &node,
            slots_free: demand.slots_free,
            items_per_slot: &demand.items_per_slot,
            lease_items_max: LEASE_ITEMS_MAX,
            started_max: self.dispatcher.reserve(demand.slots_free),
        };
        match self.store.claim(&request).await {
            Ok(Some((claim, change))) => {
                Point::ClaimCommitted.visit();
                self.publisher.publish(&change);
                self.grant(&node, claim).await.map(Some)
            }
            Ok(None) => {
                self.dispatcher.cancel_reservation();
                Ok(None)
            }
            Err(error) => {
                self.dispatcher.doubt_reservation();
                self.loops.health().trouble("nothing can be claimed", &error);
                Err(Unanswered)
            }
        }
    }

    /// Gives a lease that `node` was granted to the dispatcher. A batch that cannot be run here pauses.
    async fn grant(&self, node: &NodeId, claim: Claim) -> Result<BatchKey, Unanswered> {
        let key = claim.batch.key;
        if self.liveness.is_another_than(node) {
            // Granted to whom this node was: others take it back.
            self.dispatcher.cancel_reservation();
            return Err(Unanswered);
        }
        // A create hands its task to the dispatcher before it ends: whatever the first two looks miss, the third finds.
        let known = self.dispatcher.prepared(key);
        let known = known.or_else(|| self.preparer.prepared_ahead(&claim.batch));
        let prepared = match known.or_else(|| self.dispatcher.prepared(key)) {
            // Its task may have been declared anew since.
            Some(batch) if batch.prepared.is_current() => Ok(batch),
            Some(_) | None => self.preparer.prepare(&claim.batch),
        };
        match prepared {
            Ok(batch) => {
                // It may have been given a concurrency since it was prepared.
                batch.is_limited.store(claim.batch.options.concurrency.is_some(), Ordering::Relaxed);
                self.dispatcher.keep_prepared(&batch);
                self.dispatcher.grant(claim, batch, Disposition::Run);
            }
            Err((reason, stand_in)) => {
                self.dispatcher.grant(claim, stand_in, Disposition::HandBack);
                tracing::warn!(batch = key, reason, "a batch cannot be run here and is paused");
                match self.store.pause(key, Some(reason)).await {
                    Ok(change) => self.publisher.publish(&change),
                    Err(error) => {
                        self.loops.health().trouble("a batch that cannot be run cannot be paused", &error);
                    }
                }
            }
        }
        Ok(key)
    }

    /// Claims for a batch that has none of the slots here, all of which are taken: otherwise it would wait until half of
    /// what was leased to the others has started. How long not to look again, and how it went.
    async fn give_turn(&self) -> (Duration, Claimed) {
        if !self.loops.health().may_claim() || !self.dispatcher.has_room() {
            return (TURN_INTERVAL_MIN, Claimed::Enough);
        }
        let first = match self.store.next_batch(&self.runnable()).await {
            Ok(Some(first)) if !self.dispatcher.works_on(first) => first,
            Ok(_) => return (TURN_INTERVAL_MIN, Claimed::Enough),
            Err(error) => {
                self.loops.health().trouble("whose turn it is cannot be read", &error);
                return (TURN_PAUSE, Claimed::Unanswered);
            }
        };
        let pace = self.dispatcher.prepared(first).and_then(|batch| batch.items_in(Duration::from_secs(1)));
        let items_per_slot = HashMap::from([(first, pace.unwrap_or(TURN_ITEMS))]);
        match self.claim(&Demand { slots_free: 1, items_per_slot }).await {
            Ok(Some(batch)) if batch == first => (TURN_INTERVAL_MIN, Claimed::Enough),
            Ok(_) => (TURN_PAUSE, Claimed::Enough),
            Err(Unanswered) => (TURN_PAUSE, Claimed::Unanswered),
        }
    }

    /// Time until something comes due, at most [`SAFETY_NET`].
    async fn until_due(&self) -> Duration {
        match self.store.next_due().await {
            Ok(Some(due)) => {
                let left = due.ms_since(self.store.steady());
                Duration::from_millis(left.max(DUE_MS_MIN)).min(SAFETY_NET)
            }
            Ok(None) => SAFETY_NET,
            Err(error) => {
                self.loops.health().trouble("what comes due cannot be read", &error);
                SAFETY_NET
            }
        }
    }
}

/// The store did not answer a claim, or no longer answers who this node is.
struct Unanswered;
