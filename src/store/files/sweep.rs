//! Sweep: what deleted batches and forgotten drafts leave behind goes, a bounded step at a time.
//!
//! Contents go before the row in the trash that names them, so nothing is forgotten half way; one that a file's row names
//! never goes. Of a key that comes into the trash again while it is taken out, the content stays until the hourly look.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::Duration;

use sea_orm::DatabaseTransaction;

use crate::fault::Point;
use crate::store::Store;
use crate::store::backend::{
    Durability, Hold, LIST_MAX, in_texts, list_value, locking, number, one_for_each, rows, run,
};
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, kept_key};

/// Rows removed per table and step.
const ROWS_MAX: i64 = 5_000;
/// Files removed per step.
const FILES_MAX: i64 = 500;
/// Kept files looked at per step, of one shelf.
const LOOKED_AT_MAX: usize = 1_000;
/// A file that no row names is left alone for so long: its row may be on the way.
const UNNAMED_AGE: Duration = Duration::from_secs(3_600);

/// Tables of a batch and the column that bounds a step.
const TABLES: &[(&str, &str)] = &[
    ("outcomes", "first"),
    ("attempts", "id"),
    ("blocks", "first"),
    ("requeue", "first"),
    ("leases", "id"),
    ("families", "id"),
    ("strip", "cell"),
    ("pulse", "bucket"),
];

/// Tables of the inputs that a schedule keeps.
const KEPT_TABLES: &[(&str, &str)] = &[("blocks", "first")];

/// Where in the file store the next step looks; where it starts does not matter.
#[derive(Clone, Copy, Default)]
pub struct SweepPlace {
    shelf: u8,
    skip: usize,
}

impl Store {
    /// Removes rows and files of deleted batches and drafts nobody names, bounded; true if more is left.
    ///
    /// # Errors
    /// Outages; what was removed stays removed.
    pub async fn sweep(&self) -> Result<bool, StoreError> {
        self.with_reserve(|| self.sweep_once()).await
    }

    async fn sweep_once(&self) -> Result<bool, StoreError> {
        let more_trash = self.sweep_trash().await?;
        let more_rows = self.sweep_deleted().await?;
        let more_kept = self.sweep_schedules().await?;
        self.sweep_unnamed().await?;
        Ok(more_trash || more_rows || more_kept)
    }

    async fn sweep_trash(&self) -> Result<bool, StoreError> {
        let found =
            rows(self.inner.backend.reader(), "SELECT \"key\" FROM trash LIMIT $1", vec![FILES_MAX.into()])
                .await?;
        if found.is_empty() {
            return Ok(false);
        }
        let keys: Vec<String> = found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        self.remove_unnamed(&keys).await?;
        let tx = self.inner.backend.write().await?;
        let text = format!("DELETE FROM trash WHERE \"key\" {}", in_texts(&tx, 1));
        run(&tx, &text, vec![list_value(&keys)]).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(true)
    }

    /// One step of one deleted batch: its files go to the trash first, its row goes last.
    async fn sweep_deleted(&self) -> Result<bool, StoreError> {
        let text = "SELECT id FROM batches WHERE deleted AND (follow IS NULL OR follow <> 'due') ORDER BY id LIMIT 1";
        let Some(batch) = number(self.inner.backend.reader(), text, vec![]).await? else { return Ok(false) };
        let tx = self.inner.backend.write().await?;
        // Held to the commit: of two that sweep, the one that waited must not take what the other removed for the end.
        let held = locking(&tx, "SELECT id FROM batches WHERE id = $1 AND deleted");
        if number(&tx, &held, vec![batch.into()]).await?.is_none() {
            return Ok(true);
        }
        if remove_rows(&tx, batch, TABLES).await? == 0 {
            let links =
                "DELETE FROM share_links WHERE batch IN (SELECT uuid FROM batches WHERE id = $1 AND deleted)";
            run(&tx, links, vec![batch.into()]).await?;
            run(&tx, "DELETE FROM batches WHERE id = $1 AND deleted", vec![batch.into()]).await?;
        }
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(true)
    }

