//! The strip: a batch as about a thousand cells, each the counters of its items.
//!
//! The sum over all cells equals the batch's counters; at most [`STRIP_CELLS_MAX`] cells.

use std::collections::BTreeMap;

use sea_orm::{DatabaseTransaction, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::StripCell;
use crate::store::Store;
use crate::store::backend::{all, count, insert_many, run, small};
use crate::store::entity::{batches, strip};
use crate::store::error::StoreError;
use crate::store::records::BatchRecord;

/// Cells of a batch at most; then two become one.
pub const STRIP_CELLS_MAX: u64 = 1_024;
const CELLS_MAX: i64 = STRIP_CELLS_MAX.cast_signed();

/// The narrowest cells, a power of two, that hold `total` items.
pub fn width_for(total: i64, from: i64) -> i64 {
    let mut width = from.max(1);
    while total > width.saturating_mul(CELLS_MAX) {
        width = width.saturating_mul(2);
    }
    width
}

/// What a commit adds to cells.
#[derive(Default)]
pub struct CellMoves(BTreeMap<i64, [i64; 3]>);

impl CellMoves {
    /// Adds `sign` for each item of `first..=last` to counter `kind` of its cell.
    pub fn spread(&mut self, first: i64, last: i64, width: i64, kind: usize, sign: i64) {
        let mut from = first;
        while from <= last {
            let cell = (from - 1) / width;
            let to = last.min((cell + 1) * width);
            self.0.entry(cell).or_default()[kind] += sign * (to - from + 1);
            from = to + 1;
        }
    }

    /// Writes the moves; the cells as they are after.
    pub async fn write(
        &self,
        tx: &DatabaseTransaction,
        batch: &batches::Model,
        rev: i64,
    ) -> Result<Vec<StripCell>, StoreError> {
        let (Some((lowest, _)), Some((highest, _))) = (self.0.first_key_value(), self.0.last_key_value())
        else {
            return Ok(Vec::new());
        };
        let row = |(cell, [succeeded, failed, cancelled]): (&i64, &[i64; 3])| {
            [batch.id, *cell, *succeeded, *failed, *cancelled, rev].map(Value::from).to_vec()
        };
        insert_many(tx, INSERT, ADD, self.0.iter().map(row).collect()).await?;
        let values = [batch.id, *lowest, *highest, rev].map(Value::from).to_vec();
        let rows: Vec<strip::Model> = all(
            tx,
            "SELECT * FROM strip WHERE batch = $1 AND cell BETWEEN $2 AND $3 AND rev = $4 ORDER BY cell",
            values,
        )
        .await?;
        rows.iter().map(|row| to_cell(row, batch.cell_items, batch.total)).collect()
    }
}

const INSERT: &str = "INSERT INTO strip (batch, cell, succeeded, failed, cancelled, rev)";
const ADD: &str = "ON CONFLICT (batch, cell) DO UPDATE SET succeeded = strip.succeeded + excluded.succeeded, \
     failed = strip.failed + excluded.failed, cancelled = strip.cancelled + excluded.cancelled, rev = excluded.rev";

pub fn to_cell(row: &strip::Model, width: i64, total: i64) -> Result<StripCell, StoreError> {
    let (first, last) = (row.cell * width + 1, total.min((row.cell + 1) * width));
    if row.succeeded + row.failed + row.cancelled > last - first + 1 {
        return Err(StoreError::Invariant(format!(
            "cell {} of batch {} holds too many",
            row.cell, row.batch
        )));
    }
    Ok(StripCell {
        cell: small(row.cell)?,
        first: count(first)?,
        last: count(last)?,
        succeeded: count(row.succeeded)?,
        failed: count(row.failed)?,
        cancelled: count(row.cancelled)?,
        rev: count(row.rev)?,
    })
}

/// Doubles the width until the batch fits its strip; true if it did.
pub async fn widen(
    tx: &DatabaseTransaction,
    batch: &mut batches::Model,
    rev: i64,
) -> Result<bool, StoreError> {
    let width = width_for(batch.total, batch.cell_items);
    if width == batch.cell_items {
        return Ok(false);
    }
    let factor = width / batch.cell_items;
    let rows: Vec<strip::Model> =
        all(tx, "SELECT * FROM strip WHERE batch = $1", vec![batch.id.into()]).await?;
    let mut merged: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
    for row in &rows {
        let sums = merged.entry(row.cell / factor).or_default();
        for (sum, part) in sums.iter_mut().zip([row.succeeded, row.failed, row.cancelled]) {
            *sum += part;
        }
    }
    run(tx, "DELETE FROM strip WHERE batch = $1", vec![batch.id.into()]).await?;
    let row = |(cell, [succeeded, failed, cancelled]): (&i64, &[i64; 3])| {
        [batch.id, *cell, *succeeded, *failed, *cancelled, rev].map(Value::from).to_vec()
    };
    insert_many(tx, INSERT, "", merged.iter().map(row).collect()).await?;
    batch.cell_items = width;
    Ok(true)
}

impl Store {
    /// Cells of the strip that differ from all-pending, with the `rev` they show.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the batch is gone; outages.
    pub async fn strip(&self, batch: &BatchRecord) -> Result<(u64, Vec<StripCell>), StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let now = Self::row_by_key(&tx, batch.key).await?;
        let rows: Vec<strip::Model> =
            all(&tx, "SELECT * FROM strip WHERE batch = $1 ORDER BY cell", vec![batch.key.into()]).await?;
        tx.rollback().await?;
        let cells =
            rows.iter().map(|row| to_cell(row, now.cell_items, now.total)).collect::<Result<_, _>>()?;
        Ok((count(now.rev)?, cells))
    }
}

/// A stored JSON list.
pub fn parse_list<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Invariant(format!("a stored list: {error}")))
}

/// A JSON list to store.
pub fn print_list<T: Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("lists of names and numbers always print")
}
