//! Items by filter: a state, a family, a text.
//!
//! Each answer is one snapshot, finds its rows by key, and looks at a bounded stretch of the tape, in a bounded number of
//! statements: how many items are found and how far apart they lie does not change it.

use std::collections::BTreeSet;

use sea_orm::{DatabaseTransaction, Value};

use super::items::leases_of;
use crate::protocol::{ItemCursor, ItemQuery, ItemState, Seq, limits};
use crate::store::Store;
use crate::store::backend::{all, by_index, count, int, row, rows};
use crate::store::entity::requeue;
use crate::store::error::StoreError;
use crate::store::records::{BatchRecord, InputRecord, ItemList, SeqRange};
use crate::store::tape::{Ranges, meets, to_record};

/// Items looked at in one request with a text, and outcomes in one of a list that is sorted and filtered; the answer says
/// how far that was.
pub(super) const SEARCHED_MAX: u64 = 20_000;
/// Items looked at in one go of such a search.
const SEARCH_STEP: u64 = 1_000;

impl Store {
    /// Rows by filter, in order of `seq`, or of what is asked for.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the batch is gone; outages.
    pub async fn items(&self, batch: &BatchRecord, query: &ItemQuery) -> Result<ItemList, StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let now = to_record(&Self::row_by_key(&tx, batch.key).await?)?;
        let limit = query.limit.unwrap_or(limits::PAGE_ROWS_DEFAULT).clamp(1, limits::PAGE_ROWS_MAX) as usize;
        let after = query.after.map_or(0, |after| after.seq).min(now.total);
        let text = query.q.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
        let mut list = match (query.sort, text) {
            (Some(sort), _) => self.sorted(&tx, &now, query, sort, limit).await?,
            (None, Some(text)) => self.search(&tx, &now, query, &text, after, limit).await?,
            (None, None) => self.filtered(&tx, &now, query, after, limit).await?,
        };
        if let Some(family) = &query.family {
            let text = "SELECT message FROM families WHERE batch = $1 AND id = $2";
            let found = row(&tx, text, vec![batch.key.into(), family.0.clone().into()]).await?;
            list.family_message = found.map(|row| row.try_get_by_index(0)).transpose()?;
        }
        tx.rollback().await?;
        Ok(list)
    }

    async fn filtered(
        &self,
        tx: &DatabaseTransaction,
        batch: &BatchRecord,
        query: &ItemQuery,
        after: Seq,
        limit: usize,
    ) -> Result<ItemList, StoreError> {
        // One more than asked tells whether there is a next page.
        let mut found = find(tx, batch, query, after, batch.total, limit + 1).await?;
        let more = found.seqs.len() > limit;
        found.seqs.truncate(limit);
        let last = found.seqs.last().copied();
        let next = if more { last } else { found.looked_to.filter(|to| *to < batch.total) };
        let items = self.item_rows(tx, batch, &to_set(found.seqs)).await?;
        let searched_to = found.looked_to.filter(|_to| !more);
        Ok(ItemList {
            items,
            ended_at: Vec::new(),
            family_message: None,
            next: next.map(ItemCursor::from),
            searched_to,
            rev: batch.rev,
        })
    }

    async fn search(
        &self,
        tx: &DatabaseTransaction,
        batch: &BatchRecord,
        query: &ItemQuery,
        text: &str,
        after: Seq,
        limit: usize,
    ) -> Result<ItemList, StoreError> {
        let end = after.saturating_add(SEARCHED_MAX).min(batch.total);
        let sought = to_set(find(tx, batch, query, after, end, usize::MAX).await?.seqs);
        let mut found = Vec::new();
        let mut to = after;
        while to < end && found.len() <= limit {
            let step = SeqRange::new(to + 1, to.saturating_add(SEARCH_STEP).min(end));
            to = step.last;
            let positions = sought.within(step);
            if !positions.is_empty() {
                found.extend(self.hits(tx, batch, step, &positions, text).await?);
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let searched_to = if more { found.last().copied().unwrap_or(to) } else { to };
        let items = self.item_rows(tx, batch, &to_set(found)).await?;
        Ok(ItemList {
            items,
            ended_at: Vec::new(),
            family_message: None,
            next: (searched_to < batch.total).then(|| searched_to.into()),
            searched_to: Some(searched_to),
            rev: batch.rev,
        })
    }

    /// Those of `positions`, all within `step`, whose input or error holds `text`.
    async fn hits(
        &self,
        tx: &DatabaseTransaction,
        batch: &BatchRecord,
        step: SeqRange,
        positions: &Ranges,
        text: &str,
    ) -> Result<Vec<Seq>, StoreError> {
        let failed = format!(
            "SELECT first, last, error FROM outcomes WHERE error IS NOT NULL AND {} ORDER BY first",
            meets("outcomes")
        );
        let values = vec![batch.key.into(), int(step.first).into(), int(step.last).into()];
        let failed = rows(tx, &failed, values).await?;
        let mut named = Vec::new();
        for (row, range) in failed.iter().zip(to_ranges(&failed)?) {
            if row.try_get_by_index::<String>(2)?.to_lowercase().contains(text) {
                named.push(range);
            }
        }
        let named = Ranges::collect(named);
        let inputs = self.inputs_by(tx, batch, positions).await?;
        let hit = |input: &InputRecord| {
            named.contains(SeqRange::one(input.seq))
                || input.json.display_text().to_lowercase().contains(text)
        };
        Ok(inputs.iter().filter(|input| hit(input)).map(|input| input.seq).collect())
    }
}

/// Positions as a set.
pub(super) fn to_set(seqs: Vec<Seq>) -> Ranges {
    Ranges::collect(seqs.into_iter().map(SeqRange::one))
}

/// Positions found, in order, and how far was looked where that was less than to the end.
struct Found {
    seqs: Vec<Seq>,
    looked_to: Option<Seq>,
}

/// Positions after `after`, up to `to`, that pass state and family; the first `limit` of them.
async fn find(
    tx: &DatabaseTransaction,
    batch: &BatchRecord,
    query: &ItemQuery,
    after: Seq,
    to: Seq,
    limit: usize,
) -> Result<Found, StoreError> {
    if to <= after {
        return Ok(Found { seqs: Vec::new(), looked_to: None });
    }
    if let Some(family) = &query.family {
        let none = query.state.is_some_and(|state| state != ItemState::Failed);
        let condition = ("outcomes_family", "family = $4");
        let ranges =
            if none { Vec::new() } else { ended(tx, batch, after, to, limit, condition, &family.0).await? };
        return Ok(Found { seqs: spread(ranges, after, to, limit), looked_to: None });
    }
    let ranges = match query.state {
        None => vec![SeqRange::new(after + 1, to)],
        Some(ItemState::Succeeded) => return succeeded(tx, batch, after, to, limit).await,
        Some(state @ (ItemState::Failed | ItemState::Cancelled)) => {
            let condition = ("outcomes_state", "state = $4 AND state <> 'succeeded'");
            ended(tx, batch, after, to, limit, condition, state.as_str()).await?
        }
        Some(state @ (ItemState::Pending | ItemState::Running | ItemState::Retrying)) => {
            open(tx, batch, after, to, limit, state).await?
        }
    };
    Ok(Found { seqs: spread(ranges, after, to, limit), looked_to: None })
}

/// The first `limit` positions of ranges in order, after `after`, up to `to`.
fn spread(ranges: Vec<SeqRange>, after: Seq, to: Seq, limit: usize) -> Vec<Seq> {
    ranges.into_iter().flat_map(|range| range.first.max(after + 1)..=range.last.min(to)).take(limit).collect()
}

fn to_ranges(found: &[sea_orm::QueryResult]) -> Result<Vec<SeqRange>, StoreError> {
    found
        .iter()
        .map(|row| {
            let (first, last): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            Ok(SeqRange::new(count(first)?, count(last)?))
        })
        .collect()
}

fn rows_limit(limit: usize) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}

