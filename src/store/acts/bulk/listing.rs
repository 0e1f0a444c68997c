//! Acts over many by id and by page, and the batches that one names.

use std::collections::HashMap;

use sea_orm::{FromQueryResult, Value};

use super::rows::BulkRow;
use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{BatchId, BulkAct, BulkActId, BulkActPage, BulkState, Timestamp};
use crate::store::Store;
use crate::store::backend::{all, in_texts, list_value, one};
use crate::store::error::StoreError;
use crate::store::records::BatchKey;

/// Which acts over many to list.
#[derive(Clone, Debug, Default)]
pub struct BulkFilter {
    /// Of this person only.
    pub who: Option<String>,
    /// In this state only.
    pub state: Option<BulkState>,
    /// Those that run or have ended since then only.
    pub since: Option<Timestamp>,
    /// Those before this key.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// A batch that an act names: as much as tells who may act on it, and not its parameters, which may be long.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct NamedBatch {
    /// Number, and key in all tables.
    pub id: BatchKey,
    /// Public id, as text.
    uuid: String,
    /// Name of its task.
    pub task: String,
    /// Who it belongs to.
    pub owner: String,
    /// Seen by its owner and admins only.
    pub private: bool,
}

impl Store {
    /// Those of these batches that are there: at most as many as one act may name are to be asked for.
    ///
    /// # Errors
    /// Outages.
    pub async fn batches_named(&self, ids: &[BatchId]) -> Result<HashMap<BatchId, NamedBatch>, StoreError> {
        let reader = self.inner.backend.reader();
        let text = format!(
            "SELECT id, uuid, task, owner, private FROM batches WHERE uuid {} AND NOT deleted",
            in_texts(reader, 1)
        );
        let found: Vec<NamedBatch> = all(reader, &text, vec![list_value(ids)]).await?;
        let keyed = |batch: NamedBatch| {
            let id = batch.uuid.parse();
            let id =
                id.map_err(|_form| StoreError::Invariant(format!("batch {} is {:?}", batch.id, batch.uuid)));
            Ok((id?, batch))
        };
        found.into_iter().map(keyed).collect()
    }

    /// One act over many.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn bulk_act(&self, id: BulkActId) -> Result<BulkAct, StoreError> {
        let text = "SELECT * FROM bulk_acts WHERE uuid = $1";
        let row: Option<BulkRow> =
            one(self.inner.backend.reader(), text, vec![id.to_string().into()]).await?;
        row.ok_or(StoreError::NotFound("act"))?.to_act()
    }

    /// Newest first. What is kept of a person is bounded, and so is what is looked at.
    ///
    /// # Errors
    /// Outages.
    pub async fn bulk_acts(&self, filter: &BulkFilter) -> Result<BulkActPage, StoreError> {
        let limit = filter.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let mut values: Vec<Value> = vec![
            filter.before.unwrap_or(i64::MAX).into(),
            i64::try_from(limit + 1).expect("a page is small").into(),
        ];
        let mut text = "SELECT * FROM bulk_acts WHERE id < $1".to_owned();
        let mut also = |condition: &str, value: Value| {
            values.push(value);
            text.push_str(&condition.replace('?', &format!("${}", values.len())));
        };
        if let Some(who) = &filter.who {
            also(" AND who = ?", who.clone().into());
        }
        if let Some(state) = filter.state {
            also(" AND state = ?", state.as_str().into());
        }
        if let Some(since) = filter.since {
            also(" AND (ended_at IS NULL OR ended_at >= ?)", since.0.into());
        }
        text.push_str(" ORDER BY id DESC LIMIT $2");
        let found: Vec<BulkRow> = all(self.inner.backend.reader(), &text, values).await?;
        let next = (found.len() > limit).then(|| found[limit - 1].id.to_string());
        let acts = found.iter().take(limit).map(BulkRow::to_act).collect::<Result<_, _>>()?;
        Ok(BulkActPage { acts, next })
    }
}
