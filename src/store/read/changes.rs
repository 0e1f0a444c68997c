//! What other nodes have committed: hints that something did, and what has changed since a revision.
//!
//! What is told comes from one committed snapshot; a hint is never believed, only followed.

use std::collections::BTreeSet;

use crate::protocol::{BatchId, Family, FamilyId, Rev, Timestamp};
use crate::store::Store;
pub use crate::store::backend::Hints;
use crate::store::backend::{all, count, one, rows};
use crate::store::entity::{batches, families, strip};
use crate::store::error::StoreError;
use crate::store::pulse_buckets::read_pulse;
use crate::store::records::BatchChange;
use crate::store::tape::{to_cell, to_family, to_record};

/// Unfinished batches that are compared at most, the newest.
const MOVING_MAX: u32 = 500;
/// Batches that are compared whether or not they have finished, the newest: those of the list.
const NEWEST: u32 = 200;
/// Batches asked for in one query.
const ASKED_MAX: usize = 500;

/// Where a batch stands, for a compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub batch: BatchId,
    /// As of which revision.
    pub rev: Rev,
    /// It has ended.
    pub finished: bool,
}

/// What is known of a batch already.
#[derive(Clone, Debug, Default)]
pub struct Since {
    /// Up to this revision.
    pub rev: Rev,
    /// Items in a cell of the strip as it is shown; 0: it is not yet. None: nobody looks at it.
    pub cell_items: Option<u64>,
    /// Width of the time buckets as they are shown, in ms; 0: they are not yet. None: nobody looks at them.
    pub pulse_ms: Option<u64>,
    /// The families that are shown. None: nobody looks at them.
    pub families: Option<BTreeSet<FamilyId>>,
}

impl Store {
    /// Tells other nodes on the same database that there is something to look at; where there are none, nothing.
    ///
    /// # Errors
    /// Outages: nobody heard it.
    pub async fn hint(&self, text: &str) -> Result<(), StoreError> {
        self.inner.backend.hint(text).await
    }

    /// Listens to hints, on a connection of its own; none where no other node can give any.
    ///
    /// # Errors
    /// Outages.
    pub async fn hints(&self) -> Result<Option<Hints>, StoreError> {
        self.inner.backend.hints().await
    }

    /// Where batches stand: those asked for, the unfinished, and the newest; deleted ones too.
    ///
    /// # Errors
    /// Outages.
    pub async fn standings(&self, asked: &[BatchId]) -> Result<Vec<Standing>, StoreError> {
        let reader = self.inner.backend.reader();
        let text = format!(
            "SELECT uuid, rev, finished_at FROM batches WHERE id IN \
             (SELECT id FROM batches WHERE finished_at IS NULL ORDER BY id DESC LIMIT {MOVING_MAX}) OR id IN \
             (SELECT id FROM batches ORDER BY id DESC LIMIT {NEWEST})"
        );
        let mut found = rows(reader, &text, vec![]).await?;
        for asked in asked.chunks(ASKED_MAX) {
            let places: Vec<String> = (1..=asked.len()).map(|at| format!("${at}")).collect();
            let text =
                format!("SELECT uuid, rev, finished_at FROM batches WHERE uuid IN ({})", places.join(","));
            let ids = asked.iter().map(|batch| batch.to_string().into()).collect();
            found.extend(rows(reader, &text, ids).await?);
        }
        let standing = |row: &sea_orm::QueryResult| {
            let uuid: String = row.try_get_by_index(0)?;
            let finished_at: Option<i64> = row.try_get_by_index(2)?;
            let broken = |_form| StoreError::Invariant(format!("batch {uuid}: uuid is not readable"));
            Ok(Standing {
                batch: uuid.parse().map_err(broken)?,
                rev: count(row.try_get_by_index(1)?)?,
                finished: finished_at.is_some(),
            })
        };
        found.iter().map(standing).collect()
    }

    /// What has changed of a batch since `since`, in one snapshot; none where nothing has. Families that left are told
    /// with a count of 0.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where nothing of it is left; outages.
    pub async fn changes_since(
        &self,
        batch: BatchId,
        since: &Since,
    ) -> Result<Option<BatchChange>, StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let text = "SELECT * FROM batches WHERE uuid = $1";
        let row: Option<batches::Model> = one(&tx, text, vec![batch.to_string().into()]).await?;
        let row = row.ok_or(StoreError::NotFound("batch"))?;
        let reshaped =
            since.cell_items.is_some_and(|items| crate::store::backend::int(items) != row.cell_items);
        let pulse_reshaped = since.pulse_ms.is_some_and(|ms| crate::store::backend::int(ms) != row.pulse_ms);
        let unseen = since.families.as_ref().is_some_and(BTreeSet::is_empty) && row.failed > 0;
        if count(row.rev)? <= since.rev && !reshaped && !pulse_reshaped && !unseen {
            return Ok(None);
        }
        let known = vec![row.id.into(), crate::store::backend::int(since.rev).into()];
        let mut cells = Vec::new();
        if since.cell_items.is_some() && !reshaped {
            let text = "SELECT * FROM strip WHERE batch = $1 AND rev > $2 ORDER BY cell";
            let found: Vec<strip::Model> = all(&tx, text, known).await?;
            cells = found
                .iter()
                .map(|cell| to_cell(cell, row.cell_items, row.total))
                .collect::<Result<_, _>>()?;
        }
        let mut pulse = Vec::new();
        if since.pulse_ms.is_some() && !pulse_reshaped {
            pulse = read_pulse(&tx, &row, crate::store::backend::int(since.rev)).await?;
        }
        let mut changed = Vec::new();
        if let Some(shown) = &since.families {
            let text = "SELECT * FROM families WHERE batch = $1";
            let found: Vec<families::Model> = all(&tx, text, vec![row.id.into()]).await?;
            let here = found.into_iter().map(to_family).collect::<Result<Vec<Family>, _>>()?;
            let ids: BTreeSet<&FamilyId> = here.iter().map(|family| &family.id).collect();
            changed = shown.iter().filter(|id| !ids.contains(id)).map(left).collect();
            let news = |family: &Family| family.rev > since.rev || !shown.contains(&family.id);
            changed.extend(here.iter().filter(|family| news(family)).cloned());
        }
        tx.rollback().await?;
        Ok(Some(BatchChange {
            batch: to_record(&row)?,
            families: changed,
            cells,
            strip_reshaped: reshaped,
            pulse,
            pulse_reshaped,
            ended: 0,
        }))
    }
}

/// A family that is no more.
fn left(id: &FamilyId) -> Family {
    Family {
        id: id.clone(),
        message: String::new(),
        count: 0,
        first_at: Timestamp(0),
        last_at: Timestamp(0),
        samples: Vec::new(),
        rev: 0,
    }
}