/// Ended ranges by a condition and its index, `$4` in it being `value`.
async fn ended(
    tx: &DatabaseTransaction,
    batch: &BatchRecord,
    after: Seq,
    to: Seq,
    limit: usize,
    (index, condition): (&str, &str),
    value: &str,
) -> Result<Vec<SeqRange>, StoreError> {
    // A range may begin before: only the one that covers the first position does.
    let text = format!(
        "SELECT first, last FROM outcomes{} WHERE batch = $1 AND {condition} AND first <= $3 AND last > $2 \
         AND first >= COALESCE((SELECT MAX(first) FROM outcomes WHERE batch = $1 AND first <= $2 + 1), 0) \
         ORDER BY first LIMIT $5",
        by_index(tx, index)
    );
    let values = vec![batch.key.into(), int(after).into(), int(to).into(), value.into(), rows_limit(limit)];
    to_ranges(&rows(tx, &text, values).await?)
}

/// Succeeded ones have no index of their own: a bounded number of outcomes is looked at.
async fn succeeded(
    tx: &DatabaseTransaction,
    batch: &BatchRecord,
    after: Seq,
    to: Seq,
    limit: usize,
) -> Result<Found, StoreError> {
    let text = "SELECT first, last, state FROM outcomes WHERE batch = $1 AND first <= $3 AND last > $2 AND first >= \
         COALESCE((SELECT MAX(first) FROM outcomes WHERE batch = $1 AND first <= $2 + 1), 0) ORDER BY first LIMIT $4";
    let most = int(SEARCHED_MAX);
    let values = vec![batch.key.into(), int(after).into(), int(to).into(), most.into()];
    let looked = rows(tx, text, values).await?;
    let all_looked_at = looked.len() < usize::try_from(SEARCHED_MAX).unwrap_or(usize::MAX);
    let looked_to = to_ranges(&looked)?.last().map(|range| range.last).filter(|_last| !all_looked_at);
    let mut good = Vec::new();
    for row in looked {
        if row.try_get_by_index::<String>(2)? == ItemState::Succeeded.as_str() {
            good.push(row);
        }
    }
    Ok(Found { seqs: spread(to_ranges(&good)?, after, to, limit), looked_to })
}

