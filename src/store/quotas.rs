//! How much one person may have: files, unfinished items and batches, and how fast batches may come.
//!
//! Looked at in the transaction that would add, whoever asks: a body, an append, a schedule, what follows a batch. Of one person
//! no two pass at the same moment. What an item writes counts, and is not refused: it has been worked for.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Value};

use crate::protocol::Timestamp;
use crate::store::Store;
use crate::store::backend::{
    Durability, LIST_MAX, count, hold_name, in_keys, insert_many, int, list_value, locking, number, row,
    rows, run,
};
use crate::store::error::{QuotaExcess, QuotaKind, StoreError};

/// What `batches_per_minute_max` counts over.
const MINUTE_MS: u64 = 60_000;
/// Changes that lie there before they are added up. Few in tests, so that they are.
const CHANGES_MAX: i64 = if cfg!(test) { 8 } else { 1_000 };
/// Who has no quota: the process itself, and whoever came in by the one-time link.
const UNBOUNDED: &str = "local";

/// How much one person may have. None = no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersonQuota {
    /// Bytes of files: those of items and those that items left, and uploads that no batch has taken.
    pub stored_bytes_max: Option<u64>,
    /// Items that have not ended, of batches that have not finished.
    pub items_max: Option<u64>,
    /// Batches that have not finished.
    pub batches_max: Option<u64>,
    /// Batches made within a minute, at most 10,000.
    pub batches_per_minute_max: Option<u64>,
}

/// The quotas of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Of whoever has none of their own.
    pub everyone: PersonQuota,
    /// By the name of a person or `token:NAME`.
    pub people: BTreeMap<String, PersonQuota>,
}

impl Quotas {
    /// The quota of whoever batches belong to.
    #[must_use]
    pub fn of(&self, owner: &str) -> PersonQuota {
        if owner == UNBOUNDED {
            return PersonQuota::default();
        }
        self.people.get(owner).copied().unwrap_or(self.everyone)
    }
}

/// What somebody is about to add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaAddition {
    /// True where it is a new batch.
    pub is_batch: bool,
    /// Items.
    pub items: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Items of `owner` that have not ended, and how many batches they are of.
const UNFINISHED: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(total - succeeded - failed - cancelled), 0) AS BIGINT) \
     FROM batches WHERE owner = $1 AND finished_at IS NULL AND NOT deleted";

fn within(kind: QuotaKind, limit: Option<u64>, used: u64, more: u64) -> Result<(), StoreError> {
    match limit {
        Some(limit) if used.saturating_add(more) > limit => {
            Err(StoreError::OverQuota(QuotaExcess { kind, limit, used, wait_ms: None }))
        }
        Some(_) | None => Ok(()),
    }
}

/// Bytes of the files of `owner`, and of their uploads that no batch is being made of.
///
/// # Errors
/// Outages.
async fn stored_bytes<C: ConnectionTrait>(connection: &C, owner: &str) -> Result<u64, StoreError> {
    let text = "SELECT CAST(COALESCE((SELECT SUM(change) FROM stored_bytes WHERE owner = $1), 0) \
         + COALESCE((SELECT SUM(bytes) FROM uploads WHERE owner = $1 AND claim IS NULL), 0) AS BIGINT)";
    let bytes = number(connection, text, vec![owner.into()]).await?;
    // Files of batches that were counted before the table was there may be gone already: never below nothing.
    count(bytes.unwrap_or(0).max(0))
}

