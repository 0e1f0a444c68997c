//! From the leases of the dispatcher to a group for the recorder, and from its answers back to the leases.
//!
//! A lease is reported on once per group, and forgotten only when it is closed or lost. Commits nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::dispatch::{Dispatcher, Disposition, LeaseTable, REFRESH, Slot};
use crate::engine::flow::{StopReason, covers, joined};
use crate::protocol::{BatchState, Seq};
use crate::store::{BatchKey, LeaseAnswer, LeaseId, LeaseReport};

/// A group for the recorder.
pub struct Group {
    pub reports: Vec<LeaseReport>,
    /// The batch of each report.
    pub batches: Vec<BatchKey>,
    /// True where ranges go back or are to be tried again: there may be something to claim after the commit.
    pub frees: bool,
}

/// What the answers to a group said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Applied {
    pub closed: u32,
    pub lost: u32,
    /// The answers gave something to report.
    pub more: bool,
}

/// Collects reports from the leases of one dispatcher.
pub struct ReportCollector(pub Arc<Dispatcher>);

impl ReportCollector {
    /// What is to be recorded now: leases with something done, with other items under way than reported, or not reported
    /// on for long.
    pub fn collect(&self, now: Instant) -> Group {
        let slots = self.0.slots.count();
        let mut table = self.0.table();
        let mut started = self.started(&table);
        let mut room = table.reportable(slots);
        for seqs in started.values() {
            room = room.saturating_sub(seqs.len() as u64);
        }
        let (mut before, mut after) = (0, 0);
        let mut group = Group { reports: Vec::new(), batches: Vec::new(), frees: false };
        for (id, lease) in &mut table.leases {
            lease.trim(now);
            let mut seqs = started.remove(id).unwrap_or_default();
            let running = seqs.len() as u64;
            seqs.extend(lease.about_to_start(now).take(usize::try_from(room).unwrap_or(usize::MAX)));
            room -= seqs.len() as u64 - running;
            seqs.sort_unstable();
            let started = joined(seqs);
            let since = now.saturating_duration_since(lease.reported_at);
            if lease.has_report() || started != lease.reported || since >= REFRESH {
                before += lease.reported_items();
                let report = lease.report(started, now);
                after += lease.reported_items();
                group.frees |= !report.retries.is_empty() || !report.handback.is_empty();
                group.reports.push(report);
                group.batches.push(lease.batch.key);
            }
        }
        table.collected();
        // Until it is known that the group was recorded, the store counts either what was reported before or what is now.
        table.unconfirmed = u64::saturating_sub(before, after);
        group
    }

    /// The items under way, by lease: as many as the store may count beside what a claim under way was promised. Those
    /// that it counts already come first; the others are reported once there is room for them.
    fn started(&self, table: &LeaseTable) -> BTreeMap<LeaseId, Vec<Seq>> {
        let is_reported = |(lease, seq): &(LeaseId, Seq)| {
            table.leases.get(lease).is_some_and(|lease| covers(&lease.reported, *seq))
        };
        let (reported, fresh): (Vec<_>, Vec<_>) =
            self.0.slots.iter().filter_map(Slot::started).partition(is_reported);
        let room = usize::try_from(table.reportable(self.0.slots.count())).unwrap_or(usize::MAX);
        let mut started: BTreeMap<LeaseId, Vec<Seq>> = BTreeMap::new();
        for (lease, seq) in reported.into_iter().chain(fresh).take(room) {
            started.entry(lease).or_default().push(seq);
        }
        started
    }

    /// Applies the store's answers to a group: which leases have ended, and what becomes of the others.
    pub fn apply(&self, answers: &[(LeaseId, LeaseAnswer)]) -> Applied {
        let mut table = self.0.table();
        table.unconfirmed = 0;
        let mut applied = Applied::default();
        for (id, answer) in answers {
            match answer {
                LeaseAnswer::Lost => {
                    self.0.slots.stop(StopReason::Lost, |assignment| assignment.lease == *id);
                    applied.lost += u32::from(table.leases.remove(id).is_some());
                }
                LeaseAnswer::Applied { closed: true, .. } => {
                    table.leases.remove(id);
                    applied.closed += 1;
                }
                LeaseAnswer::Applied { version, state: batch, drains, closed: false } => {
                    let Some(lease) = table.leases.get_mut(id) else { continue };
                    lease.claim.version = *version;
                    match disposition_in(*batch) {
                        // What runs ends as it will.
                        Disposition::Cancel if *drains => lease.redirect(Disposition::HandBack),
                        Disposition::Run => {}
                        Disposition::HandBack => lease.redirect(Disposition::HandBack),
                        Disposition::Cancel => {
                            lease.redirect(Disposition::Cancel);
                            self.0.slots.stop(StopReason::Cancel, |assignment| assignment.lease == *id);
                        }
                    }
                    applied.more |= lease.has_report();
                }
            }
        }
        drop(table);
        // What waited for the recorder is gone: slots may take more.
        self.0.wakes.chunk.notify_one();
        applied
    }
}

/// What a node does with the waiting items of a batch in `state`.
fn disposition_in(state: BatchState) -> Disposition {
    match state {
        BatchState::Pending | BatchState::Running => Disposition::Run,
        BatchState::Scheduled | BatchState::Paused => Disposition::HandBack,
        BatchState::Cancelling | BatchState::Succeeded | BatchState::Failed | BatchState::Cancelled => {
            Disposition::Cancel
        }
    }
}
