//! What each slot has in hand: the part of a slot that others may look at and stop.
//!
//! Owns the board of one slot. Written by its slot and, under the desk's lock, by the desk; read for `started`, for
//! pages and to stop work. Invariant: the item on a board is in a lease's `left`. Deliberately knows no queue.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::chunk::BatchWork;
use crate::protocol::{BatchId, Seq};
use crate::store::{BatchKey, LeaseId};
use crate::tasks::WorkCell;

/// Why running work is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The batch was cancelled.
    Cancel = 1,
    /// The node leaves: the item goes back unspent.
    Release = 2,
    /// The lease is another's: nothing of it is recorded.
    Lost = 3,
}

/// Tells one stretch of work to stop. Shared between slot, board and desk.
#[derive(Debug, Default)]
pub struct Leash {
    why: AtomicU8,
    /// Fires for the task; also at a time limit, then without a reason.
    pub token: CancellationToken,
}

impl Leash {
    /// Why it was stopped, if it was.
    pub fn why(&self) -> Option<Why> {
        match self.why.load(Ordering::Acquire) {
            1 => Some(Why::Cancel),
            2 => Some(Why::Release),
            3 => Some(Why::Lost),
            _ => None,
        }
    }

    /// Stops the work; the first reason stays.
    pub fn pull(&self, why: Why) {
        let _first_stays = self.why.compare_exchange(0, why as u8, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }
}

/// What a slot has in hand.
pub struct Hand {
    pub lease: LeaseId,
    pub work: Arc<BatchWork>,
    pub leash: Arc<Leash>,
    /// Of the item under way, once it is known to be more than a moment's work.
    pub cell: Option<Arc<WorkCell>>,
}

/// The board of one slot.
#[derive(Default)]
pub struct Board {
    /// The item under way; 0 = none.
    seq: AtomicU64,
    /// Held for moments only, after the desk's lock where both are held.
    hand: Mutex<Option<Hand>>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Option<Hand>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a stretch of work, at its first item.
    pub fn begin(&self, hand: Hand, seq: Seq) {
        *self.lock() = Some(hand);
        self.seq.store(seq, Ordering::Release);
    }

    /// Goes on to the next item of the stretch.
    pub fn advance(&self, seq: Seq) {
        self.seq.store(seq, Ordering::Release);
    }

    /// Shows (or hides) the cell of the item under way.
    pub fn show(&self, cell: Option<Arc<WorkCell>>) {
        if let Some(hand) = self.lock().as_mut() {
            hand.cell = cell;
        }
    }

    /// Nothing in hand.
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
    pub fn shown(&self) -> Option<(BatchId, Seq)> {
        let batch = self.lock().as_ref()?.work.id;
        Some(self.seq.load(Ordering::Acquire)).filter(|seq| *seq != 0).map(|seq| (batch, seq))
    }

    /// The cell of item `seq` of `batch`, if it is under way here.
    pub fn cell(&self, batch: BatchId, seq: Seq) -> Option<Arc<WorkCell>> {
        if self.seq.load(Ordering::Acquire) != seq {
            return None;
        }
        let hand = self.lock();
        hand.as_ref().filter(|hand| hand.work.id == batch)?.cell.clone()
    }

    /// Batch, item under way, and its cell.
    pub fn glimpse(&self) -> Option<(BatchKey, Seq, Arc<WorkCell>)> {
        let hand = self.lock();
        let hand = hand.as_ref()?;
        let cell = hand.cell.clone()?;
        Some(self.seq.load(Ordering::Acquire)).filter(|seq| *seq != 0).map(|seq| (hand.work.key, seq, cell))
    }

    /// Stops what is in hand if `wanted` says so.
    pub fn pull(&self, why: Why, wanted: impl Fn(&Hand) -> bool) {
        if let Some(hand) = self.lock().as_ref().filter(|hand| wanted(hand)) {
            hand.leash.pull(why);
        }
    }
}
