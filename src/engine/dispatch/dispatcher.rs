//! The dispatcher: leases in, chunks out to the slots, results back into the reports of the leases.
//!
//! All of it happens behind one short lock, in which nothing is awaited and no database is asked: what the slots show and
//! what the leases hold agree whenever the lock is free. The claim loop grants, the input loader loads, slots take
//! chunks, the recorder collects.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::lease::{Disposition, REFRESH};
use super::lease_table::LeaseTable;
use super::slot_table::{Assignment, SlotTable};
use crate::engine::flow::{Chunk, ChunkResult, Load, PreparedBatch, StopHandle, StopReason, covers};
use crate::engine::liveness::Liveness;
use crate::protocol::{BatchId, Rev};
use crate::store::{BatchKey, Claim, InputRecord, LeaseId};

/// The dispatcher of a node.
pub struct Dispatcher {
    table: Mutex<LeaseTable>,
    pub slots: SlotTable,
    pub wakes: Wakes,
    liveness: Arc<Liveness>,
}

/// Whom the dispatcher wakes. Each is for one loop, or for the slots, of which one is woken at a time.
#[derive(Default)]
pub struct Wakes {
    /// A slot may find a chunk.
    pub chunk: Notify,
    /// The input loader may find something to read.
    pub load: Notify,
    /// The recorder may find something to record.
    pub report: Notify,
    /// A whole group waits for the recorder.
    pub group: Notify,
    /// The claim loop: this node has room for more.
    pub room: Notify,
    /// The claim loop: the store may have more than it had.
    pub work: Notify,
}

impl Dispatcher {
    /// With so many idle slots and no lease.
    pub fn new(slots: u32, liveness: Arc<Liveness>) -> Self {
        Self { table: Mutex::default(), slots: SlotTable::new(slots), wakes: Wakes::default(), liveness }
    }

    /// The leases. To be held for moments, never over an await.
    pub fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True where a whole group waits for the recorder.
    pub fn is_group_full(&self) -> bool {
        self.table().is_group_full()
    }

    /// The leases that are held.
    pub fn held(&self) -> Vec<LeaseId> {
        self.table().leases.keys().copied().collect()
    }

    /// True while leases are held.
    pub fn holds_leases(&self) -> bool {
        !self.table().leases.is_empty()
    }

    /// True where a slot has or may have something of the batch.
    pub fn works_on(&self, batch: BatchKey) -> bool {
        let runs =
            |lease: &super::lease::Lease| lease.batch.key == batch && lease.disposition == Disposition::Run;
        self.table().leases.values().any(runs)
    }

    /// True while another lease may come.
    pub fn has_room(&self) -> bool {
        self.table().has_room(self.slots.count())
    }

    /// The batch, if it is prepared here.
    pub fn prepared(&self, batch: BatchKey) -> Option<Arc<PreparedBatch>> {
        self.table().prepared(batch).cloned()
    }

    /// Keeps a prepared batch.
    pub fn keep_prepared(&self, batch: &Arc<PreparedBatch>) {
        self.table().keep_prepared(batch);
    }

    /// Forgets a batch that has finished.
    pub fn forget(&self, batch: BatchKey) {
        self.table().forget(batch);
    }

    /// The store may have more work than it had.
    pub fn work_arrived(&self) {
        self.wakes.work.notify_one();
    }

    /// Adds a granted lease.
    pub fn grant(&self, claim: Claim, batch: Arc<PreparedBatch>, disposition: Disposition) {
        self.table().grant(claim, batch, self.slots.count(), disposition);
        self.wakes.chunk.notify_one();
        self.wakes.load.notify_one();
        self.wakes.report.notify_one();
    }

    /// Reserves up to `most` slots that the store does not count as taken, for the claim that comes next: so many items
    /// it may count as started.
    pub fn reserve(&self, most: u32) -> u32 {
        self.table().reserve(most, self.slots.count())
    }

    /// The claim was granted nothing.
    pub fn cancel_reservation(&self) {
        self.table().cancel_reservation();
        self.wakes.report.notify_one();
    }

    /// The claim was not answered: it may have been granted what was reserved.
    pub fn doubt_reservation(&self) {
        self.table().doubt_reservation();
    }

    /// What claims without an answer were granted has gone back.
    pub fn clear_reservations(&self) {
        self.table().clear_reservations();
        self.wakes.report.notify_one();
    }

    /// Slot `at` gives back what it has done and takes the next chunk, in one step: what is reported as started is never
    /// between two items.
    pub fn next_chunk(&self, at: usize, finished: Option<(LeaseId, ChunkResult)>) -> Option<Chunk> {
        let mut table = self.table();
        if let Some((lease, result)) = finished {
            self.slots.slot(at).clear();
            table.settle(lease, result);
            self.wakes.report.notify_one();
        }
        let chunk = self.take_chunk(&mut table, at);
        let more = table.leases.values().any(|lease| lease.available() > 0);
        let load = table.leases.values().any(|lease| lease.wants_load(self.slots.count()).is_some());
        // The recorder need not hurry where the first item is among those that were reported as started already.
        let unreported = chunk.as_ref().is_some_and(|chunk| {
            let first = chunk.items.as_ref().and_then(|items| items.first());
            let lease = table.leases.get(&chunk.lease);
            first.zip(lease).is_some_and(|(seq, lease)| !covers(&lease.reported, seq))
        });
        let full = table.is_group_full();
        let hungry = chunk.is_none() || table.half_started();
        drop(table);
        for (due, wake) in [
            (full, &self.wakes.group),
            (hungry, &self.wakes.room),
            // One slot wakes the next, so that idle ones are not all woken for a single chunk.
            (chunk.is_some() && more, &self.wakes.chunk),
            (load, &self.wakes.load),
            (unreported, &self.wakes.report),
        ] {
            if due {
                wake.notify_one();
            }
        }
        chunk
    }

