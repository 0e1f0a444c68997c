//! What each slot works on: the part of a slot that others may look at and stop.
//!
//! Written by its slot and, under the lock of the leases, by the dispatcher; read to report what has started, for pages
//! and to stop work. The item of a slot belongs to a lease that this node holds.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::flow::{PreparedBatch, StopHandle, StopReason};
use crate::protocol::{BatchId, Seq, Timestamp};
use crate::store::{BatchKey, LeaseId};
use crate::tasks::WorkCell;

/// What a slot works on.
pub struct Assignment {
    pub lease: LeaseId,
    pub batch: Arc<PreparedBatch>,
    pub stop: Arc<StopHandle>,
    /// Of the item under way, once it is known to be more than a moment's work.
    pub cell: Option<Arc<WorkCell>>,
}

/// One slot, as others see it.
#[derive(Default)]
pub struct Slot {
    /// The item under way; 0 = none.
    seq: AtomicU64,
    /// When it was taken up, in ms; 0 = not yet.
    started_at: AtomicI64,
    /// Held for moments only; where both are held, after the lock of the leases.
    assignment: Mutex<Option<Assignment>>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Assignment>> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a chunk, at its first item.
    pub fn begin(&self, assignment: Assignment, seq: Seq) {
        *self.lock() = Some(assignment);
        self.started_at.store(0, Ordering::Relaxed);
        self.seq.store(seq, Ordering::Release);
    }

    /// Goes on to the next item of the chunk, taken up at `started_at`.
    pub fn advance(&self, seq: Seq, started_at: Timestamp) {
        self.started_at.store(started_at.0, Ordering::Relaxed);
        self.seq.store(seq, Ordering::Release);
    }

    /// Shows (or hides) the cell of the item under way.
    pub fn show(&self, cell: Option<Arc<WorkCell>>) {
        if let Some(assignment) = self.lock().as_mut() {
            assignment.cell = cell;
        }
    }

    /// The chunk is over.
    pub fn clear(&self) {
        self.seq.store(0, Ordering::Release);
        *self.lock() = None;
    }

    /// True while an item is under way.
    pub fn is_busy(&self) -> bool {
        self.seq.load(Ordering::Acquire) != 0
    }

    /// Lease and item under way.
    pub fn started(&self) -> Option<(LeaseId, Seq)> {
        let lease = self.lock().as_ref()?.lease;
        Some(self.seq.load(Ordering::Acquire)).filter(|seq| *seq != 0).map(|seq| (lease, seq))
    }

    /// Batch and item under way.
    pub fn item(&self) -> Option<(BatchId, Seq)> {
        let batch = self.lock().as_ref()?.batch.id;
        Some(self.seq.load(Ordering::Acquire)).filter(|seq| *seq != 0).map(|seq| (batch, seq))
    }

    /// When the item under way was taken up; only indicative.
    pub fn started_at(&self) -> Option<Timestamp> {
        Some(self.started_at.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Timestamp)
    }

    /// The cell of item `seq` of `batch`, if it is under way here.
    pub fn cell(&self, batch: BatchId, seq: Seq) -> Option<Arc<WorkCell>> {
        if self.seq.load(Ordering::Acquire) != seq {
            return None;
        }
        let assignment = self.lock();
        assignment.as_ref().filter(|assignment| assignment.batch.id == batch)?.cell.clone()
    }

    /// Batch, item under way, its cell, and when it was taken up.
    pub fn progress(&self) -> Option<(BatchKey, Seq, Arc<WorkCell>, Option<Timestamp>)> {
        let assignment = self.lock();
        let assignment = assignment.as_ref()?;
        let cell = assignment.cell.clone()?;
        let seq = Some(self.seq.load(Ordering::Acquire)).filter(|seq| *seq != 0)?;
        Some((assignment.batch.key, seq, cell, self.started_at()))
    }

    /// Stops what it works on if `wanted` says so.
    fn stop(&self, reason: StopReason, wanted: impl Fn(&Assignment) -> bool) {
        if let Some(assignment) = self.lock().as_ref().filter(|assignment| wanted(assignment)) {
            assignment.stop.stop(reason);
        }
    }
}

/// The slots of this node.
pub struct SlotTable {
    slots: Vec<Slot>,
}

impl SlotTable {
    /// So many idle ones.
    pub fn new(slots: u32) -> Self {
        Self { slots: (0..slots).map(|_| Slot::default()).collect() }
    }

    /// Items that can run at once.
    pub fn count(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Slots with an item under way.
    pub fn busy(&self) -> u32 {
        u32::try_from(self.slots.iter().filter(|slot| slot.is_busy()).count()).unwrap_or(u32::MAX)
    }

    /// Slot number `at`, from 0.
    pub fn slot(&self, at: usize) -> &Slot {
        &self.slots[at]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Stops the slots whose assignment `wanted` chooses.
    pub fn stop(&self, reason: StopReason, wanted: impl Fn(&Assignment) -> bool) {
        self.slots.iter().for_each(|slot| slot.stop(reason, &wanted));
    }
}
