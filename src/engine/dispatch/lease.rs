//! One lease in memory: what waits, what was loaded, what is to be reported.
//!
//! Holds the items of one granted range until they are recorded; called by the dispatcher under its lock. Each item of
//! the range is in exactly one of `todo`, `loading`, `ready`, the chunk of a slot, the pending report, or recorded.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::flow::{ChunkResult, ItemRun, PreparedBatch, joined};
use crate::protocol::ItemState;
use crate::store::{BatchRecord, Claim, InputRecord, LeaseReport, OutcomeRun, SeqRange, Source};

/// A node reports on each lease at least so often, and learns the state of its batch.
pub const REFRESH: Duration = Duration::from_millis(500);
/// Items that one slot takes at a time at most.
const CHUNK_ITEMS_MAX: u64 = 1_024;
/// Work that one slot takes at a time.
const CHUNK_WORK: Duration = Duration::from_millis(2);
/// Items slower than this are taken one at a time.
const QUICK: Duration = Duration::from_millis(1);
/// Items of one load at most, and without any knowledge.
const LOAD_ITEMS_MAX: u64 = 4_096;
const LOAD_ITEMS_FIRST: u64 = 64;
/// Bytes of inputs that a lease holds ready, roughly.
const LOAD_BYTES: u64 = 4 * 1024 * 1024;

/// What is to become of the items that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// They run.
    Run,
    /// They go back unspent.
    HandBack,
    /// They end cancelled.
    Cancel,
}

/// A lease of this node.
pub struct Lease {
    pub claim: Claim,
    pub batch: Arc<PreparedBatch>,
    pub record: Arc<BatchRecord>,
    pub slots_max: u64,
    pub slots_used: u64,
    pub disposition: Disposition,
    /// What is being read from the store; none: nothing is.
    pub loading: Vec<SeqRange>,
    pub todo: VecDeque<SeqRange>,
    pub ready: VecDeque<InputRecord>,
    /// What is to be recorded of it.
    pub pending: LeaseReport,
    /// `started` as last reported.
    pub reported: Vec<SeqRange>,
    pub reported_at: Instant,
    pub granted_at: Instant,
    /// When it was last checked whether what waits can start soon.
    pub trimmed_at: Instant,
}

impl Lease {
    /// A fresh one. Without a concurrency of its own, a batch may fill the node.
    pub fn new(claim: Claim, batch: Arc<PreparedBatch>, slots_node: u64) -> Self {
        let slots_max =
            if claim.batch.options.concurrency.is_some() { u64::from(claim.slots) } else { slots_node };
        let reported = claim.started_ranges();
        let now = Instant::now();
        Self {
            record: Arc::new(claim.batch.clone()),
            todo: claim.ranges.iter().copied().collect(),
            ready: VecDeque::new(),
            slots_max,
            slots_used: 0,
            disposition: Disposition::Run,
            loading: Vec::new(),
            pending: LeaseReport::default(),
            reported,
            reported_at: now,
            granted_at: now,
            trimmed_at: now,
            batch,
            claim,
        }
    }

    /// Items that were last reported as started.
    pub fn reported_items(&self) -> u64 {
        self.reported.iter().map(|range| range.count()).sum()
    }

    /// Items that no slot has taken.
    pub fn waiting(&self) -> u64 {
        self.todo.iter().chain(&self.loading).map(|range| range.count()).sum::<u64>()
            + self.ready.len() as u64
    }

    /// Items that a slot could take now.
    pub fn available(&self) -> u64 {
        if self.disposition != Disposition::Run || self.slots_used >= self.slots_max {
            return 0;
        }
        match self.batch.source {
            Source::Generated => self.todo.iter().copied().map(SeqRange::count).sum(),
            Source::Blocks => self.ready.len() as u64,
        }
    }