    /// One step of one deleted schedule: the inputs that it kept first, its row last.
    async fn sweep_schedules(&self) -> Result<bool, StoreError> {
        let text = "SELECT id FROM schedules WHERE deleted ORDER BY id LIMIT 1";
        let Some(schedule) = number(self.inner.backend.reader(), text, vec![]).await? else {
            return Ok(false);
        };
        let tx = self.inner.backend.write().await?;
        let held = locking(&tx, "SELECT id FROM schedules WHERE id = $1 AND deleted");
        if number(&tx, &held, vec![schedule.into()]).await?.is_none() {
            return Ok(true);
        }
        if remove_rows(&tx, kept_key(schedule), KEPT_TABLES).await? == 0 {
            run(&tx, "DELETE FROM schedules WHERE id = $1 AND deleted", vec![schedule.into()]).await?;
        }
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(true)
    }

    /// Removes old files of one shelf that no row names, bounded; false once the last shelf has been looked at.
    ///
    /// # Errors
    /// Outages; what was removed stays removed.
    pub async fn sweep_unnamed(&self) -> Result<bool, StoreError> {
        // What has just come would look old where the clock was set ahead meanwhile.
        if !self.inner.ages.lock().unwrap_or_else(PoisonError::into_inner).hold(UNNAMED_AGE) {
            return Ok(false);
        }
        let place = *self.inner.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        let aged = self.inner.file_store.aged(place.shelf, UNNAMED_AGE, place.skip, LOOKED_AT_MAX).await?;
        let next = if aged.len() < LOOKED_AT_MAX {
            SweepPlace { shelf: place.shelf.wrapping_add(1), skip: 0 }
        } else {
            SweepPlace { skip: place.skip + LOOKED_AT_MAX, ..place }
        };
        *self.inner.sweep.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.remove_unnamed(&aged).await?;
        Ok((next.shelf, next.skip) != (0, 0))
    }

    /// Removes those of these contents that no row names. Nobody may be about to name one for the first time.
    ///
    /// # Errors
    /// Outages; what was removed stays removed.
    pub async fn remove_unnamed(&self, keys: &[String]) -> Result<(), StoreError> {
        let reader = self.inner.backend.reader();
        // In this order: the row of an upload goes after the one of the item that it became was written.
        let texts =
            ["uploads", "files"].map(|table| one_for_each(reader, table, ("\"key\"", "\"key\""), Hold::Free));
        for keys in keys.chunks(LIST_MAX) {
            let mut named = HashSet::new();
            for text in &texts {
                for row in rows(reader, text, vec![list_value(keys)]).await? {
                    named.extend(row.try_get_by_index::<Option<String>>(1)?);
                }
            }
            let unnamed: Vec<String> = keys.iter().filter(|key| !named.contains(*key)).cloned().collect();
            let count = unnamed.len();
            self.inner.file_store.remove_all(unnamed).await?;
            for _content in 0..count {
                Point::SweepBetween.pass()?;
            }
        }
        Ok(())
    }
}

/// Removes rows of one batch from these tables, bounded, and those of its files, whose contents go to the trash; how many.
async fn remove_rows(
    tx: &DatabaseTransaction,
    batch: BatchKey,
    tables: &[(&str, &str)],
) -> Result<u64, StoreError> {
    let bound = || vec![batch.into(), FILES_MAX.into()];
    let trash = "INSERT INTO trash (\"key\") SELECT \"key\" FROM files WHERE batch = $1 ORDER BY id LIMIT $2 \
         ON CONFLICT DO NOTHING";
    run(tx, trash, bound()).await?;
    let files = "DELETE FROM files WHERE batch = $1 AND id IN \
         (SELECT id FROM files WHERE batch = $1 ORDER BY id LIMIT $2)";
    let mut removed = run(tx, files, bound()).await?;
    for (table, column) in tables {
        let text = format!(
            "DELETE FROM {table} WHERE batch = $1 AND {column} IN \
             (SELECT {column} FROM {table} WHERE batch = $1 LIMIT $2)"
        );
        removed += run(tx, &text, vec![batch.into(), ROWS_MAX.into()]).await?;
    }
    Ok(removed)
}
