//! The recorder: what slots have done, in groups, into the database.
//!
//! Owns the one loop that commits and publishes. Started by the engine. Invariant: a group is committed or kept,
//! never dropped; rows are published after their commit only. Deliberately knows no item.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::engine::dispatch::{Course, Group, REFRESH};
use crate::engine::{Engine, Inner};
use crate::fault::Point;
use crate::protocol::BatchState;
use crate::store::{BatchChange, BatchKey, Recorded, StoreError};

/// Shortest time from one group to the next, unless it is full.
const GROUP_INTERVAL: Duration = Duration::from_millis(50);
/// Pause of a node that must beat before it tells anything.
const STALE_PAUSE: Duration = Duration::from_millis(20);
/// Pause before a group is tried again: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(20);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// Records until the engine stops.
pub async fn record_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = inner.desk.report.notified() => {}
            () = tokio::time::sleep(REFRESH) => {}
            () = inner.stop.cancelled() => return,
        }
        while last.elapsed() < GROUP_INTERVAL && !inner.desk.is_full() {
            let left = GROUP_INTERVAL.saturating_sub(last.elapsed());
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = inner.desk.full.notified() => {}
                () = inner.stop.cancelled() => return,
            }
        }
        last = Instant::now();
        if inner.is_stale() {
            // Whether what this node holds is still its own, the next beat tells.
            tokio::time::sleep(STALE_PAUSE).await;
            continue;
        }
        let group = inner.desk.collect(last);
        if group.reports.is_empty() {
            continue;
        }
        let Some((mut recorded, tries)) = commit(&inner, &group).await else { return };
        if tries > 1 {
            catch_up(&engine, &group, &mut recorded).await;
        }
        settle(&engine, &group, recorded);
    }
}

/// Commits a group, however long it takes, and says after how many tries; none where it never can be, or the engine
/// stops.
async fn commit(inner: &Inner, group: &Group) -> Option<(Recorded, u64)> {
    let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
    for tries in 1.. {
        match inner.store.record(&inner.node(), &group.reports).await {
            Ok(recorded) => {
                Point::RecordCommitted.visit();
                inner.recovered();
                return Some((recorded, tries));
            }
            Err(error) => {
                inner.trouble("results cannot be recorded", &error);
                if is_defect(&error) {
                    inner.break_down(format!("results cannot be recorded: {error}"));
                    return None;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = inner.stop.cancelled() => return None,
        }
    }
    None
}

/// A try whose answer was lost may have been committed: the later one then says so, and no longer what has changed.
/// So the batches of the group that it did not change are read, to be told as they are now.
pub async fn catch_up(engine: &Engine, group: &Group, recorded: &mut Recorded) {
    let told: BTreeSet<BatchKey> = recorded.changes.iter().map(|change| change.batch.key).collect();
    let missed: BTreeSet<BatchKey> =
        group.batches.iter().copied().filter(|key| !told.contains(key)).collect();
    let store = &engine.inner.store;
    for key in missed {
        let read = async {
            let batch = store.batch_by_key(key).await?;
            let families = store.families(&batch).await?.families;
            Ok::<_, StoreError>(BatchChange {
                batch,
                families,
                cells: Vec::new(),
                strip_reshaped: true,
                ended: 0,
            })
        };
        match read.await {
            Ok(change) => recorded.changes.push(change),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => engine.inner.trouble("a batch cannot be read", &error),
        }
    }
}

/// True where trying again cannot help.
fn is_defect(error: &StoreError) -> bool {
    match error {
        StoreError::Invariant(_)
        | StoreError::NotFound(_)
        | StoreError::WrongState(_)
        | StoreError::NotFinished
        | StoreError::WrongFirstSeq { .. }
        | StoreError::Taken(_) => true,
        StoreError::DiskFull | StoreError::Busy(_) | StoreError::Database(_) | StoreError::Io(_) => false,
    }
}

/// After the commit: tell, estimate, and do what the answers say.
fn settle(engine: &Engine, group: &Group, recorded: Recorded) {
    let inner = &engine.inner;
    let mut nudge = group.frees;
    for change in &recorded.changes {
        engine.publish(change);
        inner.count_ended(change.ended);
        nudge |= change.batch.state == BatchState::Paused;
    }
    let learned = inner.desk.learn(&recorded.answers);
    if learned.lost > 0 {
        tracing::warn!(leases = learned.lost, "leases were lost: their work is another's");
    }
    if learned.more {
        inner.desk.report.notify_one();
    }
    if nudge || learned.closed > 0 {
        inner.desk.nudge.notify_one();
    }
    for BatchChange { batch, .. } in &recorded.changes {
        if batch.state.is_finished() {
            inner.desk.forget(batch.key);
            inner.audits.note(batch.key);
            if batch.options.then.is_some() {
                inner.acts.notify_one();
            }
        } else if batch.state == BatchState::Paused {
            // The commit itself may have paused it: its other leases on this node need not wait for their report.
            inner.desk.steer(batch.key, batch.rev, Course::HandBack);
        }
    }
}
