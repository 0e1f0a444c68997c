//! Audit: everything that is counted, counted again.
//!
//! Reads one snapshot and changes nothing.

use std::collections::BTreeMap;

use sea_orm::DatabaseTransaction;

use super::items::leases_of;
use crate::protocol::BatchState;
use crate::store::Store;
use crate::store::backend::{all, count, number, one, rows};
use crate::store::entity::{batches, families, outcomes, pulse, requeue, strip};
use crate::store::error::StoreError;
use crate::store::pulse_buckets::PULSE_BUCKETS_MAX;
use crate::store::records::{BatchKey, SeqRange};

impl Store {
    /// Checks invariants 1, 2 and 4 of a batch by scanning it: for tests and audits.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] with what does not fit; outages.
    pub async fn audit(&self, batch: BatchKey) -> Result<(), StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let row = one(&tx, "SELECT * FROM batches WHERE id = $1", vec![batch.into()]).await?;
        let row: batches::Model = row.ok_or(StoreError::NotFound("batch"))?;
        let checked = check(&tx, &row).await;
        tx.rollback().await?;
        checked
    }
}

#[cfg(test)]
impl Store {
    /// Items counted as running in all batches, as of one commit.
    pub async fn running_in_all(&self) -> Result<u64, StoreError> {
        let text = "SELECT CAST(COALESCE(SUM(running), 0) AS BIGINT) FROM batches";
        count(number(self.inner.backend.reader(), text, vec![]).await?.unwrap_or(0))
    }
}

impl Store {
    /// Checks by sums what [`Store::audit`] checks row by row: no item has two ends, and the counters are what the rows
    /// say. Bounded in memory, whatever the number of items: for every batch that ends, in release builds too.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] with what does not fit; [`StoreError::NotFound`]; outages.
    pub async fn audit_sums(&self, batch: BatchKey) -> Result<(), StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let row = one(&tx, "SELECT * FROM batches WHERE id = $1", vec![batch.into()]).await?;
        let row: batches::Model = row.ok_or(StoreError::NotFound("batch"))?;
        if row.deleted {
            // Its rows go step by step, and its own goes last.
            return Err(StoreError::NotFound("batch"));
        }
        let summed = sums(&tx, &row).await;
        tx.rollback().await?;
        summed
    }
}

async fn sums(tx: &DatabaseTransaction, batch: &batches::Model) -> Result<(), StoreError> {
    /// Items by state, and how many rows begin before the one before them has ended.
    const ENDED: &str = "SELECT state, CAST(SUM(last - first + 1) AS BIGINT), \
         CAST(SUM(CASE WHEN before >= first THEN 1 ELSE 0 END) AS BIGINT), \
         CAST(SUM(CASE WHEN generation = $2 THEN last - first + 1 ELSE 0 END) AS BIGINT) FROM \
         (SELECT state, first, last, generation, LAG(last) OVER (ORDER BY first) AS before FROM outcomes \
          WHERE batch = $1) AS o GROUP BY state";
    const WAITING: &str = "SELECT CAST(COALESCE(SUM(last - first + 1), 0) AS BIGINT), CAST(COALESCE(SUM(CASE \
         WHEN attempt >= 2 THEN last - first + 1 ELSE 0 END), 0) AS BIGINT) FROM requeue WHERE batch = $1";
    let key = || vec![batch.id.into()];
    let (mut ended, mut handed_out) = (BTreeMap::<String, i64>::new(), 0_i64);
    let mut again = BTreeMap::<String, i64>::new();
    for row in rows(tx, ENDED, vec![batch.id.into(), batch.generation.into()]).await? {
        let (items, twice): (i64, i64) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        if twice > 0 {
            return Err(StoreError::Invariant(format!("batch {}: {twice} outcomes overlap", batch.id)));
        }
        ended.insert(row.try_get_by_index(0)?, items);
        again.insert(row.try_get_by_index(0)?, row.try_get_by_index(3)?);
        handed_out += items;
    }
    let waiting = crate::store::backend::row(tx, WAITING, key()).await?;
    let waiting = waiting.ok_or_else(|| StoreError::Invariant("a sum has no row".to_owned()))?;
    let (mut running, mut retrying): (i64, i64) = (0, waiting.try_get_by_index(1)?);
    handed_out += waiting.try_get_by_index::<i64>(0)?;
    for (lease, left, started) in leases_of(tx, batch.id).await? {
        let (left, started) =
            (crate::store::backend::int(left.count()), crate::store::backend::int(started.count()));
        handed_out += left;
        running += started;
        if lease.attempt >= 2 {
            retrying += left - started;
        }
    }
    let ended = |state: &str| ended.get(state).copied().unwrap_or(0);
    let stored = [batch.running, batch.retrying, batch.succeeded, batch.failed, batch.cancelled];
    let summed = [running, retrying, ended("succeeded"), ended("failed"), ended("cancelled")];
    retried(batch, &again)?;
    if stored == summed && handed_out == batch.next_seq - 1 {
        return Ok(());
    }
    Err(StoreError::Invariant(format!(
        "batch {}: counters are {stored:?}, rows say {summed:?}; {handed_out} handed out, the cursor is {}",
        batch.id, batch.next_seq
    )))
}

