//! Time buckets: the ends of a batch as they were recorded.
//!
//! A retry takes nothing back, so the sum over all buckets is the number of ends, good and bad, that were ever recorded.
//! A batch has at most [`PULSE_BUCKETS_MAX`] of them, and none for a time in which nothing ended.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};

use crate::protocol::{PulseBucket, SPARK_BARS_MAX, SparkBar, Timestamp};
use crate::store::Store;
use crate::store::backend::{all, count, in_keys, insert_many, int, list_value, one, rows, run, small};
use crate::store::entity::{batches, pulse};
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, BatchRecord};

/// Time buckets of a batch at most; then all become twice as wide.
pub const PULSE_BUCKETS_MAX: u64 = 512;
/// Buckets that widening leaves at most, so that far-apart ones are not widened with every commit.
const LEFT_MAX: usize = 384;
/// Width of the buckets of a new batch, in ms.
pub const PULSE_MS_MIN: i64 = 1_000;

const INSERT: &str = "INSERT INTO pulse (batch, bucket, starts_at, succeeded, failed, rev)";
const ADD: &str = "INSERT INTO pulse (batch, bucket, starts_at, succeeded, failed, rev) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (batch, bucket) DO UPDATE SET \
     succeeded = pulse.succeeded + excluded.succeeded, failed = pulse.failed + excluded.failed, rev = excluded.rev \
     RETURNING *";

/// Adds ends, good and bad, that are recorded at `now`: the bucket as it is after, or that all have another width.
///
/// A clock that was set back adds to the last bucket: the order of buckets is that of time.
pub async fn write(
    tx: &DatabaseTransaction,
    batch: &mut batches::Model,
    [succeeded, failed]: [i64; 2],
    now: i64,
    rev: i64,
) -> Result<(Vec<PulseBucket>, bool), StoreError> {
    if (succeeded, failed) == (0, 0) {
        return Ok((Vec::new(), false));
    }
    if batch.pulse_buckets == 0 || now >= batch.pulse_at.saturating_add(batch.pulse_ms) {
        batch.pulse_buckets += 1;
        batch.pulse_at = start_of(now, batch.pulse_ms);
    }
    let values = [batch.id, batch.pulse_buckets - 1, batch.pulse_at, succeeded, failed, rev];
    let row: Option<pulse::Model> = one(tx, ADD, values.map(Value::from).to_vec()).await?;
    let row = row.ok_or_else(|| StoreError::Invariant(format!("batch {}: no bucket came", batch.id)))?;
    if count(batch.pulse_buckets)? > PULSE_BUCKETS_MAX {
        widen(tx, batch, rev).await?;
        return Ok((Vec::new(), true));
    }
    Ok((vec![to_bucket(&row, batch.pulse_ms)?], false))
}

fn start_of(at: i64, width: i64) -> i64 {
    at - at.rem_euclid(width)
}

async fn widen(tx: &DatabaseTransaction, batch: &mut batches::Model, rev: i64) -> Result<(), StoreError> {
    let text = "SELECT * FROM pulse WHERE batch = $1 ORDER BY bucket";
    let rows: Vec<pulse::Model> = all(tx, text, vec![batch.id.into()]).await?;
    let merged = loop {
        batch.pulse_ms = batch.pulse_ms.saturating_mul(2);
        let merged = merged(&rows, batch.pulse_ms);
        if merged.len() <= LEFT_MAX {
            break merged;
        }
    };
    run(tx, "DELETE FROM pulse WHERE batch = $1", vec![batch.id.into()]).await?;
    let row = |(bucket, [starts_at, succeeded, failed]): (i64, &[i64; 3])| {
        [batch.id, bucket, *starts_at, *succeeded, *failed, rev].map(Value::from).to_vec()
    };
    insert_many(tx, INSERT, "", (0..).zip(&merged).map(row).collect()).await?;
    batch.pulse_buckets = int(merged.len() as u64);
    batch.pulse_at = merged.last().map_or(0, |[starts_at, _, _]| *starts_at);
    Ok(())
}

/// Start, good and bad ends of the buckets that rows in the order of time make at another width.
fn merged(rows: &[pulse::Model], width: i64) -> Vec<[i64; 3]> {
    let mut merged: Vec<[i64; 3]> = Vec::new();
    for row in rows {
        let start = start_of(row.starts_at, width);
        match merged.last_mut().filter(|[last, _, _]| *last == start) {
            Some([_, succeeded, failed]) => {
                *succeeded += row.succeeded;
                *failed += row.failed;
            }
            None => merged.push([start, row.succeeded, row.failed]),
        }
    }
    merged
}

