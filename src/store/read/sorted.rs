//! Items by what is recorded of their ends: how long they took, when they ended.
//!
//! An index holds the outcomes of a batch in each order, so a page is read from where it goes on, whatever the number of
//! items. A page of some state or family looks at a bounded number of outcomes and may come short; its cursor says how far it
//! looked. The cursor holds what the last item was sorted by: items that end between two pages, or are run again, move no
//! other over the edge.
//!
//! Items that have not ended are in neither list, and those that were too quick to be told one by one are not in the one by
//! how long they took: that was not kept of them.

use std::collections::HashMap;

use sea_orm::{DatabaseTransaction, QueryResult};

use super::search::{SEARCHED_MAX, to_set};
use crate::protocol::{ItemCursor, ItemQuery, ItemSort, Seq, Timestamp};
use crate::store::Store;
use crate::store::backend::{by_index, count, int, rows};
use crate::store::error::StoreError;
use crate::store::records::{BatchRecord, ItemList, ItemRecord, SeqRange};

/// Items in the order of a list, each with what it is sorted by, and where the next page begins.
#[derive(Default)]
struct Found {
    items: Vec<(Seq, u64)>,
    next: Option<ItemCursor>,
}

impl Store {
    /// Rows by filter, sorted.
    pub(super) async fn sorted(
        &self,
        tx: &DatabaseTransaction,
        batch: &BatchRecord,
        query: &ItemQuery,
        sort: ItemSort,
        limit: usize,
    ) -> Result<ItemList, StoreError> {
        let found = find(tx, batch, query, sort, limit).await?;
        let seqs = found.items.iter().map(|(seq, _by)| *seq).collect();
        let rows = self.item_rows(tx, batch, &to_set(seqs)).await?;
        let mut rows: HashMap<Seq, ItemRecord> = rows.into_iter().map(|item| (item.row.seq, item)).collect();
        let ended_at = match sort {
            ItemSort::Took => Vec::new(),
            ItemSort::Ended => found.items.iter().map(|(_seq, by)| Timestamp(int(*by))).collect(),
        };
        let items = found.items.iter().filter_map(|(seq, _by)| rows.remove(seq)).collect();
        Ok(ItemList {
            items,
            ended_at,
            family_message: None,
            next: found.next,
            searched_to: None,
            rev: batch.rev,
        })
    }
}

/// The first `limit` items after the cursor of `query` that pass its state and family.
async fn find(
    tx: &DatabaseTransaction,
    batch: &BatchRecord,
    query: &ItemQuery,
    sort: ItemSort,
    limit: usize,
) -> Result<Found, StoreError> {
    if query.state.is_some_and(|state| !state.has_ended()) {
        return Ok(Found::default());
    }
    let is_filtered = query.state.is_some() || query.family.is_some();
    // Each outcome is of an item at least, and one more tells whether there is a next page.
    let most = if is_filtered { usize::try_from(SEARCHED_MAX).unwrap_or(usize::MAX) } else { limit + 1 };
    let (by, index) = match sort {
        ItemSort::Took => ("ms", "outcomes_took"),
        ItemSort::Ended => ("ended_at", "outcomes_ended"),
    };
    let text = format!(
        "SELECT first, last, {by}, state, family FROM outcomes{} WHERE batch = $1 AND {by} IS NOT NULL \
         AND ({by}, first) < ($2, $3) ORDER BY {by} DESC, first DESC LIMIT $4",
        by_index(tx, index)
    );
    let after = query.after.and_then(|after| Some((after.by?, after.seq)));
    let (from_by, from_seq) = after.map_or((i64::MAX, i64::MAX), |(by, seq)| (int(by), int(seq)));
    let values = vec![batch.key.into(), from_by.into(), from_seq.into(), int(most as u64).into()];
    let looked = rows(tx, &text, values).await?;
    let mut found = Found::default();
    for row in &looked {
        let (range, by) = (SeqRange::new(figure(row, 0)?, figure(row, 1)?), figure(row, 2)?);
        let passes = passes(query, row)?;
        // The range that the page before ended in goes on below.
        let last =
            after.filter(|after| after.0 == by).map_or(range.last, |after| range.last.min(after.1 - 1));
        for seq in (range.first..=last).rev().take_while(|_seq| passes) {
            if found.items.len() == limit {
                found.next = found.items.last().map(|(seq, by)| ItemCursor { by: Some(*by), seq: *seq });
                return Ok(found);
            }
            found.items.push((seq, by));
        }
    }
    if looked.len() == most {
        let last = looked.last().map(|row| Ok::<_, StoreError>((figure(row, 2)?, figure(row, 0)?)));
        found.next = last.transpose()?.map(|(by, seq)| ItemCursor { by: Some(by), seq });
    }
    Ok(found)
}

fn figure(row: &QueryResult, at: usize) -> Result<u64, StoreError> {
    count(row.try_get_by_index(at)?)
}

/// Whether an outcome is of the state and family that are asked for.
fn passes(query: &ItemQuery, row: &QueryResult) -> Result<bool, StoreError> {
    let (state, family): (String, Option<String>) = (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
    let state_fits = query.state.is_none_or(|asked| asked.as_str() == state);
    Ok(state_fits && query.family.as_ref().is_none_or(|asked| Some(&asked.0) == family.as_ref()))
}