/// Compares what is counted of the last retry with the ends of its generation, by state.
fn retried(batch: &batches::Model, ended: &BTreeMap<String, i64>) -> Result<(), StoreError> {
    let ended = ["succeeded", "failed", "cancelled"].map(|state| ended.get(state).copied().unwrap_or(0));
    let stored = [batch.retry_succeeded, batch.retry_failed, batch.retry_cancelled];
    if batch.retry_at.is_none() || stored == ended {
        return Ok(());
    }
    let id = batch.id;
    Err(StoreError::Invariant(format!("batch {id}: its retry counts {stored:?}, rows say {ended:?}")))
}

/// What the rows say.
#[derive(Default)]
struct Counted {
    ranges: Vec<SeqRange>,
    running: i64,
    retrying: i64,
    ended: BTreeMap<String, i64>,
    /// Of the generation of the last retry, by state.
    again: BTreeMap<String, i64>,
    /// Items of that generation, wherever they are.
    taken: i64,
    families: BTreeMap<String, i64>,
    cells: BTreeMap<i64, [i64; 3]>,
}

async fn check(tx: &DatabaseTransaction, batch: &batches::Model) -> Result<(), StoreError> {
    let broken = |what: String| Err(StoreError::Invariant(format!("batch {}: {what}", batch.id)));
    let counted = scan(tx, batch).await?;
    let mut ranges = counted.ranges;
    ranges.sort_unstable();
    let mut next = 1;
    for range in &ranges {
        if range.first != next {
            return broken(format!("{} comes where {next} is due", range.first));
        }
        next = range.last + 1;
    }
    if next != count(batch.next_seq)? {
        return broken(format!("ranges end before {next}, the cursor is {}", batch.next_seq));
    }
    let acts = number(tx, "SELECT COUNT(*) FROM acts WHERE batch = $1", vec![batch.id.into()]).await?;
    if acts != Some(batch.acts) {
        return broken(format!("{} acts are counted, rows say {acts:?}", batch.acts));
    }
    let left =
        "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM files WHERE batch = $1 AND side = 'output'";
    let left = number(tx, left, vec![batch.id.into()]).await?;
    if left != Some(batch.left_bytes) {
        return broken(format!("{} bytes of files are counted, rows say {left:?}", batch.left_bytes));
    }
    let ended = |state: &str| counted.ended.get(state).copied().unwrap_or(0);
    let stored = [batch.running, batch.retrying, batch.succeeded, batch.failed, batch.cancelled];
    let rows = [counted.running, counted.retrying, ended("succeeded"), ended("failed"), ended("cancelled")];
    if stored != rows {
        return broken(format!("counters are {stored:?}, rows say {rows:?}"));
    }
    retried(batch, &counted.again)?;
    if batch.retry_at.is_some() && batch.retry_items != counted.taken {
        return broken(format!("its retry took {}, rows say {}", batch.retry_items, counted.taken));
    }
    let all_ended = batch.sealed && batch.acts == 0 && stored[2..].iter().sum::<i64>() == batch.total;
    let finished = BatchState::parse(&batch.state).is_some_and(BatchState::is_finished);
    if all_ended != finished || finished != batch.finished_at.is_some() {
        return broken(format!("is {} where all ended is {all_ended}", batch.state));
    }
    let kept: Vec<families::Model> =
        all(tx, "SELECT * FROM families WHERE batch = $1", vec![batch.id.into()]).await?;
    let kept: BTreeMap<String, i64> = kept.into_iter().map(|family| (family.id, family.count)).collect();
    if kept != counted.families {
        return broken(format!("families are {kept:?}, rows say {:?}", counted.families));
    }
    let kept: Vec<strip::Model> =
        all(tx, "SELECT * FROM strip WHERE batch = $1", vec![batch.id.into()]).await?;
    let cell = |row: &strip::Model| (row.cell, [row.succeeded, row.failed, row.cancelled]);
    let kept: BTreeMap<i64, [i64; 3]> =
        kept.iter().map(cell).filter(|(_cell, sums)| *sums != [0; 3]).collect();
    if kept != counted.cells {
        return broken(format!("cells are {kept:?}, rows say {:?}", counted.cells));
    }
    let kept: Vec<pulse::Model> =
        all(tx, "SELECT * FROM pulse WHERE batch = $1 ORDER BY bucket", vec![batch.id.into()]).await?;
    let last = kept.last().map_or((0, 0), |row| (row.bucket + 1, row.starts_at));
    if last != (batch.pulse_buckets, batch.pulse_at) || count(last.0)? > PULSE_BUCKETS_MAX {
        return broken(format!("time buckets end with {last:?}"));
    }
    let newest = "SELECT MAX(rev) FROM (SELECT MAX(rev) AS rev FROM outcomes WHERE batch = $1 UNION ALL \
         SELECT MAX(rev) FROM requeue WHERE batch = $1 UNION ALL SELECT MAX(rev) FROM leases WHERE batch = $1) AS r";
    let newest = number(tx, newest, vec![batch.id.into()]).await?.unwrap_or(0);
    if newest > batch.rev {
        return broken(format!("a row is of revision {newest}, the batch of {}", batch.rev));
    }
    Ok(())
}

