//! Claim: a node asks for work and gets the right to one range of one batch.
//!
//! The batch is chosen by the database, in its order of turns; its row is locked, and what may be granted is looked at
//! again. What is granted was pending or waiting a moment before, and is in exactly one lease after. How long items take
//! is for the caller to say.

use std::collections::HashMap;

use sea_orm::DatabaseTransaction;

use super::next_batch::{BEFORE_ALL, CANDIDATES, CLOCKS_APART_MS, RunnableTasks, candidates};
use crate::protocol::{BatchState, NodeId, Timestamp};
use crate::store::Store;
use crate::store::backend::{
    Durability, all, count, in_keys, int, list_value, locking, number, one, row, run, small,
};
use crate::store::clock::Moment;
use crate::store::entity::{batches, requeue};
use crate::store::error::StoreError;
use crate::store::records::{BatchChange, BatchKey, BatchRecord, LeaseId, SeqRange};
use crate::store::retry_counts::FIRST_GENERATION;
use crate::store::tape::{Ranges, Requeue, Tape, to_record};

/// What a node asks for.
pub struct ClaimRequest<'a> {
    /// Which node.
    pub node: &'a NodeId,
    /// Slots without work.
    pub slots_free: u32,
    /// Items of a batch that one slot does in about a second, by what is known; at least 1.
    pub items_per_slot: &'a HashMap<BatchKey, u64>,
    /// Slots per batch that this node already holds in other leases are known to the store itself.
    /// Items of one lease at most.
    pub lease_items_max: u64,
    /// Items that may be counted as started with the grant: slots that the store does not count as taken. The others
    /// of `slots_free` are told as started by a later record.
    pub started_max: u32,
    /// Tasks that can be run here; a batch of another waits for a node that can.
    pub tasks: &'a RunnableTasks,
}

/// A granted lease.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which lease.
    pub lease: LeaseId,
    /// The batch as of the claim.
    pub batch: BatchRecord,
    /// The items, in order, never none.
    pub ranges: Vec<SeqRange>,
    /// Generation of the items.
    pub generation: u32,
    /// Attempt that each item of the range is about to make, from 1.
    pub attempt: u32,
    /// Times a node was lost with these items in its hands.
    pub crashes: u32,
    /// Version to compare at the next record.
    pub version: u32,
    /// Slots granted, at least 1.
    pub slots: u32,
    /// Items counted as started with the claim: the first ones, perhaps none.
    pub started: u64,
}

impl Claim {
    /// How many items.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| range.count()).sum()
    }

    /// From the first item to the last, with all between that belong to others.
    #[must_use]
    pub fn hull(&self) -> SeqRange {
        let (first, last) = (self.ranges.first(), self.ranges.last());
        let (first, last) = first.zip(last).expect("a claim is never empty");
        SeqRange::new(first.first, last.last)
    }

    /// The items counted as started with the claim.
    #[must_use]
    pub fn started_ranges(&self) -> Vec<SeqRange> {
        let mut left = self.started;
        let mut started = Vec::new();
        for range in &self.ranges {
            let part = left.min(range.count());
            if part == 0 {
                break;
            }
            started.push(SeqRange::new(range.first, range.first + part - 1));
            left -= part;
        }
        started
    }
}

/// Queries of one claim at most. All that they found has changed before it was locked: others are at work on it, and the
/// next claim looks again.
const CANDIDATE_QUERIES_MAX: usize = 4;

/// Ranges that came due and buckets that filled longer ago are not news: what a claim did not take of them waits for
/// something else.
const DUE_PAST_MS: i64 = 1_000;

/// What a batch may be granted now.
struct Grant {
    slots: i64,
    /// Items at most, for the slots, the bucket and the bound of a lease.
    items: i64,
}

/// Ranges to lease, never none.
struct Picked {
    ranges: Ranges,
    again: Requeue,
    slots: i64,
}

