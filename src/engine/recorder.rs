//! The recorder: the one loop that commits what slots have done, in groups, and publishes it.
//!
//! The first report after a pause is committed at once; while more come, groups are as far apart as their commits allow. A
//! group is committed or kept, never dropped; rows are published only after their commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lease::{Course, REFRESH};
use super::told::Group;
use super::{Engine, Inner};
use crate::fault::Point;
use crate::protocol::BatchState;
use crate::store::{BatchChange, BatchKey, Recorded, StoreError};

/// Shortest time from one group to the next, unless it is full: where commits are quick, and where they are not.
const GROUP_INTERVAL_MIN: Duration = Duration::from_millis(20);
const GROUP_INTERVAL_MAX: Duration = Duration::from_millis(50);
/// Between these bounds a group waits for so many times as long as the last commit took: commits then take a twentieth of
/// the time at most.
const GROUP_COMMITS: u32 = 20;
/// Pause of a node that must beat before it tells anything.
const STALE_PAUSE: Duration = Duration::from_millis(20);
/// Pause before a group is tried again: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(20);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// Records until the engine stops.
pub(super) async fn record_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let (mut last, mut interval) = (Instant::now(), GROUP_INTERVAL_MIN);
    loop {
        tokio::select! {
            () = inner.desk.report.notified() => {}
            () = tokio::time::sleep(REFRESH) => {}
            () = inner.stop.cancelled() => return,
        }
        while last.elapsed() < interval && !inner.desk.is_full() {
            let left = interval.saturating_sub(last.elapsed());
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = inner.desk.full.notified() => {}
                () = inner.stop.cancelled() => return,
            }
        }
        if inner.is_stale() {
            // Whether what this node holds is still its own, the next beat tells.
            tokio::time::sleep(STALE_PAUSE).await;
            continue;
        }
        let now = Instant::now();
        let group = inner.desk.collect(now);
        if group.reports.is_empty() {
            // No group: what ends in a moment need not wait for it.
            continue;
        }
        last = now;
        let Some((mut recorded, tries)) = commit(&inner, &group).await else { return };
        interval = group_interval(last.elapsed());
        if tries > 1 {
            catch_up(&engine, &group, &mut recorded).await;
        }
        let ends = recorded.changes.iter().any(|change| change.batch.state.is_finished());
        settle(&engine, &group, recorded);
        // After it was told, so that no watcher waits for the disk. A power cut in between undoes what was told, as it does
        // with any other commit: then revisions are raised, and clients read anew.
        if ends && let Err(error) = inner.store.sync().await {
            inner.trouble("the end of a batch may not survive a power cut", &error);
        }
    }
}

/// How long the next group waits after one whose commit took `commit`.
fn group_interval(commit: Duration) -> Duration {
    (commit * GROUP_COMMITS).clamp(GROUP_INTERVAL_MIN, GROUP_INTERVAL_MAX)
}

/// Commits a group, however long it takes, and says after how many tries; none where it never can be, or the engine
/// stops.
async fn commit(inner: &Inner, group: &Group) -> Option<(Recorded, u64)> {
    let mut pause = AGAIN_FIRST;
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
            () = tokio::time::sleep(pause) => {}
            () = inner.stop.cancelled() => return None,
        }
        pause = (pause * 2).min(AGAIN_MAX);
    }
    None
}

/// A try whose answer was lost may have been committed: the later one then says so, and no longer what has changed.
/// So the batches of the group that it did not change are read, to be told as they are now.
pub(super) async fn catch_up(engine: &Engine, group: &Group, recorded: &mut Recorded) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_as_far_apart_as_their_commits_allow() {
        assert_eq!(group_interval(Duration::ZERO), GROUP_INTERVAL_MIN);
        assert_eq!(group_interval(Duration::from_millis(1)), Duration::from_millis(20));
        assert_eq!(group_interval(Duration::from_millis(2)), Duration::from_millis(40));
        assert_eq!(group_interval(Duration::from_secs(9)), GROUP_INTERVAL_MAX);
    }
}
