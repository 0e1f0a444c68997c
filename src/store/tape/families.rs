//! Families: failures by cause, counted as they are now.
//!
//! The sum of counts equals the batch's failed items; a family without items has no row. What a commit moves is written in
//! two statements, and one more for each family that lost items and has some left: its samples are read anew.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{DatabaseTransaction, Value};

use super::strip_cells::{parse_list, print_list};
use crate::protocol::{Family, FamilyId, FamilyPage, Timestamp};
use crate::store::Store;
use crate::store::backend::{all, by_index, count, in_texts, insert_many, list_value, number, rows, run};
use crate::store::entity::{families, outcomes};
use crate::store::error::StoreError;
use crate::store::records::BatchRecord;

/// Families of a batch at most; failures of further causes are counted in [`OTHER`].
pub const FAMILIES_MAX: usize = 200;
/// The family of failures of further causes, and of those without one.
pub const OTHER: &str = "other";
/// What people read for it.
pub const OTHER_MESSAGE: &str = "Other failures";
/// Items named per family.
const SAMPLES_MAX: usize = 5;

/// What a commit adds to families.
#[derive(Default)]
pub struct FamilyMoves(BTreeMap<String, FamilyMove>);

#[derive(Clone, Default)]
struct FamilyMove {
    message: String,
    added: i64,
    removed: i64,
    samples: Vec<i64>,
    at: i64,
}

impl FamilyMoves {
    pub fn add(&mut self, id: &str, message: &str, first: i64, items: i64, at: i64) {
        let family = self.0.entry(id.to_owned()).or_default();
        if family.message.is_empty() {
            message.clone_into(&mut family.message);
        }
        family.added += items;
        family.at = at;
        let room = SAMPLES_MAX.saturating_sub(family.samples.len());
        family.samples.extend((first..first + items).take(room));
    }

    pub fn remove(&mut self, id: &str, items: i64) {
        self.0.entry(id.to_owned()).or_default().removed += items;
    }
}

/// Writes the moves, renaming families beyond the bound in `outcomes` too; the families as they are after.
pub async fn write(
    tx: &DatabaseTransaction,
    batch: i64,
    rev: i64,
    moves: &FamilyMoves,
    outcomes: &mut [outcomes::Model],
) -> Result<Vec<Family>, StoreError> {
    if moves.0.is_empty() {
        return Ok(Vec::new());
    }
    let known: Vec<families::Model> =
        all(tx, "SELECT * FROM families WHERE batch = $1", vec![batch.into()]).await?;
    let mut known: BTreeMap<String, families::Model> =
        known.into_iter().map(|family| (family.id.clone(), family)).collect();
    let mut room = FAMILIES_MAX.saturating_sub(known.keys().filter(|id| *id != OTHER).count());
    let mut resolved: BTreeMap<String, FamilyMove> = BTreeMap::new();
    let mut beyond: BTreeSet<&str> = BTreeSet::new();
    for (id, family) in &moves.0 {
        if id == OTHER || known.contains_key(id) || family.added == 0 {
            merge(resolved.entry(id.clone()).or_default(), family);
        } else if room > 0 {
            room -= 1;
            merge(resolved.entry(id.clone()).or_default(), family);
        } else {
            OTHER_MESSAGE.clone_into(&mut resolved.entry(OTHER.to_owned()).or_default().message);
            merge(resolved.entry(OTHER.to_owned()).or_default(), family);
            beyond.insert(id);
        }
    }
    // Once over all rows, not once a family: each failure may be of its own.
    if !beyond.is_empty() {
        let is_beyond =
            |row: &&mut outcomes::Model| row.family.as_deref().is_some_and(|id| beyond.contains(id));
        for row in outcomes.iter_mut().filter(is_beyond) {
            row.family = Some(OTHER.to_owned());
        }
    }
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    let mut changed = Vec::with_capacity(resolved.len());
    for (id, family) in resolved {
        let before = known.remove(&id);
        let row = moved(tx, batch, rev, id, family, before).await?;
        if row.count == 0 {
            left.push(row.id.clone());
        } else {
            kept.push(values(&row));
        }
        changed.push(to_family(row)?);
    }
    if !left.is_empty() {
        let text = format!("DELETE FROM families WHERE batch = $1 AND id {}", in_texts(tx, 2));
        run(tx, &text, vec![batch.into(), list_value(&left)]).await?;
    }
    insert_many(tx, INSERT, REPLACE, kept).await?;
    Ok(changed)
}

