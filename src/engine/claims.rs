//! The claim loop: leases for this node, as many as its slots can use.
//!
//! Owns when the store is asked for work, and how a granted batch is made ready. Started by the engine. Invariant:
//! nothing is claimed while the node is not ready or leaves. Deliberately knows no item.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::lease::Course;
use super::retry::RetryPlan;
use super::want::Want;
use super::work::{BatchWork, MovingMean};
use super::{Engine, Inner};
use crate::fault::Point;
use crate::protocol::NodeId;
use crate::store::{BatchRecord, Claim, ClaimRequest, RunnableTasks};

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
/// For so long after a claim without an answer it is looked for leases that nobody here knows of: the database gives up
/// a commit that it was asked for within this time.
const UNSURE: Duration = Duration::from_secs(30);
/// Never sooner again for what comes due.
const DUE_MS_MIN: u64 = 2;
/// Pause after an error.
const AGAIN: Duration = Duration::from_millis(500);
/// Time limits are held to a year.
const TIME_LIMIT_SECONDS_MAX: f64 = 31_536_000.0;

/// Whether the store may have something for this node.
enum Found {
    /// The desk wants nothing now.
    Sated,
    /// The store has nothing now.
    Dry,
    /// The store did not answer.
    Trouble,
}

/// Claims until the engine stops.
pub(super) async fn claim_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let mut next_turn = Instant::now();
    let mut unsure_until: Option<Instant> = None;
    loop {
        let stop = inner.stop.cancelled();
        if unsure_until.is_some() && return_strays(&engine).await {
            unsure_until = unsure_until.filter(|until| Instant::now() < *until);
        }
        let mut found = claim_all(&engine).await;
        if matches!(found, Found::Sated) && Instant::now() >= next_turn {
            let (pause, turned) = give_turn(&engine).await;
            next_turn = Instant::now() + pause;
            found = turned;
        }
        if matches!(found, Found::Trouble) {
            unsure_until = Some(Instant::now() + UNSURE);
        }
        match found {
            Found::Sated => tokio::select! {
                () = inner.desk.ask.notified() => {}
                () = inner.desk.nudge.notified() => {}
                () = tokio::time::sleep(TURN_INTERVAL) => {}
                () = stop => return,
            },
            // More room here does not help where there is nothing: only a commit or time does.
            Found::Dry => tokio::select! {
                () = inner.desk.nudge.notified() => {}
                () = tokio::time::sleep(until_due(&inner).await) => {}
                () = stop => return,
            },
            Found::Trouble => tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = stop => return,
            },
        }
    }
}

/// Hands back what an unanswered claim was granted after all; false where the store does not answer now either.
async fn return_strays(engine: &Engine) -> bool {
    let inner = &engine.inner;
    let node = inner.node();
    if inner.is_stale() || inner.is_another_than(&node) {
        // The leases of who this node was are for others to take back: what ran of them has spent an attempt.
        return false;
    }
    match inner.store.return_strays(&node, &inner.desk.known()).await {
        Ok(changes) => {
            for change in &changes {
                tracing::warn!(
                    batch = change.batch.key,
                    "a lease that was granted without an answer goes back"
                );
                engine.publish(change);
            }
            inner.desk.retract_all();
            true
        }
        Err(error) => {
            inner.trouble("leases of this node cannot be looked for", &error);
            false
        }
    }
}

impl Inner {
    /// Tasks of whose batches work is claimed here. Alone on its database a node claims them all: what nobody can run is
    /// then paused with its reason. Of several, another may know the task.
    fn runnable(&self) -> RunnableTasks<'_> {
        if self.store.is_shared() {
            RunnableTasks::Named(self.tasks.infos().map(|info| info.name.as_str()).collect())
        } else {
            RunnableTasks::Any
        }
    }

    /// True where this node is not (or may not be) who it was when it asked.
    fn is_another_than(&self, node: &NodeId) -> bool {
        self.pulse.is_fenced() || self.node() != *node
    }
}

/// Claims until there is no more to be had, or no more is wanted.
async fn claim_all(engine: &Engine) -> Found {
    let inner = &engine.inner;
    let tasks = inner.runnable();
    while inner.may_claim() {
        let Some(Want { slots_free, items_per_slot }) = inner.desk.want() else {
            return Found::Sated;
        };
        let node = inner.node();
        let request = ClaimRequest {
            tasks: &tasks,
            node: &node,
            slots_free,
            items_per_slot: &items_per_slot,
            lease_items_max: LEASE_ITEMS_MAX,
            started_max: inner.desk.promise(slots_free),
        };
        match inner.store.claim(&request).await {
            Ok(Some((claim, change))) => {
                Point::ClaimCommitted.visit();
                engine.publish(&change);
                if inner.is_another_than(&node) {
                    // Granted to whom this node was: others take it back.
                    inner.desk.retract();
                    return Found::Trouble;
                }
                take(engine, claim).await;
            }
            Ok(None) => {
                inner.desk.retract();
                return Found::Dry;
            }
            Err(error) => {
                inner.desk.keep_promise();
                inner.trouble("nothing can be claimed", &error);
                return Found::Trouble;
            }
        }
    }
    Found::Sated
}

