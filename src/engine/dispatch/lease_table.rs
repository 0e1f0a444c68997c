//! All leases of this node, and what was promised and decided beside them: the state behind the dispatcher's lock.
//!
//! The store counts what runs by what this node reports. So that it never counts more items as started than there are
//! slots, whatever commits are under way, the table reckons with what a claim without an answer may have been granted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::lease::{Disposition, Lease};
use crate::engine::flow::{ChunkResult, PreparedBatch};
use crate::protocol::Rev;
use crate::store::{BatchKey, Claim, LeaseId};

/// Weight of what waits for the recorder at most; beyond, slots take nothing new until a group is committed.
const PENDING_WEIGHT_MAX: usize = 16_384;
/// A group of this weight is committed at once.
const GROUP_WEIGHT: usize = 4_096;
/// Leases of one node at most (or two per slot, if that is more); beyond, nothing is claimed.
const LEASES_MAX: u64 = 256;
/// Batches kept prepared; beyond, those without a lease are forgotten.
const PREPARED_MAX: usize = 1_024;
/// Redirections remembered at most; beyond, all are forgotten, and a lease that an act has overtaken learns of it at its
/// first report.
const REDIRECTED_MAX: usize = 1_024;

/// Leases, batches prepared to run, and what was promised to claims under way.
#[derive(Default)]
pub struct LeaseTable {
    pub leases: BTreeMap<LeaseId, Lease>,
    prepared: HashMap<BatchKey, Arc<PreparedBatch>>,
    /// Weight of what waits for the recorder.
    weight: usize,
    /// Chunks taken so far: what [`PreparedBatch::served`] is compared by.
    turn: u64,
    closing: bool,
    /// Items that the store may still count as started beside those that leases were reported with: a group that takes
    /// them back is being recorded.
    pub unconfirmed: u64,
    /// Items that a claim under way may count as started.
    reserved: u64,
    /// As `reserved`, of claims without an answer whose leases have not been looked for yet.
    in_doubt: u64,
    /// The last act on a batch, and the revision from which on it holds: a lease granted before it may come later.
    redirected: HashMap<BatchKey, (Rev, Disposition)>,
}

impl LeaseTable {
    /// The batch, if it is prepared here.
    pub fn prepared(&self, batch: BatchKey) -> Option<&Arc<PreparedBatch>> {
        self.prepared.get(&batch)
    }

    /// All prepared batches.
    pub fn all_prepared(&self) -> impl Iterator<Item = &Arc<PreparedBatch>> {
        self.prepared.values()
    }

    /// Keeps a prepared batch.
    pub fn keep_prepared(&mut self, batch: &Arc<PreparedBatch>) {
        if self.prepared.len() >= PREPARED_MAX {
            self.prepared.retain(|_, kept| Arc::strong_count(kept) > 1);
        }
        self.prepared.insert(batch.key, Arc::clone(batch));
    }

    /// Forgets a batch that has finished.
    pub fn forget(&mut self, batch: BatchKey) {
        self.prepared.remove(&batch);
        self.redirected.remove(&batch);
    }

    /// Forgets the prepared batches of the tasks that `concerned` chooses, and hands back what waits of them.
    pub fn renew(&mut self, concerned: impl Fn(&str) -> bool) {
        self.prepared.retain(|_, batch| !concerned(&batch.task));
        let leases = self.leases.values_mut().filter(|lease| concerned(&lease.batch.task));
        leases.for_each(|lease| lease.redirect(Disposition::HandBack));
    }

    /// Adds a granted lease. What was decided of its batch after it was granted holds for it too.
    pub fn grant(&mut self, claim: Claim, batch: Arc<PreparedBatch>, slots: u64, disposition: Disposition) {
        let mut lease = Lease::new(claim, batch, slots);
        lease.redirect(if self.closing { Disposition::HandBack } else { disposition });
        let overtaken = self.redirected.get(&lease.batch.key).filter(|(rev, _)| *rev > lease.claim.batch.rev);
        if let Some((_, later)) = overtaken {
            lease.redirect(*later);
        }
        self.leases.insert(lease.claim.lease, lease);
        self.reserved = 0;
    }