fn merge(into: &mut FamilyMove, from: &FamilyMove) {
    if into.message.is_empty() {
        into.message.clone_from(&from.message);
    }
    into.added += from.added;
    into.removed += from.removed;
    into.at = into.at.max(from.at);
    let room = SAMPLES_MAX.saturating_sub(into.samples.len());
    into.samples.extend(from.samples.iter().take(room));
}

/// A family as it is after its moves.
async fn moved(
    tx: &DatabaseTransaction,
    batch: i64,
    rev: i64,
    id: String,
    family: FamilyMove,
    before: Option<families::Model>,
) -> Result<families::Model, StoreError> {
    let mut row = before.unwrap_or_else(|| families::Model {
        batch,
        id,
        message: family.message.clone(),
        count: 0,
        first_at: family.at,
        last_at: family.at,
        samples: "[]".to_owned(),
        rev,
    });
    row.count += family.added - family.removed;
    row.rev = rev;
    row.last_at = row.last_at.max(family.at);
    if row.count < 0 {
        return Err(StoreError::Invariant(format!(
            "family {} of batch {batch} counts {}",
            row.id, row.count
        )));
    }
    let mut samples: Vec<i64> = parse_list(&row.samples)?;
    if family.removed > 0 && row.count > 0 {
        samples = samples_now(tx, batch, &row.id).await?;
    }
    let room = SAMPLES_MAX.saturating_sub(samples.len());
    samples.extend(family.samples.iter().take(room));
    row.samples = print_list(&samples);
    Ok(row)
}

fn values(row: &families::Model) -> Vec<Value> {
    vec![
        row.batch.into(),
        row.id.clone().into(),
        row.message.clone().into(),
        row.count.into(),
        row.first_at.into(),
        row.last_at.into(),
        row.samples.clone().into(),
        row.rev.into(),
    ]
}

const INSERT: &str = "INSERT INTO families (batch, id, message, count, first_at, last_at, samples, rev)";
const REPLACE: &str = "ON CONFLICT (batch, id) DO UPDATE SET count = excluded.count, last_at = excluded.last_at, \
     samples = excluded.samples, rev = excluded.rev";

/// Some items of a family from its outcomes: after some have left, and their rows with them.
async fn samples_now(tx: &DatabaseTransaction, batch: i64, id: &str) -> Result<Vec<i64>, StoreError> {
    let text = format!(
        "SELECT first FROM outcomes{} WHERE batch = $1 AND family = $2 ORDER BY first LIMIT {SAMPLES_MAX}",
        by_index(tx, "outcomes_family")
    );
    let found = rows(tx, &text, vec![batch.into(), id.into()]).await?;
    Ok(found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

pub fn to_family(row: families::Model) -> Result<Family, StoreError> {
    Ok(Family {
        samples: parse_list(&row.samples)?,
        id: FamilyId(row.id),
        message: row.message,
        count: count(row.count)?,
        first_at: Timestamp(row.first_at),
        last_at: Timestamp(row.last_at),
        rev: count(row.rev)?,
    })
}

impl Store {
    /// Families, most failures first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the batch is gone; outages.
    pub async fn families(&self, batch: &BatchRecord) -> Result<FamilyPage, StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let rev = number(&tx, "SELECT rev FROM batches WHERE id = $1", vec![batch.key.into()])
            .await?
            .ok_or(StoreError::NotFound("batch"))?;
        let rows: Vec<families::Model> = all(
            &tx,
            "SELECT * FROM families WHERE batch = $1 ORDER BY count DESC, first_at, id",
            vec![batch.key.into()],
        )
        .await?;
        tx.rollback().await?;
        let families = rows.into_iter().map(to_family).collect::<Result<_, _>>()?;
        Ok(FamilyPage { families, rev: count(rev)? })
    }
}