    /// Takes a run for one slot: one item, or a moment's worth of quick ones, leaving something for the others.
    pub fn take(&mut self) -> Option<ItemRun> {
        let share = self.available().div_ceil(self.slots_max.max(1));
        let quick = self.batch.pace_ns.get().is_some_and(|pace| u128::from(pace) < QUICK.as_nanos());
        let moment = self.batch.items_in(CHUNK_WORK).filter(|_| quick).unwrap_or(1);
        let count = moment.min(share).clamp(1, CHUNK_ITEMS_MAX);
        let run = match self.batch.source {
            Source::Generated => {
                let range = self.todo.pop_front()?;
                if range.count() > count {
                    self.todo.push_front(SeqRange::new(range.first + count, range.last));
                    ItemRun::Numbers(SeqRange::new(range.first, range.first + count - 1))
                } else {
                    ItemRun::Numbers(range)
                }
            }
            Source::Blocks => {
                let count = usize::try_from(count).unwrap_or(1).min(self.ready.len());
                ItemRun::Records(self.ready.drain(..count).collect())
            }
        };
        self.slots_used += 1;
        Some(run)
    }

    /// Takes back what a slot did with a chunk.
    pub fn settle(&mut self, done: ChunkResult) {
        self.slots_used -= 1;
        self.pending.outcomes.extend(done.outcomes);
        self.pending.retries.extend(done.retries);
        self.pending.attempts.extend(done.attempts);
        self.pending.files.extend(done.files);
        self.pending.handback.extend(done.released);
        match done.rest {
            Some(ItemRun::Numbers(range)) => self.todo.push_front(range),
            Some(ItemRun::Records(mut records)) => {
                records.append(&mut self.ready);
                self.ready = records;
            }
            None => {}
        }
        self.divert();
    }

    /// How many items to load next, if it is time for it.
    pub fn wants_load(&self, slots: u64) -> Option<u64> {
        let idle = self.batch.source == Source::Blocks
            && self.disposition == Disposition::Run
            && self.loading.is_empty();
        if !idle || self.todo.is_empty() {
            return None;
        }
        let stock =
            self.batch.items_in(Duration::from_millis(250)).map_or(1, |items| items.saturating_mul(slots));
        let fits = self.batch.input_bytes.get().map_or(LOAD_ITEMS_FIRST, |bytes| LOAD_BYTES / bytes.max(1));
        let target = stock.max(2 * slots).min(fits).clamp(1, LOAD_ITEMS_MAX);
        (self.ready.len() as u64 <= target / 2).then_some(target)
    }

    /// Marks up to `items` from the front of what waits as being loaded; which.
    pub fn begin_load(&mut self, items: u64) -> Vec<SeqRange> {
        let mut left = items;
        while left > 0 {
            let Some(front) = self.todo.pop_front() else { break };
            let part = left.min(front.count());
            self.loading.push(SeqRange::new(front.first, front.first + part - 1));
            if part < front.count() {
                self.todo.push_front(SeqRange::new(front.first + part, front.last));
            }
            left -= part;
        }
        self.loading.clone()
    }

    /// Takes what was loaded, or puts the ranges back where it could not be.
    pub fn end_load(&mut self, loaded: Option<Vec<InputRecord>>) {
        let ranges = mem::take(&mut self.loading);
        match loaded {
            Some(records) => self.ready.extend(records),
            None => ranges.into_iter().rev().for_each(|range| self.todo.push_front(range)),
        }
        self.divert();
    }

    /// Decides what becomes of the waiting items.
    pub fn redirect(&mut self, disposition: Disposition) {
        // A cancel is final; a hand-back may still turn into one.
        if self.disposition != Disposition::Cancel {
            self.disposition = disposition;
        }
        self.divert();
    }

    /// Moves what waits to the report where it is not to run.
    fn divert(&mut self) {
        if self.disposition == Disposition::Run {
            return;
        }
        let mut waiting = joined(mem::take(&mut self.ready).into_iter().map(|record| record.seq));
        waiting.extend(mem::take(&mut self.todo));
        match self.disposition {
            Disposition::Run => {}
            Disposition::HandBack => self.pending.handback.extend(waiting),
            Disposition::Cancel => {
                // Handed back but not told yet: the cancel has overtaken it.
                waiting.append(&mut self.pending.handback);
                let attempts = self.claim.attempt.saturating_sub(1);
                self.pending.outcomes.extend(waiting.into_iter().map(|range| cancelled(range, attempts)));
            }
        }
    }
}

/// An end by cancel of items that did not run.
pub fn cancelled(range: SeqRange, attempts: u32) -> OutcomeRun {
    OutcomeRun {
        range,
        state: ItemState::Cancelled,
        attempts,
        result: None,
        error: None,
        family: None,
        ms: None,
        started_at: None,
    }
}
