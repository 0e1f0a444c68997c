//! The report of a lease: what was done of it, and what it hands back because it cannot start it soon.
//!
//! A report takes each item out of the lease once, in order, with plain neighbours joined into one run.

use std::mem;
use std::time::{Duration, Instant};

use super::lease::{Disposition, Lease, REFRESH};
use crate::engine::flow::{covers, joined};
use crate::protocol::Seq;
use crate::store::{LeaseReport, OutcomeRun, SeqRange};

/// What cannot start within this time goes back.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// What is kept then.
const WAIT_KEPT: Duration = Duration::from_secs(1);

impl Lease {
    /// Gives back what cannot start soon.
    pub fn trim(&mut self, now: Instant) {
        if now.saturating_duration_since(self.trimmed_at) < REFRESH {
            return;
        }
        self.trimmed_at = now;
        let waiting = self.waiting();
        if waiting == 0 || self.disposition != Disposition::Run {
            return;
        }
        let kept = match self.batch.items_in(WAIT_KEPT) {
            // Nothing has ended yet: what the slots do not take in time is not theirs.
            None if now - self.granted_at > WAIT_MAX => 0,
            None => return,
            Some(items) => {
                let kept = items.saturating_mul(self.slots_max);
                let soon = self.batch.items_in(WAIT_MAX).unwrap_or(items).saturating_mul(self.slots_max);
                let stuck = self.slots_used == 0 && now - self.granted_at > 2 * WAIT_MAX;
                if stuck {
                    0
                } else if waiting <= soon {
                    return;
                } else {
                    kept
                }
            }
        };
        let mut surplus = waiting - kept.min(waiting);
        while surplus > 0 {
            let Some(range) = self.todo.pop_back() else { break };
            let cut = surplus.min(range.count());
            self.pending.handback.push(SeqRange::new(range.last - cut + 1, range.last));
            if cut < range.count() {
                self.todo.push_back(SeqRange::new(range.first, range.last - cut));
            }
            surplus -= cut;
        }
        let unread = usize::try_from(surplus).unwrap_or(usize::MAX).min(self.ready.len());
        let tail = self.ready.split_off(self.ready.len() - unread);
        self.pending.handback.extend(joined(tail.into_iter().map(|record| record.seq)));
    }

    /// True where something is to be recorded.
    pub fn has_report(&self) -> bool {
        let report = &self.pending;
        !(report.outcomes.is_empty()
            && report.retries.is_empty()
            && report.attempts.is_empty()
            && report.handback.is_empty())
    }

    /// Items that were reported as started with the grant and that no slot has taken yet. For a moment they stay so: a
    /// report that took them back would be followed at once by one that reports them again.
    pub fn about_to_start(&self, now: Instant) -> impl Iterator<Item = Seq> {
        let fresh = now.saturating_duration_since(self.granted_at) < REFRESH;
        let ready = self.ready.iter().map(|record| record.seq);
        let later = self.loading.iter().chain(&self.todo).flat_map(|range| range.first..=range.last);
        // Slots take from the front, and what was reported is the front of what was granted.
        ready.chain(later).take_while(move |seq| fresh && covers(&self.reported, *seq))
    }

    /// Takes the report, in order and with plain neighbours joined.
    pub fn report(&mut self, started: Vec<SeqRange>, now: Instant) -> LeaseReport {
        let mut report = mem::take(&mut self.pending);
        report.lease = self.claim.lease;
        report.batch = self.claim.batch.key;
        report.version = self.claim.version;
        report.outcomes.sort_unstable_by_key(|run| run.range);
        let mut runs: Vec<OutcomeRun> = Vec::with_capacity(report.outcomes.len());
        for run in report.outcomes {
            match runs.last_mut() {
                Some(last) if joins(last, &run) => last.range.last = run.range.last,
                _ => runs.push(run),
            }
        }
        report.outcomes = runs;
        report.handback.sort_unstable();
        report.started.clone_from(&started);
        self.reported = started;
        self.reported_at = now;
        report
    }
}

/// True where `next` continues `last` and neither has anything to say.
fn joins(last: &OutcomeRun, next: &OutcomeRun) -> bool {
    let plain = |run: &OutcomeRun| {
        run.ms.is_none() && run.result.is_none() && run.error.is_none() && run.started_at.is_none()
    };
    last.range.last + 1 == next.range.first
        && last.state == next.state
        && last.attempts == next.attempts
        && plain(last)
        && plain(next)
}
