//! The rows of a batch in order of `seq`, page by page.
//!
//! Owns the walk by key. Called by every format. Invariant: each item once, in order; one page in memory. Deliberately
//! reads each page as it is when it is wanted: an unfinished batch moves on meanwhile.

use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{ItemQuery, ItemRow, ItemState, Seq};
use crate::store::{BatchRecord, Store, StoreError};

/// One item of a download.
pub(super) type Item = ItemRow;

/// A walk over the rows of a batch.
#[derive(Clone)]
pub(super) struct Pages {
    store: Store,
    batch: BatchRecord,
    only: Option<ItemState>,
    after: Option<Seq>,
    done: bool,
}

impl Pages {
    /// From the first item on; `only` those in a state.
    pub(super) fn new(store: Store, batch: BatchRecord, only: Option<ItemState>) -> Self {
        Self { store, batch, only, after: None, done: false }
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
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Item>>, StoreError> {
        while !self.done {
            let query = ItemQuery {
                state: self.only,
                after: self.after,
                limit: Some(PAGE_ROWS_MAX),
                ..ItemQuery::default()
            };
            let page = self.store.items(&self.batch, &query).await?;
            match page.next {
                // A page must lead on, or the walk would never end.
                Some(next) if self.after.is_none_or(|after| next > after) => self.after = Some(next),
                Some(_) | None => self.done = true,
            }
            if !page.items.is_empty() {
                return Ok(Some(page.items.into_iter().map(|item| item.row).collect()));
            }
        }
        Ok(None)
    }
}
