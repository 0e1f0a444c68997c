//! Schedules made, set and removed.

use sea_orm::{DatabaseTransaction, Value};

use super::inputs::keep;
use super::row::{COLUMNS, to_schedule};
use crate::protocol::{ScheduleId, Timestamp, limits};
use crate::store::Store;
use crate::store::backend::{Durability, int, one, row, rows, run};
use crate::store::entity::schedules;
use crate::store::error::StoreError;
use crate::store::records::{
    CreateSchedule, SavedBatch, ScheduleAdded, ScheduleKey, ScheduleRecord, ScheduleSettings, ScheduleTimes,
};

/// How often a place among those of a person is looked for, where others take it at the same time.
const TRIES: usize = 5;

const INSERT: &str = "INSERT INTO schedules (uuid, owner, slot, name, cron, time_zone, window_from, window_until, \
     overlap, paused, private, task, items, body, columns, from_batch, next_at, waiting_for, wake_at, once_key, \
     once_hash, version, deleted, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
     $13, $14, $15, $16, $17, $18, $19, $20, $21, 1, FALSE, $22, $22) ON CONFLICT DO NOTHING RETURNING id";
const SET: &str = "UPDATE schedules SET name = $3, cron = $4, time_zone = $5, window_from = $6, window_until = $7, \
     overlap = $8, paused = $9, private = $10, task = $11, items = $12, body = $13, columns = $14, from_batch = $15, \
     next_at = $16, waiting_for = $17, wake_at = $18, updated_at = $19, version = version + 1 \
     WHERE id = $1 AND version = $2 AND NOT deleted";
const SETTLE: &str = "UPDATE schedules SET next_at = $3, waiting_for = $4, wake_at = $5, \
     last_error = COALESCE($6, last_error), last_error_at = CASE WHEN CAST($6 AS TEXT) IS NULL THEN last_error_at \
     ELSE $7 END, version = version + 1 WHERE id = $1 AND version = $2 AND NOT deleted";

fn settings_values(settings: &ScheduleSettings) -> [Value; 7] {
    let minute = |at: Option<crate::protocol::TimeOfDay>| at.map(|at| i64::from(at.minute())).into();
    [
        settings.name.clone().into(),
        settings.cron.clone().into(),
        settings.time_zone.clone().into(),
        minute(settings.window.map(|window| window.from)),
        minute(settings.window.map(|window| window.until)),
        settings.overlap.as_str().into(),
        settings.paused.into(),
    ]
}

fn saved_values(saved: &SavedBatch) -> [Value; 6] {
    [
        saved.private.into(),
        saved.task.clone().into(),
        int(saved.items).into(),
        saved.body.as_str().into(),
        serde_json::to_string(&saved.columns).expect("texts always print").into(),
        saved.from_batch.map(|batch| batch.to_string()).into(),
    ]
}

fn times_values(times: ScheduleTimes) -> [Value; 3] {
    [times.next_at, times.waiting_for, times.wake_at].map(|time| time.map(|time| time.0).into())
}

impl Store {
    /// Makes a schedule, and keeps the inputs that it is to have.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the batch of its inputs is gone; [`StoreError::Busy`] where its owner makes many at
    /// once; [`StoreError::DiskFull`] while there is no room; outages.
    pub async fn schedule_add(&self, new: &CreateSchedule) -> Result<ScheduleAdded, StoreError> {
        self.has_room()?;
        for _try in 0..TRIES {
            let added = self.schedule_add_once(new).await;
            self.gives_reserve(&added);
            if let Some(added) = added? {
                return Ok(added);
            }
        }
        Err(StoreError::Busy("others make schedules for the same person".to_owned()))
    }

    /// None where another one of its owner took the same place, or key, meanwhile.
    async fn schedule_add_once(&self, new: &CreateSchedule) -> Result<Option<ScheduleAdded>, StoreError> {
        let now = self.now();
        let tx = self.inner.backend.write().await?;
        if let Some((key, hash)) = &new.once
            && let Some((before, found)) = made_under(&tx, &new.owner, key).await?
        {
            let added = if found == *hash {
                ScheduleAdded::Before(Box::new(before))
            } else {
                ScheduleAdded::KeyTaken
            };
            return Ok(Some(added));
        }
        let Some(slot) = free_slot(&tx, &new.owner).await? else { return Ok(Some(ScheduleAdded::Full)) };
        let mut values = vec![new.id.to_string().into(), new.owner.clone().into(), slot.into()];
        values.extend(settings_values(&new.settings));
        values.extend(saved_values(&new.saved));
        values.extend(times_values(new.times));
        let (once_key, once_hash) = new.once.clone().unzip();
        values.extend([once_key.into(), once_hash.into(), now.0.into()]);
        let Some(made) = row(&tx, INSERT, values).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        let key: ScheduleKey = made.try_get_by_index(0)?;
        if let Some(batch) = new.inputs_of {
            keep(&tx, batch, key).await?;
        }
        let text = format!("SELECT {COLUMNS}, body FROM schedules WHERE id = $1");
        let record: Option<schedules::Model> = one(&tx, &text, vec![key.into()]).await?;
        let record = to_schedule(&record.ok_or(StoreError::NotFound("schedule"))?)?;
        self.sign(&tx, "schedule.add", &record.id.to_string(), &record.saved.task).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(Some(ScheduleAdded::Made(Box::new(record))))
    }

