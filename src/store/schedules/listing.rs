//! Schedules by id, by page, by what is due.

use std::collections::HashMap;

use super::row::{COLUMNS, to_schedule};
use crate::protocol::{ScheduleId, Timestamp, limits};
use crate::store::Store;
use crate::store::backend::{LIST_MAX, all, in_keys, list_value, number, one};
use crate::store::entity::{batches, schedules};
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, BatchRecord, ScheduleKey, ScheduleList, ScheduleRecord, Viewer};
use crate::store::tape::to_record;

impl Store {
    /// By id, with its body.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn schedule(&self, id: ScheduleId) -> Result<ScheduleRecord, StoreError> {
        let text = format!("SELECT {COLUMNS}, body FROM schedules WHERE uuid = $1 AND NOT deleted");
        let values = vec![id.to_string().into()];
        let row: Option<schedules::Model> = one(self.inner.backend.reader(), &text, values).await?;
        to_schedule(&row.ok_or(StoreError::NotFound("schedule"))?)
    }

    /// Those that `viewer` sees, newest first, at most `limit`, without their bodies.
    ///
    /// # Errors
    /// Outages.
    pub async fn schedules(
        &self,
        viewer: &Viewer,
        before: Option<ScheduleKey>,
        limit: u32,
    ) -> Result<ScheduleList, StoreError> {
        let limit = limit.clamp(1, limits::PAGE_ROWS_MAX) as usize;
        let mut values = vec![
            before.unwrap_or(ScheduleKey::MAX).into(),
            viewer.sees_all.into(),
            viewer.name.clone().into(),
            i64::try_from(limit + 1).unwrap_or(i64::MAX).into(),
        ];
        let hidden = match viewer.hidden_tasks.as_slice() {
            [] => String::new(),
            hidden => {
                let first = values.len() + 1;
                values.extend(hidden.iter().map(|task| task.clone().into()));
                let marks: Vec<String> = (first..=values.len()).map(|at| format!("${at}")).collect();
                format!("AND ((private AND owner = $3) OR task NOT IN ({}))", marks.join(", "))
            }
        };
        let text = format!(
            "SELECT {COLUMNS}, '' AS body FROM schedules WHERE NOT deleted AND id < $1 \
             AND ($2 OR NOT private OR owner = $3) {hidden} ORDER BY id DESC LIMIT $4"
        );
        let found: Vec<schedules::Model> = all(self.inner.backend.reader(), &text, values).await?;
        let next = (found.len() > limit).then(|| found[limit - 1].id);
        let schedules = found.iter().take(limit).map(to_schedule).collect::<Result<_, _>>()?;
        Ok(ScheduleList { schedules, next })
    }

    /// Those that are to be looked at, the longest due first, at most `limit`, with their bodies.
    ///
    /// # Errors
    /// Outages.
    pub async fn schedules_due(&self, now: Timestamp, limit: u32) -> Result<Vec<ScheduleRecord>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS}, body FROM schedules WHERE wake_at IS NOT NULL AND wake_at <= $1 \
             ORDER BY wake_at LIMIT $2"
        );
        let values = vec![now.0.into(), i64::from(limit).into()];
        let found: Vec<schedules::Model> = all(self.inner.backend.reader(), &text, values).await?;
        found.iter().map(to_schedule).collect()
    }

    /// Those that are not paused, by key, after `after`, at most `limit`, without their bodies: for whoever has to look at
    /// all of them because the clock was set.
    ///
    /// # Errors
    /// Outages.
    pub async fn schedules_waiting(
        &self,
        after: ScheduleKey,
        limit: u32,
    ) -> Result<Vec<ScheduleRecord>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS}, '' AS body FROM schedules WHERE wake_at IS NOT NULL AND id > $1 \
             ORDER BY id LIMIT $2"
        );
        let values = vec![after.into(), i64::from(limit).into()];
        let found: Vec<schedules::Model> = all(self.inner.backend.reader(), &text, values).await?;
        found.iter().map(to_schedule).collect()
    }

    /// When the next of them is to be looked at.
    ///
    /// # Errors
    /// Outages.
    pub async fn next_schedule_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT MIN(wake_at) FROM schedules WHERE wake_at IS NOT NULL";
        Ok(number(self.inner.backend.reader(), text, vec![]).await?.map(Timestamp))
    }

    /// Those of these batches that are there.
    ///
    /// # Errors
    /// Outages.
    pub async fn batches_by_keys(
        &self,
        keys: &[BatchKey],
    ) -> Result<HashMap<BatchKey, BatchRecord>, StoreError> {
        let reader = self.inner.backend.reader();
        let text = format!("SELECT * FROM batches WHERE id {} AND NOT deleted", in_keys(reader, 1));
        let mut found = HashMap::new();
        for keys in keys.chunks(LIST_MAX) {
            let rows: Vec<batches::Model> = all(reader, &text, vec![list_value(keys)]).await?;
            for row in &rows {
                found.insert(row.id, to_record(row)?);
            }
        }
        Ok(found)
    }
}
