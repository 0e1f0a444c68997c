//! Batches by id, by key, by filter, counted by kind.
//!
//! Deleted batches are not found. A page is walked by key, newest first, and ends when it is full. What an index names (a
//! state, a task, an owner, failures, a number) is found by it; of what none does, the walk looks at each batch on its
//! way: those of others that are private, and names that hold a text. A search for a name that hardly any batch has
//! therefore reads the names of all batches that are kept: it is the one read here that grows with them, and it holds
//! one row at a time.
//!
//! Counts are not made by counting: the table `batch_counts` has a row for each change of one, written by triggers on
//! `batches` in the transaction of what changed it. Nobody waits for another's row, so it adds no order of locks.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Value};

use crate::protocol::{BatchCounts, BatchId, BatchState, Timestamp, limits};
use crate::store::Store;
use crate::store::backend::{
    Durability, LIST_MAX, all, count, in_keys, insert_many, list_value, locking, number, one, rows, run,
};
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::records::{BatchFilter, BatchKey, BatchList, BatchRecord, Viewer};
use crate::store::tape::to_record;

/// Changes of counts that lie there before they are added up. Few in tests, so that they are.
const COUNT_CHANGES_MAX: i64 = if cfg!(test) { 8 } else { 1_000 };
/// Changes that are added up in one transaction; the others come with the next call.
const FOLDED_MAX: usize = LIST_MAX;

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

    /// How many of each kind, as visible to `viewer`: sums of what is kept of counts, whatever the number of batches.
    ///
    /// # Errors
    /// Outages.
    pub async fn counts(&self, viewer: &Viewer) -> Result<BatchCounts, StoreError> {
        let mut values: Vec<Value> = vec![viewer.sees_all.into(), viewer.name.clone().into()];
        let mut text = "SELECT state, failing, CAST(SUM(change) AS BIGINT) FROM batch_counts \
             WHERE ($1 OR owner IS NULL OR owner = $2)"
            .to_owned();
        if !viewer.hidden_tasks.is_empty() {
            // Owners are named of private batches only.
            let marks = hidden_marks(viewer, &mut values);
            text.push_str(&format!(" AND (owner = $2 OR task NOT IN ({marks}))"));
        }
        text.push_str(" GROUP BY state, failing");
        let mut counts = BatchCounts::default();
        for row in rows(self.inner.backend.reader(), &text, values).await? {
            let state: String = row.try_get_by_index(0)?;
            let (failing, here): (bool, u64) = (row.try_get_by_index(1)?, count(row.try_get_by_index(2)?)?);
            counts.all += here;
            if failing {
                counts.with_failures += here;
            }
            if BatchState::parse(&state).is_some_and(BatchState::is_finished) {
                counts.finished += here;
            } else {
                counts.active += here;
            }
        }
        Ok(counts)
    }

    /// Adds up changes of counts where many have come, so that there are few to sum. To be called about once a second, by
    /// as many nodes as there are: where two do, one of them finds nothing left.
    ///
    /// # Errors
    /// Outages; the counts are as true as before.
    pub async fn fold_counts(&self) -> Result<(), StoreError> {
        // Both ends of the key: no row between is read.
        let span = "SELECT (SELECT MAX(id) FROM batch_counts) - (SELECT MIN(id) FROM batch_counts)";
        if number(self.inner.backend.reader(), span, vec![]).await?.unwrap_or(0) < COUNT_CHANGES_MAX {
            return Ok(());
        }
        let tx = self.inner.backend.write().await?;
        let text = format!(
            "SELECT id, owner, task, state, failing, change FROM batch_counts ORDER BY id LIMIT {FOLDED_MAX}"
        );
        let mut keys: Vec<i64> = Vec::new();
        let mut sums: BTreeMap<(Option<String>, String, String, bool), i64> = BTreeMap::new();
        for row in rows(&tx, &locking(&tx, &text), vec![]).await? {
            keys.push(row.try_get_by_index(0)?);
            let (owner, task) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            let kind = (owner, task, row.try_get_by_index(3)?, row.try_get_by_index(4)?);
            *sums.entry(kind).or_default() += row.try_get_by_index::<i64>(5)?;
        }
        let folded = format!("DELETE FROM batch_counts WHERE id {}", in_keys(&tx, 1));
        run(&tx, &folded, vec![list_value(&keys)]).await?;
        let sums = sums.into_iter().filter(|(_kind, change)| *change != 0);
        let sums = sums.map(|((owner, task, state, failing), change)| {
            vec![owner.into(), task.into(), state.into(), failing.into(), change.into()]
        });
        insert_many(
            &tx,
            "INSERT INTO batch_counts (owner, task, state, failing, change)",
            "",
            sums.collect(),
        )
        .await?;
        self.inner.backend.commit(tx, Durability::Process).await
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

/// The tasks that `viewer` does not see, as marks of a query whose values they are put to.
fn hidden_marks(viewer: &Viewer, values: &mut Vec<Value>) -> String {
    let mark = |task: &String| {
        values.push(task.clone().into());
        format!("${}", values.len())
    };
    viewer.hidden_tasks.iter().map(mark).collect::<Vec<_>>().join(", ")
}

fn list_query(filter: &BatchFilter, limit: usize) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut text = "SELECT * FROM batches WHERE NOT deleted".to_owned();
    if filter.with_failures {
        text.push_str(" AND failed > 0");
    }
    if !filter.viewer.hidden_tasks.is_empty() {
        // One's own private batches are there whoever may see the task.
        values.push(filter.viewer.name.clone().into());
        let own = values.len();
        let marks = hidden_marks(&filter.viewer, &mut values);
        text.push_str(&format!(" AND ((private AND owner = ${own}) OR task NOT IN ({marks}))"));
    }
    let mut bind = |values: &mut Vec<Value>, condition: &str, value: Value| {
        values.push(value);
        text.push_str(" AND ");
        text.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    if !filter.viewer.sees_all {
        bind(&mut values, "(NOT private OR owner = ?)", filter.viewer.name.clone().into());
    }
    if let Some(task) = &filter.viewer.task {
        bind(&mut values, "task = ?", task.clone().into());
    }
    if let Some(batch) = filter.viewer.batch {
        bind(&mut values, "uuid = ?", batch.to_string().into());
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
    if let Some(parent) = filter.parent {
        bind(
            &mut values,
            "parent = (SELECT parents.id FROM batches AS parents WHERE parents.uuid = ?)",
            parent.to_string().into(),
        );
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