    /// Decides what becomes of the waiting items of a batch, from its revision `rev` on.
    pub fn redirect(&mut self, batch: BatchKey, rev: Rev, disposition: Disposition) {
        if self.redirected.len() >= REDIRECTED_MAX {
            self.redirected.clear();
        }
        self.redirected.insert(batch, (rev, disposition));
        self.leases
            .values_mut()
            .filter(|lease| lease.batch.key == batch)
            .for_each(|lease| lease.redirect(disposition));
    }

    /// No more chunks: all that waits goes back.
    pub fn close(&mut self) {
        self.closing = true;
        self.leases.values_mut().for_each(|lease| lease.redirect(Disposition::HandBack));
    }

    /// Drops all leases; how many they were.
    pub fn lose_all(&mut self) -> usize {
        self.weight = 0;
        (self.reserved, self.in_doubt, self.unconfirmed) = (0, 0, 0);
        std::mem::take(&mut self.leases).len()
    }

    /// Adds what came of a chunk to the report of its lease.
    pub fn settle(&mut self, lease: LeaseId, result: ChunkResult) {
        // A lease that is gone was lost: what was done of it is another node's to record.
        let Some(lease) = self.leases.get_mut(&lease) else { return };
        if result.items > 0 {
            let each = result.took.as_nanos() / u128::from(result.items);
            lease.batch.pace_ns.add(u64::try_from(each).unwrap_or(u64::MAX / 8));
        }
        self.weight += result.weight;
        lease.settle(result);
    }

    /// The lease that is to be served next: the highest priority, then the batch that was served least recently.
    pub fn next_to_serve(&mut self) -> Option<(u64, &mut Lease)> {
        if self.weight >= PENDING_WEIGHT_MAX {
            return None;
        }
        self.turn += 1;
        let turn = self.turn;
        let lease = self.leases.values_mut().filter(|lease| lease.available() > 0).min_by_key(|lease| {
            let priority = lease.record.options.priority;
            (std::cmp::Reverse(priority), lease.batch.served.load(Ordering::Relaxed))
        })?;
        Some((turn, lease))
    }

    /// True where a whole group waits for the recorder.
    pub fn is_group_full(&self) -> bool {
        self.weight >= GROUP_WEIGHT
    }

    /// What waited for the recorder was collected.
    pub fn collected(&mut self) {
        self.weight = 0;
    }

    /// True while more leases may come, on a node of so many slots.
    pub fn has_room(&self, slots: u64) -> bool {
        !self.closing
            && self.weight < PENDING_WEIGHT_MAX
            && (self.leases.len() as u64) < LEASES_MAX.max(2 * slots)
    }

    /// True where at least half of what was leased has been taken by slots.
    pub fn half_started(&self) -> bool {
        let (mut waiting, mut granted) = (0, 0);
        for lease in self.leases.values().filter(|lease| lease.waiting() > 0) {
            waiting += lease.waiting();
            granted += lease.claim.count();
        }
        waiting * 2 <= granted
    }

    /// Items that the store may count as started by this node, whichever of the commits under way it has seen.
    fn counted(&self) -> u64 {
        self.leases.values().map(Lease::reported_items).sum::<u64>() + self.unconfirmed
    }

    /// Items that a report may count as started, whatever becomes of the claim under way.
    pub fn reportable(&self, slots: u64) -> u64 {
        slots.saturating_sub(self.reserved + self.in_doubt)
    }

    /// Reserves up to `most` slots for the claim that comes next; how many.
    pub fn reserve(&mut self, most: u32, slots: u64) -> u32 {
        let free = slots.saturating_sub(self.counted() + self.in_doubt);
        self.reserved = free.min(u64::from(most));
        u32::try_from(self.reserved).unwrap_or(u32::MAX)
    }

    /// The claim was granted nothing.
    pub fn cancel_reservation(&mut self) {
        self.reserved = 0;
    }

    /// The claim was not answered: it may have been granted what was reserved.
    pub fn doubt_reservation(&mut self) {
        self.in_doubt += std::mem::take(&mut self.reserved);
    }

    /// What claims without an answer were granted has gone back.
    pub fn clear_reservations(&mut self) {
        (self.reserved, self.in_doubt) = (0, 0);
    }
}