impl Store {
    /// Looks in `tx`, which is about to add it, whether `owner` may have `more`. Until `tx` ends nobody else passes for the same
    /// owner.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`]; outages.
    pub(in crate::store) async fn within_quota<C: ConnectionTrait>(
        &self,
        tx: &C,
        owner: &str,
        more: QuotaAddition,
    ) -> Result<(), StoreError> {
        let quota = self.inner.quotas.of(owner);
        if quota == PersonQuota::default() {
            return Ok(());
        }
        // After the row of a batch and before any content, so whoever waits here holds nothing that the other waits for.
        hold_name(tx, owner).await?;
        if let Some(limit) = quota.batches_per_minute_max.filter(|_| more.is_batch) {
            self.within_rate(tx, owner, limit).await?;
        }
        if (quota.batches_max.is_some() && more.is_batch) || (quota.items_max.is_some() && more.items > 0) {
            let found = row(tx, UNFINISHED, vec![owner.into()]).await?;
            let found = found.ok_or_else(|| StoreError::Invariant("a count has no row".to_owned()))?;
            let (batches, items) = (count(found.try_get_by_index(0)?)?, count(found.try_get_by_index(1)?)?);
            if more.is_batch {
                within(QuotaKind::Batches, quota.batches_max, batches, 1)?;
            }
            within(QuotaKind::Items, quota.items_max, items, more.items)?;
        }
        if quota.stored_bytes_max.is_some() && more.bytes > 0 {
            let stored = stored_bytes(tx, owner).await?;
            within(QuotaKind::StoredBytes, quota.stored_bytes_max, stored, more.bytes)?;
        }
        Ok(())
    }

    /// The newest batches are found by the owner's index: as many as may come in a minute, and no more.
    async fn within_rate<C: ConnectionTrait>(
        &self,
        tx: &C,
        owner: &str,
        limit: u64,
    ) -> Result<(), StoreError> {
        let text = "SELECT created_at FROM batches WHERE owner = $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
        let values: Vec<Value> = vec![owner.into(), int(limit.saturating_sub(1)).into()];
        let Some(earliest) = number(tx, text, values).await? else { return Ok(()) };
        let age_ms = self.now().ms_since(Timestamp(earliest));
        if age_ms >= MINUTE_MS {
            return Ok(());
        }
        Err(StoreError::OverQuota(QuotaExcess {
            kind: QuotaKind::BatchesPerMinute,
            limit,
            used: limit,
            wait_ms: Some(MINUTE_MS - age_ms),
        }))
    }

    /// Bytes of files that `owner` may still have; none where there is no bound. A look before a large file is taken in: what
    /// counts is [`StoreError::OverQuota`] when it is named.
    ///
    /// # Errors
    /// Outages.
    pub async fn bytes_left(&self, owner: &str) -> Result<Option<(QuotaExcess, u64)>, StoreError> {
        let Some(limit) = self.inner.quotas.of(owner).stored_bytes_max else { return Ok(None) };
        let used = stored_bytes(self.inner.backend.reader(), owner).await?;
        let excess = QuotaExcess { kind: QuotaKind::StoredBytes, limit, used, wait_ms: None };
        Ok(Some((excess, limit.saturating_sub(used))))
    }

    /// Adds up changes where many have come, so that there are few to sum. To be called about once a second, by as many nodes
    /// as there are: where two do, one of them finds nothing left.
    ///
    /// # Errors
    /// Outages; the sums are as true as before.
    pub async fn fold_stored_bytes(&self) -> Result<(), StoreError> {
        // Both ends of the key: no row between is read.
        let span = "SELECT (SELECT MAX(id) FROM stored_bytes) - (SELECT MIN(id) FROM stored_bytes)";
        if number(self.inner.backend.reader(), span, vec![]).await?.unwrap_or(0) < CHANGES_MAX {
            return Ok(());
        }
        let tx = self.inner.backend.write().await?;
        let text = format!("SELECT id, owner, change FROM stored_bytes ORDER BY id LIMIT {LIST_MAX}");
        let mut keys: Vec<i64> = Vec::new();
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows(&tx, &locking(&tx, &text), vec![]).await? {
            keys.push(row.try_get_by_index(0)?);
            *sums.entry(row.try_get_by_index(1)?).or_default() += row.try_get_by_index::<i64>(2)?;
        }
        let folded = format!("DELETE FROM stored_bytes WHERE id {}", in_keys(&tx, 1));
        run(&tx, &folded, vec![list_value(&keys)]).await?;
        let sums = sums.into_iter().filter(|(_owner, change)| *change != 0);
        let sums = sums.map(|(owner, change)| vec![owner.into(), change.into()]);
        insert_many(&tx, "INSERT INTO stored_bytes (owner, change)", "", sums.collect()).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }
}
