//! The rows of a batch in order of `seq`, page by page.
//!
//! Each item once, in order; one page in memory, with as many rows as their length allows.

use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{ItemCursor, ItemQuery, ItemRow, ItemState, Seq};
use crate::store::{BatchRecord, Store, StoreError};

/// Rows of the first page; then as many as are about [`PAGE_BYTES`].
const FIRST_ROWS: u32 = 64;
/// Bytes of the texts of a page, about: the next one is made for it by what the last one took.
const PAGE_BYTES: usize = 1024 * 1024;

/// One item of a download.
pub(super) type ResultItem = ItemRow;

/// A walk over the rows of a batch.
#[derive(Clone)]
pub(super) struct Pages {
    store: Store,
    batch: BatchRecord,
    only: Option<ItemState>,
    after: Option<Seq>,
    /// Rows of the next page.
    limit: u32,
    done: bool,
}

impl Pages {
    /// From the first item on; `only` those in a state.
    pub(super) fn new(store: Store, batch: BatchRecord, only: Option<ItemState>) -> Self {
        Self { store, batch, only, after: None, limit: FIRST_ROWS, done: false }
    }

    /// The store behind it.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The batch as it was when the walk began.
    pub(super) fn batch(&self) -> &BatchRecord {
        &self.batch
    }

    /// The next rows, at least one; none at the end.
    ///
    /// # Errors
    /// Outages. The walk may be asked again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ResultItem>>, StoreError> {
        while !self.done {
            let query = ItemQuery {
                state: self.only,
                after: self.after.map(ItemCursor::from),
                limit: Some(self.limit),
                ..ItemQuery::default()
            };
            let page = self.store.items(&self.batch, &query).await?;
            match page.next {
                // A page must lead on, or the walk would never end.
                Some(next) if self.after.is_none_or(|after| next.seq > after) => self.after = Some(next.seq),
                Some(_) | None => self.done = true,
            }
            let rows: Vec<ResultItem> = page.items.into_iter().map(|item| item.row).collect();
            self.limit = rows_for(&rows, self.limit);
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

/// How many rows the next page is to have, after these.
fn rows_for(rows: &[ResultItem], limit: u32) -> u32 {
    let texts = |item: &ResultItem| {
        let result = item.result.as_ref().map_or(0, |result| result.as_str().len());
        item.input.as_str().len() + result + item.error.as_ref().map_or(0, String::len)
    };
    let bytes: usize = rows.iter().map(texts).sum();
    let fit = PAGE_BYTES.saturating_mul(rows.len()).checked_div(bytes).unwrap_or(usize::MAX);
    // No faster than that: the next rows may be longer.
    u32::try_from(fit).unwrap_or(u32::MAX).min(limit.saturating_mul(2)).clamp(1, PAGE_ROWS_MAX)
}