/// Locks the row of a batch, plainly, so that a claim waits its turn behind records instead of starving; none where it
/// hands nothing out any more.
async fn lock_handing_out(
    tx: &DatabaseTransaction,
    batch: i64,
) -> Result<Option<batches::Model>, StoreError> {
    let text = "SELECT * FROM batches WHERE id = $1 AND state IN ('pending', 'running') AND NOT deleted";
    one(tx, &locking(tx, text), vec![batch.into()]).await
}

impl Store {
    /// Leases one range to a node, if there is one to be had. Chooses the batch by priority, then least lately served.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] where counters do not add up: stop claiming; outages.
    pub async fn claim(
        &self,
        request: &ClaimRequest<'_>,
    ) -> Result<Option<(Claim, BatchChange)>, StoreError> {
        let now = self.moment();
        let mut after = BEFORE_ALL;
        if request.slots_free == 0 {
            return Ok(None);
        }
        for _query in 0..CANDIDATE_QUERIES_MAX {
            // Chosen without a lock: what has changed since is seen under it.
            let found = candidates(self.inner.backend.reader(), now.steady, request.tasks, after).await?;
            for (_priority, _served, batch) in &found {
                let tx = self.inner.backend.write().await?;
                let Some(batch) = lock_handing_out(&tx, *batch).await? else { continue };
                let mut tape = Tape::of(&tx, batch, now);
                let Some(grant) = grant(&mut tape, request).await? else { continue };
                let Some(picked) = pick(&mut tape, &grant).await? else { continue };
                let claim = lease(tape, request, picked).await?;
                self.inner.backend.commit(tx, Durability::Process).await?;
                return Ok(Some(claim));
            }
            match found.last() {
                Some(last) if found.len() == CANDIDATES => after = *last,
                Some(_) | None => break,
            }
        }
        Ok(None)
    }

    /// When the next requeued range or scheduled batch comes due, or a batch may hand out again by its rate, if one
    /// is waiting: by the steady clock.
    ///
    /// # Errors
    /// Outages.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        /// Each the first of its index: of ranges that wait, of scheduled batches, of buckets that fill. What is put
        /// behind a state keeps SQLite from taking the index of states instead.
        const DUE: &str = "SELECT \
             (SELECT r.not_before FROM requeue r WHERE r.not_before > $1 AND EXISTS (SELECT 1 FROM batches b \
              WHERE b.id = r.batch AND b.state IN ('pending', 'running')) ORDER BY r.not_before LIMIT 1), \
             (SELECT start_at FROM batches WHERE state = 'scheduled' AND start_at IS NOT NULL ORDER BY start_at LIMIT 1), \
             (SELECT rate_due FROM batches WHERE rate_due > $1 AND state || '' IN ('pending', 'running') \
              AND next_seq <= total ORDER BY rate_due LIMIT 1)";
        let Moment { wall, steady } = self.moment();
        let since = steady.plus_ms(-DUE_PAST_MS).0;
        let found = row(self.inner.backend.reader(), DUE, vec![since.into()]).await?;
        let found = found.ok_or_else(|| StoreError::Invariant("a row of scalars is missing".to_owned()))?;
        let at = |column: usize| found.try_get_by_index::<Option<i64>>(column);
        // A time of day: as far off as the wall clock says now.
        let scheduled = at(1)?.map(|at| at.saturating_sub(wall.0).saturating_add(steady.0));
        Ok([at(0)?, scheduled, at(2)?].into_iter().flatten().min().map(Timestamp))
    }
}

fn rate_per_s(batch: &batches::Model) -> Result<Option<f64>, StoreError> {
    Ok(to_record(batch)?.options.rate_per_s.filter(|rate| *rate > 0.0))
}

/// When a bucket that fills at `rate` items a second holds an item again; none where it holds one.
fn rate_due(batch: &batches::Model, rate: f64) -> Option<i64> {
    let wait_ms = to_whole(((1.0 - batch.rate_tokens) / rate * 1_000.0).ceil());
    (batch.rate_tokens < 1.0).then(|| batch.rate_at.saturating_add(wait_ms))
}

/// The whole part of a small positive number.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and buckets are far below 2^53")]
fn to_whole(number: f64) -> i64 {
    number as i64
}

#[expect(clippy::cast_precision_loss, reason = "items and milliseconds of a bucket are far below 2^53")]
fn to_float(number: i64) -> f64 {
    number as f64
}