    fn take_chunk(&self, table: &mut LeaseTable, at: usize) -> Option<Chunk> {
        let (turn, lease) = table.next_to_serve()?;
        let items = lease.take()?;
        lease.batch.served.store(turn, Ordering::Relaxed);
        let stop = Arc::new(StopHandle::default());
        let (id, batch) = (lease.claim.lease, Arc::clone(&lease.batch));
        let assignment =
            Assignment { lease: id, batch: Arc::clone(&batch), stop: Arc::clone(&stop), cell: None };
        self.slots.slot(at).begin(assignment, items.first()?);
        Some(Chunk {
            lease: id,
            batch,
            record: Arc::clone(&lease.record),
            generation: lease.claim.generation,
            attempt: lease.claim.attempt,
            crashes: lease.claim.crashes,
            stop,
            items: Some(items),
        })
    }

    /// The next ranges to load.
    pub fn next_load(&self) -> Option<Load> {
        let mut table = self.table();
        let slots = self.slots.count();
        let (lease, items) = table
            .leases
            .values_mut()
            .filter_map(|lease| lease.wants_load(slots).map(|items| (lease, items)))
            .min_by_key(|(lease, _)| lease.batch.served.load(Ordering::Relaxed))?;
        let ranges = lease.begin_load(items);
        Some(Load {
            lease: lease.claim.lease,
            batch: Arc::clone(&lease.batch),
            record: Arc::clone(&lease.record),
            ranges,
        })
    }

    /// Adds what was loaded; none where it could not be.
    pub fn loaded(&self, lease: LeaseId, records: Option<Vec<InputRecord>>) {
        if let Some(lease) = self.table().leases.get_mut(&lease) {
            lease.end_load(records);
        }
        self.wakes.chunk.notify_one();
        self.wakes.report.notify_one();
    }

    /// An act on a batch that stands at `rev` after it, as soon as it is committed: what waits is handed back or ends,
    /// what runs is stopped on cancel.
    pub fn redirect(&self, batch: BatchKey, rev: Rev, disposition: Disposition) {
        let mut table = self.table();
        table.redirect(batch, rev, disposition);
        if disposition == Disposition::Cancel {
            self.slots.stop(StopReason::Cancel, |assignment| assignment.batch.key == batch);
        }
        drop(table);
        self.wakes.report.notify_one();
    }

    /// Forgets how batches of the tasks that `concerned` chooses were made ready: what waits of them goes back.
    pub fn renew(&self, concerned: impl Fn(&str) -> bool) {
        self.table().renew(concerned);
        self.wakes.report.notify_one();
        self.wakes.work.notify_one();
    }

    /// No more chunks: all that waits goes back.
    pub fn close(&self) {
        self.table().close();
        self.wakes.report.notify_one();
    }

    /// Stops all that runs; it goes back unspent.
    pub fn release(&self) {
        self.slots.stop(StopReason::Release, |_| true);
    }

    /// Every lease is another's from now on: what runs is stopped, and nothing of it is reported. How many they were.
    pub fn lose_all(&self) -> usize {
        let mut table = self.table();
        self.slots.stop(StopReason::Lost, |_| true);
        let lost = table.lose_all();
        drop(table);
        self.wakes.chunk.notify_one();
        lost
    }

    /// Stops all work of this node at once: from now on it may be another's.
    pub fn fence(&self, why: &'static str) {
        let first = self.liveness.fence();
        let lost = self.lose_all();
        if first {
            tracing::warn!(leases = lost, why, "this node stops its work until it has joined anew");
        }
    }

    /// True where an item of a lease may be started now. A process that was frozen, or slept with its machine, comes to
    /// itself in its slots first: whatever it holds may be another's by then, and is let go here, not only by the beat.
    pub fn may_start(&self) -> bool {
        if !self.liveness.is_stale() {
            return true;
        }
        self.fence("this node stood still for too long");
        self.liveness.hurry();
        false
    }

    /// Others have acted on these batches: what is held of them is reported with the next group, whose answer says how
    /// they stand.
    pub fn report_soon(&self, batches: &BTreeSet<BatchId>) {
        let mut table = self.table();
        let mut due = false;
        for lease in table.leases.values_mut().filter(|lease| batches.contains(&lease.batch.id)) {
            lease.reported_at = lease.reported_at.checked_sub(REFRESH).unwrap_or(lease.reported_at);
            due = true;
        }
        drop(table);
        if due {
            self.wakes.report.notify_one();
        }
    }
}