    /// Changes what people set of a schedule, what it makes and when it is due; false where it has changed since
    /// `version`, or is gone.
    ///
    /// # Errors
    /// Outages.
    pub async fn schedule_set(&self, to: &ScheduleRecord, version: i64) -> Result<bool, StoreError> {
        let mut values = vec![to.key.into(), version.into()];
        values.extend(settings_values(&to.settings));
        values.extend(saved_values(&to.saved));
        values.extend(times_values(to.times));
        values.push(self.now().0.into());
        self.schedule_change(SET, values, ("schedule.change", to.id)).await
    }

    /// Moves a schedule on without a batch, and says why, if there is a reason; false where somebody else has done so.
    ///
    /// # Errors
    /// Outages.
    pub async fn schedule_settle(
        &self,
        (key, id): (ScheduleKey, ScheduleId),
        version: i64,
        times: ScheduleTimes,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let now: Timestamp = self.now();
        let mut values = vec![key.into(), version.into()];
        values.extend(times_values(times));
        values.extend([reason.map(str::to_owned).into(), now.0.into()]);
        self.with_reserve(|| self.schedule_change(SETTLE, values.clone(), ("schedule.change", id))).await
    }

    /// `act` is for the log, where somebody asked for it.
    async fn schedule_change(
        &self,
        text: &str,
        values: Vec<Value>,
        act: (&str, ScheduleId),
    ) -> Result<bool, StoreError> {
        let tx = self.inner.backend.write().await?;
        let changed = run(&tx, text, values).await? == 1;
        if changed {
            self.sign(&tx, act.0, &act.1.to_string(), "").await?;
        }
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(changed)
    }

    /// Removes a schedule: it makes no batch from the answer on. What it kept goes later, by [`Store::sweep`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn schedule_remove(&self, (key, id): (ScheduleKey, ScheduleId)) -> Result<(), StoreError> {
        let text = "UPDATE schedules SET deleted = TRUE, slot = NULL, once_key = NULL, wake_at = NULL, next_at = NULL, \
             version = version + 1 WHERE id = $1 AND NOT deleted";
        let act = ("schedule.delete", id);
        let removed = self.with_reserve(|| self.schedule_change(text, vec![key.into()], act)).await?;
        if removed { Ok(()) } else { Err(StoreError::NotFound("schedule")) }
    }
}

/// What was made under a key, and the hash of the request that did.
async fn made_under(
    tx: &DatabaseTransaction,
    owner: &str,
    key: &str,
) -> Result<Option<(ScheduleRecord, String)>, StoreError> {
    let values = || vec![owner.into(), key.into()];
    let text = format!("SELECT {COLUMNS}, body FROM schedules WHERE owner = $1 AND once_key = $2");
    let Some(found) = one::<schedules::Model, _>(tx, &text, values()).await? else { return Ok(None) };
    let text = "SELECT once_hash FROM schedules WHERE owner = $1 AND once_key = $2";
    let hash = row(tx, text, values()).await?.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(Some((to_schedule(&found)?, hash.unwrap_or_default())))
}

/// The lowest place of a person that is free.
async fn free_slot(tx: &DatabaseTransaction, owner: &str) -> Result<Option<i64>, StoreError> {
    let text = "SELECT slot FROM schedules WHERE owner = $1 AND slot IS NOT NULL ORDER BY slot";
    let taken = rows(tx, text, vec![owner.into()]).await?;
    let mut free = 1_i64;
    for row in &taken {
        if row.try_get_by_index::<i64>(0)? == free {
            free += 1;
        }
    }
    Ok((free <= i64::from(limits::SCHEDULES_PER_OWNER_MAX)).then_some(free))
}
