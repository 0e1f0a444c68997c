//! The node's work in memory: leases in, chunks out to slots, reports to the recorder.
//!
//! Owns all leases of this node behind one short lock. Called by claim loop (grant), loader, slots (turn) and
//! recorder. Invariant: what the boards show and what the leases hold agree whenever the lock is free. Deliberately
//! awaits nothing and asks no database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::chunk::{BatchWork, Chunk, Done, Load};
use super::lease::{Course, Lease, REFRESH};
use super::slot_table::{Board, Hand, Leash, Why};
use crate::protocol::{BatchId, Rev, Seq};
use crate::store::{BatchKey, Claim, InputRecord, LeaseId, SeqRange};

/// Weight of what waits for the recorder at most; beyond, slots take nothing new until a group is committed.
pub const BUFFER_WEIGHT_MAX: usize = 16_384;
/// A group of this weight is committed at once.
const GROUP_WEIGHT: usize = 4_096;
/// Batches kept ready; beyond, those without a lease are forgotten.
const WORKS_MAX: usize = 1_024;
/// Acts remembered at most; beyond, all are forgotten, and a lease that an act has overtaken learns of it at its first
/// report.
const STEERED_MAX: usize = 1_024;
/// The desk of a node.
pub struct Desk {
    pub state: Mutex<State>,
    pub boards: Vec<Board>,
    /// A slot may find something.
    pub work: Notify,
    /// The loader may find something.
    pub load: Notify,
    /// The recorder may find something.
    pub report: Notify,
    /// A whole group waits for it.
    pub full: Notify,
    /// This node has room for more.
    pub ask: Notify,
    /// The store may have more than it had.
    pub nudge: Notify,
}

/// What the lock holds.
#[derive(Default)]
pub struct State {
    pub leases: BTreeMap<LeaseId, Lease>,
    pub works: HashMap<BatchKey, Arc<BatchWork>>,
    pub weight: usize,
    /// Counts turns: what [`BatchWork::served`] is compared by.
    turn: u64,
    pub closing: bool,
    /// Items that the store may still count as started beside those that leases were told of: a group that takes them
    /// back is being recorded.
    pub unlearned: u64,
    /// Items that a claim under way may count as started.
    promised: u64,
    /// As `promised`, of claims without an answer whose leases have not been looked for yet.
    unsure: u64,
    /// The last act on a batch, and the revision from which on it holds: a lease granted before it may come later.
    steered: HashMap<BatchKey, (Rev, Course)>,
}