/// Slots and items that the batch may be given now; fills its bucket.
async fn grant(tape: &mut Tape<'_>, request: &ClaimRequest<'_>) -> Result<Option<Grant>, StoreError> {
    let mut slots = i64::from(request.slots_free);
    if let Some(concurrency) = tape.batch.concurrency {
        let text = "SELECT CAST(COALESCE(SUM(slots), 0) AS BIGINT) FROM leases WHERE batch = $1";
        let used = number(tape.tx, text, vec![tape.batch.id.into()]).await?.unwrap_or(0);
        slots = slots.min(concurrency - used);
    }
    if slots < 1 {
        return Ok(None);
    }
    let per_slot = request.items_per_slot.get(&tape.batch.id).copied().unwrap_or(1).max(1);
    let mut items = int(per_slot).saturating_mul(slots).min(int(request.lease_items_max.max(1)));
    if let Some(rate) = rate_per_s(&tape.batch)? {
        // A clock that went far back, as after a start with another one, gives one item and counts from there. A little
        // behind is another node: it waits until its clock has come to where the bucket was filled last.
        let passed = tape.steady.saturating_sub(tape.batch.rate_at);
        if passed < -CLOCKS_APART_MS {
            tape.batch.rate_tokens = tape.batch.rate_tokens.max(1.0);
            tape.batch.rate_at = tape.steady;
        } else if passed > 0 {
            let filled = tape.batch.rate_tokens + to_float(passed) / 1_000.0 * rate;
            tape.batch.rate_tokens = filled.min(rate.max(1.0));
            tape.batch.rate_at = tape.steady;
        }
        items = items.min(to_whole(tape.batch.rate_tokens));
    }
    Ok((items >= 1).then_some(Grant { slots, items }))
}

/// Takes a due requeued range, or moves the cursor.
async fn pick(tape: &mut Tape<'_>, grant: &Grant) -> Result<Option<Picked>, StoreError> {
    let due =
        "SELECT * FROM requeue WHERE batch = $1 AND not_before <= $2 ORDER BY not_before, first LIMIT $3";
    let most = grant.items.min(LEASE_RANGES_MAX);
    let waiting: Vec<requeue::Model> =
        all(tape.tx, due, vec![tape.batch.id.into(), tape.steady.into(), most.into()]).await?;
    if !waiting.is_empty() {
        return pick_waiting(tape, grant, waiting).await.map(Some);
    }
    let end = tape.batch.try_first.unwrap_or(i64::MAX).min(tape.batch.total);
    let first = tape.batch.next_seq;
    if first > end {
        return Ok(None);
    }
    let last = end.min(first.saturating_add(grant.items - 1));
    tape.batch.next_seq = last + 1;
    Ok(Some(Picked {
        ranges: Ranges::one(SeqRange::new(count(first)?, count(last)?)),
        again: Requeue { generation: FIRST_GENERATION, attempt: 1, crashes: 0, not_before: 0 },
        slots: grant.slots,
    }))
}

/// How many items of a range that was in a lost node's hands once are leased together: about the root of what is
/// left of it, but not fewer than can start at once. So n items take about 2√n leases, and a second crash leaves
/// √n suspects to run alone. In pieces of the free slots alone, a lease of 100,000 quick items would become tens of
/// thousands.
fn suspects(waiting: &requeue::Model, slots: i64) -> i64 {
    let left = waiting.last.saturating_sub(waiting.first).saturating_add(1);
    left.isqrt().max(slots)
}

/// Waiting ranges that one lease takes at most.
const LEASE_RANGES_MAX: i64 = 1_024;