/// Ranges that have not ended and are in `state`: of leases, the requeue, and beyond the cursor.
async fn open(
    tx: &DatabaseTransaction,
    batch: &BatchRecord,
    after: Seq,
    to: Seq,
    limit: usize,
    state: ItemState,
) -> Result<Vec<SeqRange>, StoreError> {
    let fits = |attempt: i64| (attempt >= 2) == (state == ItemState::Retrying);
    let mut ranges: BTreeSet<SeqRange> = BTreeSet::new();
    for (lease, left, started) in leases_of(tx, batch.key).await? {
        if state == ItemState::Running {
            ranges.extend(started.iter());
        } else if fits(lease.attempt) {
            ranges.extend(left.without(&started).iter());
        }
    }
    if state != ItemState::Running {
        let attempt = if state == ItemState::Retrying { "attempt >= 2" } else { "attempt < 2" };
        let text = format!(
            "SELECT * FROM requeue WHERE batch = $1 AND {attempt} AND first <= $3 AND last > $2 ORDER BY first LIMIT $4"
        );
        let values = vec![batch.key.into(), int(after).into(), int(to).into(), rows_limit(limit)];
        let waiting: Vec<requeue::Model> = all(tx, &text, values).await?;
        for row in waiting {
            ranges.insert(SeqRange::new(count(row.first)?, count(row.last)?));
        }
    }
    if state == ItemState::Pending && batch.next_seq <= batch.total {
        ranges.insert(SeqRange::new(batch.next_seq, batch.total));
    }
    let within = Ranges::collect(ranges.into_iter().filter(|range| range.last > after && range.first <= to));
    Ok(within.iter().collect())
}