fn to_bucket(row: &pulse::Model, width: i64) -> Result<PulseBucket, StoreError> {
    Ok(PulseBucket {
        bucket: small(row.bucket)?,
        starts_at: Timestamp(row.starts_at),
        ms: count(width)?,
        succeeded: count(row.succeeded)?,
        failed: count(row.failed)?,
        rev: count(row.rev)?,
    })
}

/// The buckets of a batch that were written after `rev`.
pub async fn read_pulse<C: ConnectionTrait>(
    connection: &C,
    batch: &batches::Model,
    rev: i64,
) -> Result<Vec<PulseBucket>, StoreError> {
    let text = "SELECT * FROM pulse WHERE batch = $1 AND rev > $2 ORDER BY bucket";
    let rows: Vec<pulse::Model> = all(connection, text, vec![batch.id.into(), rev.into()]).await?;
    rows.iter().map(|row| to_bucket(row, batch.pulse_ms)).collect()
}

impl Store {
    /// The time buckets of a batch, with the `rev` they show.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the batch is gone; outages.
    pub async fn pulse(&self, batch: &BatchRecord) -> Result<(u64, Vec<PulseBucket>), StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let now = Self::row_by_key(&tx, batch.key).await?;
        let buckets = read_pulse(&tx, &now, 0).await?;
        tx.rollback().await?;
        Ok((count(now.rev)?, buckets))
    }

    /// The course of each of these batches in [`SPARK_BARS_MAX`] bars at most, each of as many buckets as the others but
    /// the last; none of a batch of which nothing has ended.
    ///
    /// One query by key, whatever the number of batches: it reads their buckets, at most [`PULSE_BUCKETS_MAX`] of each.
    /// While a batch runs, its newest bucket is left out until there is another, for it is not full yet.
    ///
    /// # Errors
    /// Outages.
    pub async fn sparks(&self, batches: &[BatchKey]) -> Result<HashMap<BatchKey, Vec<SparkBar>>, StoreError> {
        let mut sparks: HashMap<BatchKey, Vec<SparkBar>> = HashMap::new();
        if batches.is_empty() {
            return Ok(sparks);
        }
        let reader = self.inner.backend.reader();
        // CROSS JOIN has SQLite begin with the batches that are asked for.
        let text = format!(
            "SELECT pulse.batch, MIN(batches.pulse_ms), COUNT(*), CAST(SUM(pulse.succeeded) AS BIGINT), \
             CAST(SUM(pulse.failed) AS BIGINT) FROM batches CROSS JOIN pulse \
             WHERE batches.id {} AND pulse.batch = batches.id AND (batches.state <> 'running' \
             OR pulse.bucket = 0 OR pulse.bucket < batches.pulse_buckets - 1) \
             GROUP BY pulse.batch, pulse.bucket / ((batches.pulse_buckets + {}) / {SPARK_BARS_MAX}) \
             ORDER BY pulse.batch, MIN(pulse.bucket)",
            in_keys(reader, 1),
            SPARK_BARS_MAX - 1,
        );
        for row in rows(reader, &text, vec![list_value(batches)]).await? {
            let figure = |at: usize| count(row.try_get_by_index(at)?);
            let bar = [figure(1)?.saturating_mul(figure(2)?), figure(3)?, figure(4)?];
            sparks.entry(row.try_get_by_index(0)?).or_default().push(bar);
        }
        Ok(sparks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_merge_by_time_and_lose_nothing() {
        let row = |bucket, starts_at, succeeded, failed| pulse::Model {
            batch: 1,
            bucket,
            starts_at,
            succeeded,
            failed,
            rev: 1,
        };
        let rows = [row(0, 1_000, 3, 0), row(1, 2_000, 1, 1), row(2, 3_000, 0, 2), row(3, 9_000, 5, 0)];
        assert_eq!(merged(&rows, 2_000), [[0, 3, 0], [2_000, 1, 3], [8_000, 5, 0]]);
        assert_eq!(merged(&rows, 16_000), [[0, 9, 3]]);
        assert_eq!(start_of(-1, 1_000), -1_000);
    }
}
