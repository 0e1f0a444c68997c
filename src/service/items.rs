//! Items, families, strip and files of a batch the caller may see.
//!
//! As [`super`]; rows are committed state, and only the progress inside an item that runs on this node is laid over
//! them.

use super::{Caller, Service};
use crate::protocol::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, WINDOW_ITEMS_MAX};
use crate::protocol::{
    ApiError, AuditEntry, AuditQuery, BatchActEntry, BatchId, ErrorCode, FamilyPage, ItemDetail, ItemLive,
    ItemPage, ItemProgress, ItemQuery, ItemRow, ItemState, LogPart, PulseBucket, Rev, Seq, StripCell,
};
use crate::store::{FileRecord, FileSide, ItemList};

/// Acts told of one batch; older ones are left out, and stay in the audit log.
pub const BATCH_ACTS_MAX: u32 = 100;

impl Service {
    /// Items by filter.
    ///
    /// # Errors
    /// `not_found`; `invalid` for a text in a sorted list, `malformed` for a cursor of another list.
    pub async fn items(&self, caller: &Caller, id: BatchId, query: &ItemQuery) -> Result<ItemPage, ApiError> {
        let batch = self.visible(caller, id).await?;
        if query.sort.is_some() && query.q.as_deref().is_some_and(|text| !text.is_empty()) {
            return Err(ApiError::invalid(
                "Items that hold a text are listed by their position: leave out sort or q.",
            ));
        }
        if query.after.is_some_and(|after| after.by.is_some() != query.sort.is_some()) {
            return Err(ApiError::malformed("after: expected the cursor of a page in the same order."));
        }
        let limit = query.limit.unwrap_or(PAGE_ROWS_DEFAULT).clamp(1, PAGE_ROWS_MAX);
        let query = ItemQuery { limit: Some(limit), ..query.clone() };
        let list = self.inner.store.items(&batch, &query).await?;
        Ok(self.page(id, list))
    }

    /// Items of a window, both ends included, with progress of running ones. It may lie beyond the batch's end.
    ///
    /// # Errors
    /// `not_found`, `invalid` for a window that is none, `too_large` for one over 500.
    pub async fn window(
        &self,
        caller: &Caller,
        id: BatchId,
        from: Seq,
        to: Seq,
    ) -> Result<ItemPage, ApiError> {
        let batch = self.visible(caller, id).await?;
        if from == 0 || to < from {
            return Err(ApiError::invalid(
                "A window begins at 1 or later and does not end before it begins.",
            ));
        }
        if to - from >= WINDOW_ITEMS_MAX {
            let detail = format!("A window has at most {WINDOW_ITEMS_MAX} items.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let list = self.inner.store.window(&batch, from, to).await?;
        Ok(self.page(id, list))
    }

    /// One item.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn item(&self, caller: &Caller, id: BatchId, seq: Seq) -> Result<ItemDetail, ApiError> {
        let ItemLive { row, history, started_at, log } = self.item_live(caller, id, seq).await?;
        Ok(ItemDetail { row, history, started_at, log: log.text })
    }

    /// One item, with where in its whole log the kept part begins. While the item runs here, offsets count from the start
    /// of that; afterwards from the start of what was kept.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn item_live(&self, caller: &Caller, id: BatchId, seq: Seq) -> Result<ItemLive, ApiError> {
        let batch = self.visible(caller, id).await?;
        let item = self.inner.store.item(&batch, seq).await?;
        let mut log = LogPart { from: 0, text: item.log };
        let mut started_at = None;
        if item.row.state == ItemState::Running {
            started_at = self.inner.engine.started_at(id, seq);
            if let Some(cell) = self.inner.engine.work_cell(id, seq) {
                let (from, text) = cell.log();
                log = LogPart { from, text };
            }
        }
        Ok(ItemLive { row: self.with_progress(id, item.row), history: item.history, started_at, log })
    }

    /// Families of failures.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn families(&self, caller: &Caller, id: BatchId) -> Result<FamilyPage, ApiError> {
        let batch = self.visible(caller, id).await?;
        Ok(self.inner.store.families(&batch).await?)
    }

    /// The strip.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn strip(&self, caller: &Caller, id: BatchId) -> Result<(Rev, Vec<StripCell>), ApiError> {
        let batch = self.progressing(caller, id).await?;
        Ok(self.inner.store.strip(&batch).await?)
    }

    /// The time buckets.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn pulse(&self, caller: &Caller, id: BatchId) -> Result<(Rev, Vec<PulseBucket>), ApiError> {
        let batch = self.visible(caller, id).await?;
        Ok(self.inner.store.pulse(&batch).await?)
    }

    /// What was asked of a batch, oldest first: the newest [`BATCH_ACTS_MAX`], as far back as the audit log goes.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn batch_acts(&self, caller: &Caller, id: BatchId) -> Result<Vec<BatchActEntry>, ApiError> {
        let batch = self.visible(caller, id).await?;
        let query = AuditQuery {
            object: Some(batch.id.to_string()),
            limit: Some(BATCH_ACTS_MAX),
            ..AuditQuery::default()
        };
        let page = self.inner.store.audit_log(&query, None).await?;
        let entry = |entry: AuditEntry| {
            let act = entry.act.strip_prefix("batch.")?.to_owned();
            Some(BatchActEntry { at: entry.at, who: entry.who, act, detail: entry.detail })
        };
        Ok(page.entries.into_iter().rev().filter_map(entry).collect())
    }

    /// A file of an item, for download; without `side` what the item left goes before what it took.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn file(
        &self,
        caller: &Caller,
        id: BatchId,
        seq: Seq,
        name: &str,
        side: Option<FileSide>,
    ) -> Result<FileRecord, ApiError> {
        let batch = self.visible(caller, id).await?;
        Ok(self.inner.store.item_file(&batch, seq, name, side).await?)
    }

    fn page(&self, id: BatchId, list: ItemList) -> ItemPage {
        ItemPage {
            items: list.items.into_iter().map(|item| self.with_progress(id, item.row)).collect(),
            ended_at: list.ended_at.iter().map(ToString::to_string).collect(),
            family_message: list.family_message,
            next: list.next,
            searched_to: list.searched_to,
            rev: list.rev,
        }
    }

    /// The row, with how far the item is if it runs on this node.
    fn with_progress(&self, id: BatchId, mut row: ItemRow) -> ItemRow {
        if row.state == ItemState::Running {
            let cell = self.inner.engine.work_cell(id, row.seq);
            row.progress = cell
                .and_then(|cell| cell.progress())
                .map(|(fraction, note)| ItemProgress::new(fraction, note));
        }
        row
    }
}
