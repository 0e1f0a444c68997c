//! Batches by id, by key, by filter, counted by kind.
//!
//! Owns the reads of batches. Called by service and at start. Invariant: deleted batches are not found; a list is
//! walked by key, newest first. Deliberately knows no rights beyond what a [`Viewer`] sees.

use sea_orm::{ConnectionTrait, Value};

use crate::protocol::{BatchCounts, BatchId, BatchState, Timestamp, limits};
use crate::store::Store;
use crate::store::backend::{all, count, one, rows};
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::records::{BatchFilter, BatchKey, BatchList, BatchRecord, Viewer};
use crate::store::tape::to_record;

impl Store {
    /// By id; deleted ones are not found.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn batch(&self, id: BatchId) -> Result<BatchRecord, StoreError> {
        let text = "SELECT * FROM batches WHERE uuid = $1 AND NOT deleted";
        let row = one(self.inner.backend.reader(), text, vec![id.to_string().into()]).await?;
        to_record(&row.ok_or(StoreError::NotFound("batch"))?)
    }

    /// By key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn batch_by_key(&self, key: BatchKey) -> Result<BatchRecord, StoreError> {
        to_record(&Self::row_by_key(self.inner.backend.reader(), key).await?)
    }

    pub async fn row_by_key<C: ConnectionTrait>(
        connection: &C,
        key: BatchKey,
    ) -> Result<batches::Model, StoreError> {
        let text = "SELECT * FROM batches WHERE id = $1 AND NOT deleted";
        one(connection, text, vec![key.into()]).await?.ok_or(StoreError::NotFound("batch"))
    }

    /// Newest first, at most `limit`, with the key of the last for the next page.
    ///
    /// # Errors
    /// Outages.
    pub async fn list(&self, filter: BatchFilter) -> Result<BatchList, StoreError> {
        let limit = filter.limit.clamp(1, limits::PAGE_ROWS_MAX) as usize;
        let (text, values) = list_query(&filter, limit + 1);
        let found: Vec<batches::Model> = all(self.inner.backend.reader(), &text, values).await?;
        let next = (found.len() > limit).then(|| found[limit - 1].id);
        let batches = found.iter().take(limit).map(to_record).collect::<Result<_, _>>()?;
        Ok(BatchList { batches, next })
    }

    /// Batches that finished before so long, by the steady clock: by key, after `after`, at most `limit`.
    ///
    /// # Errors
    /// Outages.
    pub async fn finished_before(
        &self,
        oldest: Timestamp,
        after: BatchKey,
        limit: u32,
    ) -> Result<Vec<BatchKey>, StoreError> {
        let text = "SELECT id FROM batches WHERE id > $1 AND finished_at IS NOT NULL AND NOT deleted \
             AND COALESCE(finished_steady, finished_at) < $2 ORDER BY id LIMIT $3";
        let values = vec![after.into(), oldest.0.into(), i64::from(limit).into()];
        let found = rows(self.inner.backend.reader(), text, values).await?;
        found.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
    }

    /// How many of each kind, as visible to `viewer`.
    ///
    /// # Errors
    /// Outages.
    pub async fn counts(&self, viewer: &Viewer) -> Result<BatchCounts, StoreError> {
        let text = "SELECT state, COUNT(*), CAST(COALESCE(SUM(CASE WHEN failed > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) \
             FROM batches WHERE NOT deleted AND ($1 OR NOT private OR owner = $2) GROUP BY state";
        let values = vec![viewer.sees_all.into(), viewer.name.clone().into()];
        let mut counts = BatchCounts::default();
        for row in rows(self.inner.backend.reader(), text, values).await? {
            let state: String = row.try_get_by_index(0)?;
            let here = count(row.try_get_by_index(1)?)?;
            counts.all += here;
            counts.with_failures += count(row.try_get_by_index(2)?)?;
            if BatchState::parse(&state).is_some_and(BatchState::is_finished) {
                counts.finished += here;
            } else {
                counts.active += here;
            }
        }
        Ok(counts)
    }

    /// Batches whose state is not finished (for start-up), oldest first.
    ///
    /// # Errors
    /// Outages.
    pub async fn unfinished(&self) -> Result<Vec<BatchRecord>, StoreError> {
        let text = "SELECT * FROM batches WHERE state IN ('scheduled', 'pending', 'running', 'paused', 'cancelling') \
             AND NOT deleted ORDER BY id";
        let found: Vec<batches::Model> = all(self.inner.backend.reader(), text, vec![]).await?;
        found.iter().map(to_record).collect()
    }
}

fn list_query(filter: &BatchFilter, limit: usize) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut text = "SELECT * FROM batches WHERE NOT deleted".to_owned();
    if filter.with_failures {
        text.push_str(" AND failed > 0");
    }
    let mut bind = |values: &mut Vec<Value>, condition: &str, value: Value| {
        values.push(value);
        text.push_str(" AND ");
        text.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    if !filter.viewer.sees_all {
        bind(&mut values, "(NOT private OR owner = ?)", filter.viewer.name.clone().into());
    }
    if let Some(task) = &filter.task {
        bind(&mut values, "task = ?", task.clone().into());
    }
    if let Some(owner) = &filter.owner {
        bind(&mut values, "owner = ?", owner.clone().into());
    }
    if let Some(part) = &filter.text {
        let part = part.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        bind(&mut values, "LOWER(name) LIKE ? ESCAPE '\\'", format!("%{part}%").into());
    }
    if let Some(number) = filter.number {
        bind(&mut values, "id = ?", number.into());
    }
    if let Some(before) = filter.before {
        bind(&mut values, "id < ?", before.into());
    }
    if !filter.states.is_empty() {
        let names: Vec<String> = filter.states.iter().map(|state| format!("'{}'", state.as_str())).collect();
        text.push_str(" AND state IN (");
        text.push_str(&names.join(","));
        text.push(')');
    }
    (format!("{text} ORDER BY id DESC LIMIT {limit}"), values)
}