/// Claims for a batch that has none of the slots here, all of which are taken: otherwise it would wait until half of what
/// was leased to the others has started. How long not to look again, and how it went.
async fn give_turn(engine: &Engine) -> (Duration, Found) {
    let inner = &engine.inner;
    if !inner.may_claim() || !inner.desk.has_room() {
        return (TURN_INTERVAL_MIN, Found::Sated);
    }
    let tasks = inner.runnable();
    let first = match inner.store.whose_turn(&tasks).await {
        Ok(Some(first)) if !inner.desk.works_on(first) => first,
        Ok(_) => return (TURN_INTERVAL_MIN, Found::Sated),
        Err(error) => {
            inner.trouble("whose turn it is cannot be read", &error);
            return (TURN_PAUSE, Found::Trouble);
        }
    };
    let node = inner.node();
    let pace = inner.desk.work_of(first).and_then(|work| work.items_in(Duration::from_secs(1)));
    let request = ClaimRequest {
        tasks: &tasks,
        node: &node,
        slots_free: 1,
        items_per_slot: &HashMap::from([(first, pace.unwrap_or(TURN_ITEMS))]),
        lease_items_max: LEASE_ITEMS_MAX,
        started_max: inner.desk.promise(1),
    };
    match inner.store.claim(&request).await {
        Ok(Some((claim, change))) => {
            let pause = if claim.batch.key == first { TURN_INTERVAL_MIN } else { TURN_PAUSE };
            engine.publish(&change);
            if inner.is_another_than(&node) {
                inner.desk.retract();
                return (TURN_PAUSE, Found::Trouble);
            }
            take(engine, claim).await;
            (pause, Found::Sated)
        }
        Ok(None) => {
            inner.desk.retract();
            (TURN_PAUSE, Found::Sated)
        }
        Err(error) => {
            inner.desk.keep_promise();
            inner.trouble("nothing can be claimed", &error);
            (TURN_PAUSE, Found::Trouble)
        }
    }
}

/// Time until something comes due, at most [`SAFETY_NET`].
async fn until_due(inner: &Inner) -> Duration {
    match inner.store.next_due().await {
        Ok(Some(due)) => {
            Duration::from_millis(due.ms_since(inner.store.steady()).max(DUE_MS_MIN)).min(SAFETY_NET)
        }
        Ok(None) => SAFETY_NET,
        Err(error) => {
            inner.trouble("what comes due cannot be read", &error);
            SAFETY_NET
        }
    }
}

/// Makes the batch of a granted lease ready, and puts the lease on the desk. A batch that cannot be run here pauses.
async fn take(engine: &Engine, claim: Claim) {
    let inner = &engine.inner;
    let ready = match inner.desk.work_of(claim.batch.key) {
        Some(work) => Ok(work),
        None => prepare(inner, &claim.batch),
    };
    match ready {
        Ok(work) => {
            // It may have been given a concurrency since it was made ready.
            work.is_limited.store(claim.batch.options.concurrency.is_some(), Ordering::Relaxed);
            inner.desk.keep(&work);
            inner.desk.grant(claim, work, Course::Run);
        }
        Err((reason, work)) => {
            let batch = claim.batch.key;
            inner.desk.grant(claim, work, Course::HandBack);
            tracing::warn!(batch, reason, "a batch cannot be run here and is paused");
            match inner.store.pause(batch, Some(reason)).await {
                Ok(change) => engine.publish(&change),
                Err(error) => inner.trouble("a batch that cannot be run cannot be paused", &error),
            }
        }
    }
}

/// The batch ready to run; or why not, with a stand-in that only serves to hand its items back.
pub(super) fn prepare(
    inner: &Inner,
    batch: &BatchRecord,
) -> Result<Arc<BatchWork>, (String, Arc<BatchWork>)> {
    let (prepared, fault) = match inner.tasks.prepare(&batch.task, &batch.params) {
        Some(Ok((_params, prepared))) => (prepared, None),
        Some(Err(faults)) => {
            let reason = format!("The parameters no longer fit the task: {}", faults.join("; "));
            (absent(), Some(reason))
        }
        None => (absent(), Some(format!("There is no task named {:?} here.", batch.task))),
    };
    let seconds = batch.options.timeout_seconds.unwrap_or_else(|| f64::from(prepared.timeout_seconds()));
    let work = Arc::new(BatchWork {
        key: batch.key,
        id: batch.id,
        task: batch.task.clone(),
        source: batch.source,
        is_limited: AtomicBool::new(batch.options.concurrency.is_some()),
        retry: RetryPlan::new(&batch.options, inner.options.attempts_max),
        time_limit: Duration::from_secs_f64(seconds.clamp(0.001, TIME_LIMIT_SECONDS_MAX)),
        out_prefix: format!("{}/{}-", inner.options.work.display(), batch.id).into(),
        pace_ns: MovingMean::default(),
        input_bytes: MovingMean::default(),
        served: AtomicU64::new(0),
        prepared,
    });
    match fault {
        None => Ok(work),
        Some(reason) => Err((reason, work)),
    }
}

/// Stands in for a task that is not there; never run.
fn absent() -> Arc<dyn crate::tasks::Prepared> {
    struct Absent;
    impl crate::tasks::Prepared for Absent {
        fn run(
            &self,
            _item: crate::tasks::Item,
            _context: crate::tasks::TaskContext,
        ) -> crate::tasks::task::Run {
            Box::pin(async { Err(crate::tasks::TaskError::passing("absent", "There is no such task here.")) })
        }
        fn timeout_seconds(&self) -> u32 {
            1
        }
    }
    Arc::new(Absent)
}