async fn scan(tx: &DatabaseTransaction, batch: &batches::Model) -> Result<Counted, StoreError> {
    let mut counted = Counted::default();
    let key = || vec![batch.id.into()];
    let ended: Vec<outcomes::Model> = all(tx, "SELECT * FROM outcomes WHERE batch = $1", key()).await?;
    for row in ended {
        let items = row.last - row.first + 1;
        counted.ranges.push(SeqRange::new(count(row.first)?, count(row.last)?));
        if let Some(family) = row.family {
            *counted.families.entry(family).or_default() += items;
        }
        let kind = ["succeeded", "failed", "cancelled"].iter().position(|state| *state == row.state);
        let kind = kind.ok_or_else(|| StoreError::Invariant(format!("an outcome is {:?}", row.state)))?;
        for seq in row.first..=row.last {
            counted.cells.entry((seq - 1) / batch.cell_items).or_default()[kind] += 1;
        }
        if row.generation == batch.generation {
            counted.taken += items;
            *counted.again.entry(row.state.clone()).or_default() += items;
        }
        *counted.ended.entry(row.state).or_default() += items;
    }
    let waiting: Vec<requeue::Model> = all(tx, "SELECT * FROM requeue WHERE batch = $1", key()).await?;
    for row in waiting {
        counted.ranges.push(SeqRange::new(count(row.first)?, count(row.last)?));
        if row.generation == batch.generation {
            counted.taken += row.last - row.first + 1;
        }
        if row.attempt >= 2 {
            counted.retrying += row.last - row.first + 1;
        }
    }
    for (lease, left, started) in leases_of(tx, batch.id).await? {
        if let Some(stray) = started.iter().find(|range| !left.contains(*range)) {
            return Err(StoreError::Invariant(format!("lease {} started {stray:?} that it left", lease.id)));
        }
        counted.ranges.extend(left.iter());
        let running = crate::store::backend::int(started.count());
        counted.running += running;
        if lease.generation == batch.generation {
            counted.taken += crate::store::backend::int(left.count());
        }
        if lease.attempt >= 2 {
            counted.retrying += crate::store::backend::int(left.count()) - running;
        }
    }
    Ok(counted)
}
