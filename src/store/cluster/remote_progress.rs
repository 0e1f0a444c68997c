//! What is only indicative between nodes: who looks at which items, and how far these are.
//!
//! Rows are bounded by what is looked at, and expire by themselves; nothing here is ever counted.

use sea_orm::Value;
use serde::{Deserialize, Serialize};

use crate::protocol::{ItemProgress, NodeId, Seq, Timestamp};
use crate::store::Store;
use crate::store::backend::{count, int, rows, run};
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, SeqRange};

/// A look counts for so long, in ms; whoever goes on looking says so again.
const WATCH_MS: i64 = 3_000;
/// A glimpse is kept for so long, in ms.
const GLIMPSE_MS: i64 = 60_000;
/// Looks that a node follows at most.
const WATCHES_MAX: u32 = 1_000;

/// How far an item is on the node that runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressRecord {
    /// Of which batch.
    pub batch: BatchKey,
    /// Which item.
    pub seq: Seq,
    /// Counts what it reported.
    pub reports: u64,
    /// When it was taken up.
    pub started_at: Option<Timestamp>,
    /// What it reported last.
    pub progress: Option<ItemProgress>,
    /// End of its log, where somebody looks at this item alone.
    pub log: Option<String>,
}

/// The column `progress`: a node of another version reads of it what it knows.
#[derive(Serialize, Deserialize)]
struct StoredProgress {
    #[serde(flatten)]
    progress: Option<ItemProgress>,
    started_at: Option<Timestamp>,
}

impl Store {
    /// Somebody looks at `range` of `batch` through `node`.
    ///
    /// # Errors
    /// Outages.
    pub async fn watch(&self, node: &NodeId, batch: BatchKey, range: SeqRange) -> Result<(), StoreError> {
        let text = "INSERT INTO watches (node, batch, first, last, until) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (node, batch, first, last) DO UPDATE SET until = excluded.until";
        let until = self.steady().plus_ms(WATCH_MS).0;
        let values: Vec<Value> = vec![
            node.0.clone().into(),
            batch.into(),
            int(range.first).into(),
            int(range.last).into(),
            until.into(),
        ];
        run(self.inner.backend.writer(), text, values).await?;
        Ok(())
    }

    /// What is looked at through other nodes now.
    ///
    /// # Errors
    /// Outages.
    pub async fn ranges_watched_elsewhere(
        &self,
        node: &NodeId,
    ) -> Result<Vec<(BatchKey, SeqRange)>, StoreError> {
        let text = format!(
            "SELECT DISTINCT batch, first, last FROM watches WHERE node <> $1 AND until > $2 LIMIT {WATCHES_MAX}"
        );
        let values = vec![node.0.clone().into(), self.steady().0.into()];
        let found = rows(self.inner.backend.reader(), &text, values).await?;
        let read = |row: &sea_orm::QueryResult| {
            let range =
                SeqRange { first: count(row.try_get_by_index(1)?)?, last: count(row.try_get_by_index(2)?)? };
            Ok((row.try_get_by_index(0)?, range))
        };
        found.iter().map(read).collect()
    }

    /// Shows how far items of `node` are.
    ///
    /// # Errors
    /// Outages.
    pub async fn show(&self, node: &NodeId, glimpses: &[ProgressRecord]) -> Result<(), StoreError> {
        let text = "INSERT INTO glimpses (batch, seq, node, reports, progress, log, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (batch, seq) DO UPDATE SET node = excluded.node, \
             reports = excluded.reports, progress = excluded.progress, log = excluded.log, at = excluded.at";
        for glimpse in glimpses {
            let told = StoredProgress { progress: glimpse.progress.clone(), started_at: glimpse.started_at };
            let told = serde_json::to_string(&told).expect("numbers, a note and a time always print");
            let values: Vec<Value> = vec![
                glimpse.batch.into(),
                int(glimpse.seq).into(),
                node.0.clone().into(),
                int(glimpse.reports).into(),
                told.into(),
                glimpse.log.clone().into(),
                self.steady().0.into(),
            ];
            run(self.inner.backend.writer(), text, values).await?;
        }
        Ok(())
    }

    /// How far the items of a range are that run on other nodes, as far as it is shown.
    ///
    /// # Errors
    /// Outages.
    pub async fn remote_progress(
        &self,
        batch: BatchKey,
        range: SeqRange,
    ) -> Result<Vec<ProgressRecord>, StoreError> {
        let text = "SELECT seq, reports, progress, log FROM glimpses \
             WHERE batch = $1 AND seq >= $2 AND seq <= $3 AND at > $4 ORDER BY seq";
        let oldest = self.steady().plus_ms(-GLIMPSE_MS).0;
        let values = vec![batch.into(), int(range.first).into(), int(range.last).into(), oldest.into()];
        let found = rows(self.inner.backend.reader(), text, values).await?;
        let read = |row: &sea_orm::QueryResult| {
            let told: Option<String> = row.try_get_by_index(2)?;
            let told = told.and_then(|text| serde_json::from_str::<StoredProgress>(&text).ok());
            let (progress, started_at) = told.map_or((None, None), |told| (told.progress, told.started_at));
            Ok(ProgressRecord {
                batch,
                seq: count(row.try_get_by_index(0)?)?,
                reports: count(row.try_get_by_index(1)?)?,
                progress,
                started_at,
                log: row.try_get_by_index(3)?,
            })
        };
        found.iter().map(read).collect()
    }

    /// Forgets looks that are over and glimpses that are old.
    ///
    /// # Errors
    /// Outages.
    pub async fn expire_remote_progress(&self) -> Result<(), StoreError> {
        let now = self.steady();
        let writer = self.inner.backend.writer();
        run(writer, "DELETE FROM watches WHERE until < $1", vec![now.0.into()]).await?;
        let old = vec![now.plus_ms(-GLIMPSE_MS).0.into()];
        run(writer, "DELETE FROM glimpses WHERE at < $1", old).await?;
        Ok(())
    }
}
