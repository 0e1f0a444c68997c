//! The recorder: commits what the slots have done, in groups, and publishes it.
//!
//! The first report after a pause is committed at once; while more come, groups are as far apart as their commits allow. A
//! group is committed or kept, never dropped; rows are published only after their commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::audit_queue::AuditQueue;
use super::report_collector::{Group, ReportCollector};
use crate::backoff::Backoff;
use crate::engine::dispatch::{Dispatcher, Disposition, REFRESH};
use crate::engine::liveness::Liveness;
use crate::engine::publisher::Publisher;
use crate::engine::supervisor::Loops;
use crate::fault::Point;
use crate::protocol::BatchState;
use crate::store::{BatchChange, BatchKey, Recorded, Store, StoreError};

/// Shortest time from one group to the next, unless it is full: where commits are quick, and where they are not.
const GROUP_INTERVAL_MIN: Duration = Duration::from_millis(20);
const GROUP_INTERVAL_MAX: Duration = Duration::from_millis(50);
/// Between these bounds a group waits so many times as long as the last commit took: commits then take at most a twentieth of
/// the time.
const GROUP_COMMITS: u32 = 20;
/// Pause of a node that must beat before it records anything.
const STALE_PAUSE: Duration = Duration::from_millis(20);
/// Pause before a group is tried again: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(20);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// When the next group may be committed. A look that finds nothing to record is no group, and delays none.
#[derive(Default)]
struct GroupPace {
    next: Option<Instant>,
}

impl GroupPace {
    /// How long the next group still waits at `now`; none where it need not.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.next?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Notes that the commit of a group began at `begun` and took so long.
    fn committed(&mut self, begun: Instant, took: Duration) {
        self.next = Some(begun + (took * GROUP_COMMITS).clamp(GROUP_INTERVAL_MIN, GROUP_INTERVAL_MAX));
    }
}

/// What follows the commit of a group.
pub struct AfterCommit {
    pub publisher: Arc<Publisher>,
    pub audits: Arc<AuditQueue>,
    /// A batch has ended that another follows.
    pub follow_ups: Arc<Notify>,
}

/// The loop that records.
pub struct Recorder {
    pub store: Store,
    pub dispatcher: Arc<Dispatcher>,
    pub after: AfterCommit,
    pub liveness: Arc<Liveness>,
    pub loops: Loops,
}