/// Takes the first of the waiting ranges that are due, and of the others those that agree with it in all but their time:
/// items that failed here and there come back in one lease, not in one each.
async fn pick_waiting(
    tape: &mut Tape<'_>,
    grant: &Grant,
    due: Vec<requeue::Model>,
) -> Result<Picked, StoreError> {
    let first = due.first().ok_or_else(|| StoreError::Invariant("nothing is due".to_owned()))?;
    let (items, slots) = match first.crashes {
        0 => (grant.items, grant.slots),
        1 => (grant.items.min(suspects(first, grant.slots)), grant.slots),
        _ => (1, 1),
    };
    let agrees = |row: &requeue::Model| (row.generation, row.attempt, row.crashes);
    let (generation, attempt, crashes) = agrees(first);
    let batch = tape.batch.id;
    let (mut taken, mut whole, mut room) = (Vec::new(), Vec::new(), items);
    for row in due.iter().filter(|row| agrees(row) == (generation, attempt, crashes)) {
        let last = row.last.min(row.first.saturating_add(room - 1));
        taken.push(SeqRange::new(count(row.first)?, count(last)?));
        if last == row.last {
            whole.push(row.first);
        } else {
            let text = "UPDATE requeue SET first = $3, rev = $4 WHERE batch = $1 AND first = $2";
            run(tape.tx, text, [batch, row.first, last + 1, tape.rev].map(Into::into).to_vec()).await?;
        }
        room -= last - row.first + 1;
        if room == 0 {
            break;
        }
    }
    match whole.as_slice() {
        [] => {}
        [one] => {
            let key = vec![batch.into(), (*one).into()];
            run(tape.tx, "DELETE FROM requeue WHERE batch = $1 AND first = $2", key).await?;
        }
        whole => {
            let text = format!("DELETE FROM requeue WHERE batch = $1 AND first {}", in_keys(tape.tx, 2));
            run(tape.tx, &text, vec![batch.into(), list_value(whole)]).await?;
        }
    }
    let ranges = Ranges::collect(taken);
    if attempt >= 2 {
        tape.batch.retrying -= int(ranges.count());
    }
    Ok(Picked { ranges, again: Requeue { generation, attempt, crashes, not_before: 0 }, slots })
}

/// Writes the lease and moves the counters of what starts at once.
async fn lease(
    mut tape: Tape<'_>,
    request: &ClaimRequest<'_>,
    picked: Picked,
) -> Result<(Claim, BatchChange), StoreError> {
    let Picked { ranges, again, slots } = picked;
    let items = int(ranges.count());
    let slots = slots.min(items);
    let started = slots.min(i64::from(request.started_max));
    tape.batch.running += started;
    if again.attempt >= 2 {
        tape.batch.retrying += items - started;
    }
    if let Some(rate) = rate_per_s(&tape.batch)? {
        tape.batch.rate_tokens -= to_float(items);
        tape.batch.rate_due = rate_due(&tape.batch, rate);
    }
    if tape.state()? == BatchState::Pending {
        tape.set_state(BatchState::Running);
    }
    tape.batch.started_at.get_or_insert(tape.now);
    tape.batch.served = number(tape.tx, "SELECT MAX(served) FROM batches", vec![]).await?.unwrap_or(0) + 1;
    let claim = Claim {
        lease: 0,
        batch: to_record(&tape.batch)?,
        ranges: ranges.iter().collect(),
        generation: small(again.generation)?,
        attempt: small(again.attempt)?,
        crashes: small(again.crashes)?,
        version: 1,
        slots: small(slots)?,
        started: count(started)?,
    };
    let hull = claim.hull();
    let values = vec![
        tape.batch.id.into(),
        int(hull.first).into(),
        int(hull.last).into(),
        ranges.print().into(),
        request.node.0.clone().into(),
        slots.into(),
        Ranges::collect(claim.started_ranges()).print().into(),
        again.generation.into(),
        again.attempt.into(),
        again.crashes.into(),
        tape.rev.into(),
    ];
    let made = row(tape.tx, INSERT_LEASE, values).await?;
    let made = made.ok_or_else(|| StoreError::Invariant("an insert answered no key".to_owned()))?;
    let change = tape.write().await?;
    let claim = Claim { lease: made.try_get_by_index(0)?, batch: change.batch.clone(), ..claim };
    Ok((claim, change))
}

const INSERT_LEASE: &str = "INSERT INTO leases (batch, first, last, \"left\", node, slots, started, generation, \
     attempt, crashes, version, rev) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11) RETURNING id";