impl Desk {
    pub fn new(slots: u32) -> Self {
        Self {
            state: Mutex::default(),
            boards: (0..slots).map(|_| Board::default()).collect(),
            work: Notify::new(),
            load: Notify::new(),
            report: Notify::new(),
            full: Notify::new(),
            ask: Notify::new(),
            nudge: Notify::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Items that can run at once.
    pub fn slots(&self) -> u64 {
        self.boards.len() as u64
    }

    /// Slots with an item under way.
    pub fn busy(&self) -> u32 {
        u32::try_from(self.boards.iter().filter(|board| board.is_busy()).count()).unwrap_or(u32::MAX)
    }

    /// True where a whole group waits for the recorder.
    pub fn is_full(&self) -> bool {
        self.lock().weight >= GROUP_WEIGHT
    }

    /// The leases that are held.
    pub fn known(&self) -> Vec<LeaseId> {
        self.lock().leases.keys().copied().collect()
    }

    /// True while leases are held.
    pub fn holds(&self) -> bool {
        !self.lock().leases.is_empty()
    }

    /// The batch made ready, if it is.
    pub fn work_of(&self, batch: BatchKey) -> Option<Arc<BatchWork>> {
        self.lock().works.get(&batch).cloned()
    }

    /// Keeps a batch made ready.
    pub fn keep(&self, work: &Arc<BatchWork>) {
        let mut state = self.lock();
        if state.works.len() >= WORKS_MAX {
            state.works.retain(|_, work| Arc::strong_count(work) > 1);
        }
        state.works.insert(work.key, Arc::clone(work));
    }

    /// Forgets a batch that has finished.
    pub fn forget(&self, batch: BatchKey) {
        let mut state = self.lock();
        state.works.remove(&batch);
        state.steered.remove(&batch);
    }

    /// Takes a granted lease.
    pub fn grant(&self, claim: Claim, work: Arc<BatchWork>, course: Course) {
        let mut state = self.lock();
        let mut lease = Lease::new(claim, work, self.slots());
        lease.steer(if state.closing { Course::HandBack } else { course });
        let overtaken = state.steered.get(&lease.work.key).filter(|(rev, _)| *rev > lease.claim.batch.rev);
        if let Some((_, later)) = overtaken {
            lease.steer(*later);
        }
        state.leases.insert(lease.claim.lease, lease);
        state.promised = 0;
        drop(state);
        self.work.notify_one();
        self.load.notify_one();
        self.report.notify_one();
    }

    /// Sets aside up to `most` slots that the store does not count as taken, for the claim that comes next: so many items
    /// it may count as started.
    pub fn promise(&self, most: u32) -> u32 {
        let mut state = self.lock();
        let free = self.slots().saturating_sub(state.counted() + state.unsure);
        state.promised = free.min(u64::from(most));
        u32::try_from(state.promised).unwrap_or(u32::MAX)
    }

    /// The claim was granted nothing.
    pub fn retract(&self) {
        self.lock().promised = 0;
        self.report.notify_one();
    }

    /// The claim was not answered: it may have been granted what it was promised.
    pub fn keep_promise(&self) {
        let mut state = self.lock();
        state.unsure += std::mem::take(&mut state.promised);
    }

    /// What claims without an answer were granted has gone back.
    pub fn retract_all(&self) {
        let mut state = self.lock();
        (state.promised, state.unsure) = (0, 0);
        drop(state);
        self.report.notify_one();
    }

    /// A slot gives back what it has done and takes the next chunk, in one step: what is told as started is never
    /// between two items.
    pub fn turn(&self, at: usize, finished: Option<(LeaseId, Done)>) -> Option<Chunk> {
        let mut state = self.lock();
        if let Some((lease, done)) = finished {
            self.boards[at].clear();
            state.settle(lease, done);
            self.report.notify_one();
        }
        let chunk = self.pick(&mut state, at);
        let more = state.leases.values().any(|lease| lease.available() > 0);
        let load = state.leases.values().any(|lease| lease.wants_load(self.slots()).is_some());
        let told = chunk
            .as_ref()
            .and_then(|chunk| Some((chunk.items.as_ref()?.first()?, state.leases.get(&chunk.lease)?)));
        let untold = told.is_some_and(|(seq, lease)| !covers(&lease.told, seq));
        let full = state.weight >= GROUP_WEIGHT;
        let hungry = chunk.is_none() || state.half_started();
        drop(state);
        if full {
            self.full.notify_one();
        }
        if hungry {
            self.ask.notify_one();
        }
        if chunk.is_some() && more {
            self.work.notify_one();
        }
        if load {
            self.load.notify_one();
        }
        if untold {
            self.report.notify_one();
        }
        chunk
    }

    fn pick(&self, state: &mut State, at: usize) -> Option<Chunk> {
        if state.weight >= BUFFER_WEIGHT_MAX {
            return None;
        }
        state.turn += 1;
        let turn = state.turn;
        let lease = state.leases.values_mut().filter(|lease| lease.available() > 0).min_by_key(|lease| {
            let priority = lease.record.options.priority;
            (std::cmp::Reverse(priority), lease.work.served.load(Ordering::Relaxed))
        })?;
        let items = lease.take()?;
        lease.work.served.store(turn, Ordering::Relaxed);
        let leash = Arc::new(Leash::default());
        let (id, work) = (lease.claim.lease, Arc::clone(&lease.work));
        let hand = Hand { lease: id, work: Arc::clone(&work), leash: Arc::clone(&leash), cell: None };
        self.boards[at].begin(hand, items.first()?);
        let record = Arc::clone(&lease.record);
        Some(Chunk {
            lease: id,
            work,
            record,
            attempt: lease.claim.attempt,
            crashes: lease.claim.crashes,
            leash,
            items: Some(items),
        })
    }

    /// The next ranges to load.
    pub fn next_load(&self) -> Option<Load> {
        let mut state = self.lock();
        let slots = self.slots();
        let (lease, items) = state
            .leases
            .values_mut()
            .filter_map(|lease| lease.wants_load(slots).map(|items| (lease, items)))
            .min_by_key(|(lease, _)| lease.work.served.load(Ordering::Relaxed))?;
        let ranges = lease.begin_load(items);
        Some(Load {
            lease: lease.claim.lease,
            work: Arc::clone(&lease.work),
            record: Arc::clone(&lease.record),
            ranges,
        })
    }

    /// Takes what was loaded.
    pub fn loaded(&self, lease: LeaseId, records: Option<Vec<InputRecord>>) {
        let mut state = self.lock();
        if let Some(lease) = state.leases.get_mut(&lease) {
            lease.end_load(records);
        }
        drop(state);
        self.work.notify_one();
        self.report.notify_one();
    }

    /// An act on a batch that it stands at `rev` after, as soon as it is committed: what waits is handed back or ends,
    /// what runs is stopped on cancel.
    pub fn steer(&self, batch: BatchKey, rev: Rev, course: Course) {
        let mut state = self.lock();
        if state.steered.len() >= STEERED_MAX {
            state.steered.clear();
        }
        state.steered.insert(batch, (rev, course));
        state
            .leases
            .values_mut()
            .filter(|lease| lease.work.key == batch)
            .for_each(|lease| lease.steer(course));
        if course == Course::Cancel {
            self.boards.iter().for_each(|board| board.pull(Why::Cancel, |hand| hand.work.key == batch));
        }
        drop(state);
        self.report.notify_one();
    }

    /// No more chunks: all that waits goes back.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.leases.values_mut().for_each(|lease| lease.steer(Course::HandBack));
        drop(state);
        self.report.notify_one();
    }

    /// Every lease is another's from now on: what runs is stopped, and nothing of it is told. How many they were.
    pub fn lose_all(&self) -> usize {
        let mut state = self.lock();
        self.boards.iter().for_each(|board| board.pull(Why::Lost, |_| true));
        let lost = std::mem::take(&mut state.leases).len();
        state.weight = 0;
        (state.promised, state.unsure, state.unlearned) = (0, 0, 0);
        drop(state);
        self.work.notify_one();
        lost
    }

    /// Others have acted on these batches: what is held of them asks how they stand with the next group.
    pub fn ask_about(&self, batches: &BTreeSet<BatchId>) {
        let mut state = self.lock();
        let mut asks = false;
        for lease in state.leases.values_mut().filter(|lease| batches.contains(&lease.work.id)) {
            lease.told_at = lease.told_at.checked_sub(REFRESH).unwrap_or(lease.told_at);
            asks = true;
        }
        drop(state);
        if asks {
            self.report.notify_one();
        }
    }

    /// Stops all that runs; it goes back unspent.
    pub fn release(&self) {
        self.boards.iter().for_each(|board| board.pull(Why::Release, |_| true));
    }
}

impl State {
    /// Items that the store may count as started by this node, whichever of the commits under way it has seen.
    fn counted(&self) -> u64 {
        self.leases.values().map(Lease::told_items).sum::<u64>() + self.unlearned
    }

    /// Items that a record may count as started, whatever becomes of the claim under way.
    pub fn tellable(&self, slots: u64) -> u64 {
        slots.saturating_sub(self.promised + self.unsure)
    }

    fn settle(&mut self, lease: LeaseId, done: Done) {
        // A lease that is gone was lost: what was done of it is another's to record.
        let Some(lease) = self.leases.get_mut(&lease) else { return };
        if done.items > 0 {
            let each = done.took.as_nanos() / u128::from(done.items);
            lease.work.pace_ns.note(u64::try_from(each).unwrap_or(u64::MAX / 8));
        }
        self.weight += done.weight;
        lease.settle(done);
    }
}

/// True where one of the ranges holds the item.
pub fn covers(ranges: &[SeqRange], seq: Seq) -> bool {
    ranges.iter().any(|range| range.first <= seq && seq <= range.last)
}