impl Recorder {
    /// Records until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        let wakes = &self.dispatcher.wakes;
        let collector = ReportCollector(Arc::clone(&self.dispatcher));
        let mut pace = GroupPace::default();
        loop {
            tokio::select! {
                () = wakes.report.notified() => {}
                () = tokio::time::sleep(REFRESH) => {}
                () = stop.cancelled() => return,
            }
            while let Some(left) = pace.left(Instant::now())
                && !self.dispatcher.is_group_full()
            {
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    () = wakes.group.notified() => {}
                    () = stop.cancelled() => return,
                }
            }
            if self.liveness.is_stale() {
                // Whether what this node holds is still its own, the next beat tells.
                tokio::time::sleep(STALE_PAUSE).await;
                continue;
            }
            let begun = Instant::now();
            let group = collector.collect(begun);
            if group.reports.is_empty() {
                continue;
            }
            let Some((mut recorded, tries)) = self.commit(&group).await else { return };
            pace.committed(begun, begun.elapsed());
            if tries > 1 {
                catch_up(&self.store, &self.loops, &group, &mut recorded).await;
            }
            // The end of a batch survives a power cut before anybody is told of it. Other commits need not: after a cut
            // revisions are raised, and clients read anew.
            let ends = recorded.changes.iter().any(|change| change.batch.state.is_finished());
            if ends && !self.synced().await {
                return;
            }
            self.settle(&collector, &group, recorded);
        }
    }

    /// Commits a group, however long it takes, and says after how many tries; none where it never can be, or the engine
    /// stops.
    async fn commit(&self, group: &Group) -> Option<(Recorded, u64)> {
        let (stop, health) = (self.loops.stop_token(), self.loops.health());
        let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
        for tries in 1.. {
            match self.store.record(&self.liveness.node(), &group.reports).await {
                Ok(recorded) => {
                    Point::RecordCommitted.visit();
                    health.recovered();
                    return Some((recorded, tries));
                }
                Err(error) => {
                    health.trouble("results cannot be recorded", &error);
                    if is_defect(&error) {
                        health.break_down(format!("results cannot be recorded: {error}"));
                        return None;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = stop.cancelled() => return None,
            }
        }
        None
    }

    /// Returns when all that was recorded survives a power cut, however long it takes; false where the engine stops first.
    async fn synced(&self) -> bool {
        let stop = self.loops.stop_token();
        let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
        while let Err(error) = self.store.sync().await {
            self.loops.health().trouble("the end of a batch may not survive a power cut", &error);
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = stop.cancelled() => return false,
            }
        }
        true
    }

    /// After the commit: publishes, and does what the answers say.
    fn settle(&self, collector: &ReportCollector, group: &Group, recorded: Recorded) {
        let AfterCommit { publisher, audits, follow_ups } = &self.after;
        let mut work = group.frees;
        for change in &recorded.changes {
            publisher.publish(change);
            self.loops.ended(change.ended);
            work |= change.batch.state == BatchState::Paused;
        }
        let applied = collector.apply(&recorded.answers);
        if applied.lost > 0 {
            tracing::warn!(leases = applied.lost, "leases were lost: their work is another's");
        }
        if applied.more {
            self.dispatcher.wakes.report.notify_one();
        }
        if work || applied.closed > 0 {
            self.dispatcher.work_arrived();
        }
        for BatchChange { batch, .. } in &recorded.changes {
            if batch.state.is_finished() {
                self.dispatcher.forget(batch.key);
                audits.add(batch.key);
                if batch.options.then.is_some() {
                    follow_ups.notify_one();
                }
            } else if batch.state == BatchState::Paused {
                // The commit itself may have paused it: its other leases on this node need not wait for their report.
                self.dispatcher.redirect(batch.key, batch.rev, Disposition::HandBack);
            }
        }
    }
}

/// A try whose answer was lost may have been committed: the later one then says so, and no longer what has changed.
/// So the batches of the group that it did not change are read, to be published as they are now.
pub async fn catch_up(store: &Store, loops: &Loops, group: &Group, recorded: &mut Recorded) {
    let changed: BTreeSet<BatchKey> = recorded.changes.iter().map(|change| change.batch.key).collect();
    let missed: BTreeSet<BatchKey> =
        group.batches.iter().copied().filter(|key| !changed.contains(key)).collect();
    for key in missed {
        let read = async {
            let batch = store.batch_by_key(key).await?;
            let families = store.families(&batch).await?.families;
            Ok::<_, StoreError>(BatchChange {
                batch,
                families,
                cells: Vec::new(),
                strip_reshaped: true,
                pulse: Vec::new(),
                pulse_reshaped: true,
                ended: 0,
            })
        };
        match read.await {
            Ok(change) => recorded.changes.push(change),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => loops.health().trouble("a batch cannot be read", &error),
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
        | StoreError::Taken(_)
        | StoreError::LastAdmin
        | StoreError::OverBound(_)
        | StoreError::OverQuota(_) => true,
        StoreError::DiskFull
        | StoreError::Busy(_)
        | StoreError::Damaged(_)
        | StoreError::ContentGone
        | StoreError::FilesAway(_)
        | StoreError::Database(_)
        | StoreError::Io(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_as_far_apart_as_their_commits_allow() {
        let (mut pace, now) = (GroupPace::default(), Instant::now());
        assert_eq!(pace.left(now), None, "the first goes at once");
        for (took_ms, wait) in
            [(0, GROUP_INTERVAL_MIN), (2, Duration::from_millis(40)), (9_000, GROUP_INTERVAL_MAX)]
        {
            pace.committed(now, Duration::from_millis(took_ms));
            assert_eq!(pace.left(now), Some(wait));
            assert_eq!(pace.left(now + wait / 4), Some(wait - wait / 4));
            assert_eq!(pace.left(now + wait), None, "after a pause the next goes at once");
        }
    }
}
