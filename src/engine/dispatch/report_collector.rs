//! What the desk tells the recorder, and what it learns from the answers.
//!
//! Owns how a group is collected and how answers steer the leases. Called by the recorder. Invariant: a lease is told
//! of once per group, and forgotten only when it is closed or lost. Deliberately commits nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use super::chunk::ranges;
use super::dispatcher::{Desk, State, covers};
use super::lease::{Course, REFRESH};
use super::slot_table::{Board, Why};
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
pub struct Learned {
    pub closed: u32,
    pub lost: u32,
    /// The answers made news of their own.
    pub more: bool,
}

impl Desk {
    /// What is to be recorded now: leases with news, with other items under way than told, or not heard of for long.
    pub fn collect(&self, now: Instant) -> Group {
        let mut state = self.lock();
        let mut started = self.started(&state);
        let mut room = state.tellable(self.slots());
        for seqs in started.values() {
            room = room.saturating_sub(seqs.len() as u64);
        }
        let (mut before, mut after) = (0, 0);
        let mut group = Group { reports: Vec::new(), batches: Vec::new(), frees: false };
        for (id, lease) in &mut state.leases {
            lease.trim(now);
            let mut seqs = started.remove(id).unwrap_or_default();
            let running = seqs.len() as u64;
            seqs.extend(lease.about_to_start(now).take(usize::try_from(room).unwrap_or(usize::MAX)));
            room -= seqs.len() as u64 - running;
            seqs.sort_unstable();
            let started = ranges(seqs);
            let since = now.saturating_duration_since(lease.told_at);
            if lease.has_news() || started != lease.told || since >= REFRESH {
                before += lease.told_items();
                let report = lease.report(started, now);
                after += lease.told_items();
                group.frees |= !report.retries.is_empty() || !report.handback.is_empty();
                group.reports.push(report);
                group.batches.push(lease.work.key);
            }
        }
        state.weight = 0;
        // Until it is known that the group was recorded, the store counts either what was told before or what is now.
        state.unlearned = u64::saturating_sub(before, after);
        group
    }

    /// The items under way, by lease: as many as the store may count beside what a claim under way was promised. Those
    /// that it counts already come first; the others are told once there is room for them.
    fn started(&self, state: &State) -> BTreeMap<LeaseId, Vec<Seq>> {
        let is_told = |(lease, seq): &(LeaseId, Seq)| {
            state.leases.get(lease).is_some_and(|lease| covers(&lease.told, *seq))
        };
        let (told, fresh): (Vec<_>, Vec<_>) =
            self.boards.iter().filter_map(Board::started).partition(is_told);
        let room = usize::try_from(state.tellable(self.slots())).unwrap_or(usize::MAX);
        let mut started: BTreeMap<LeaseId, Vec<Seq>> = BTreeMap::new();
        for (lease, seq) in told.into_iter().chain(fresh).take(room) {
            started.entry(lease).or_default().push(seq);
        }
        started
    }

    /// Learns how a group was taken; true where a lease ended.
    pub fn learn(&self, answers: &[(LeaseId, LeaseAnswer)]) -> Learned {
        let mut state = self.lock();
        state.unlearned = 0;
        let mut learned = Learned::default();
        for (id, answer) in answers {
            match answer {
                LeaseAnswer::Lost => {
                    self.boards.iter().for_each(|board| board.pull(Why::Lost, |hand| hand.lease == *id));
                    learned.lost += u32::from(state.leases.remove(id).is_some());
                }
                LeaseAnswer::Applied { closed: true, .. } => {
                    state.leases.remove(id);
                    learned.closed += 1;
                }
                LeaseAnswer::Applied { version, state: batch, drains, closed: false } => {
                    let Some(lease) = state.leases.get_mut(id) else { continue };
                    lease.claim.version = *version;
                    match course_in(*batch) {
                        // What runs ends as it will.
                        Course::Cancel if *drains => lease.steer(Course::HandBack),
                        Course::Run => {}
                        Course::HandBack => lease.steer(Course::HandBack),
                        Course::Cancel => {
                            lease.steer(Course::Cancel);
                            self.boards
                                .iter()
                                .for_each(|board| board.pull(Why::Cancel, |hand| hand.lease == *id));
                        }
                    }
                    learned.more |= lease.has_news();
                }
            }
        }
        drop(state);
        // The buffer is empty again.
        self.work.notify_one();
        learned
    }
}

/// What a node does with the waiting items of a batch in `state`.
pub fn course_in(state: BatchState) -> Course {
    match state {
        BatchState::Pending | BatchState::Running => Course::Run,
        BatchState::Scheduled | BatchState::Paused => Course::HandBack,
        BatchState::Cancelling | BatchState::Succeeded | BatchState::Failed | BatchState::Cancelled => {
            Course::Cancel
        }
    }
}
