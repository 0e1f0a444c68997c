//! From the row of a schedule to its record.

use crate::protocol::{Json, Overlap, RunWindow, TimeOfDay, Timestamp};
use crate::store::backend::count;
use crate::store::entity::schedules;
use crate::store::error::StoreError;
use crate::store::records::{SavedBatch, ScheduleRecord, ScheduleSettings, ScheduleTimes};

/// Columns of a row as [`schedules::Model`] has them, but the body.
pub const COLUMNS: &str = "id, uuid, name, owner, private, cron, time_zone, window_from, window_until, overlap, paused, \
     task, items, columns, from_batch, next_at, waiting_for, wake_at, last_due_at, last_batch, last_error, \
     last_error_at, version, created_at, updated_at";

/// Reads a row of the table as a record.
pub fn to_schedule(row: &schedules::Model) -> Result<ScheduleRecord, StoreError> {
    let broken = |what: &str| StoreError::Invariant(format!("schedule {}: {what} is not readable", row.id));
    let time_of_day = |minute: i64| {
        let time = u16::try_from(minute).ok().and_then(TimeOfDay::from_minute);
        time.ok_or_else(|| broken("window"))
    };
    let window = match (row.window_from, row.window_until) {
        (Some(from), Some(until)) => Some(RunWindow { from: time_of_day(from)?, until: time_of_day(until)? }),
        (None, _) | (_, None) => None,
    };
    let from_batch = row.from_batch.as_deref().map(str::parse).transpose();
    Ok(ScheduleRecord {
        key: row.id,
        id: row.uuid.parse().map_err(|_form| broken("uuid"))?,
        owner: row.owner.clone(),
        settings: ScheduleSettings {
            name: row.name.clone(),
            cron: row.cron.clone(),
            time_zone: row.time_zone.clone(),
            window,
            overlap: Overlap::parse(&row.overlap).ok_or_else(|| broken("overlap"))?,
            paused: row.paused,
        },
        saved: SavedBatch {
            private: row.private,
            task: row.task.clone(),
            items: count(row.items)?,
            body: match row.body.as_str() {
                "" => Json::default(),
                body => Json::parse(body).map_err(|_form| broken("body"))?,
            },
            columns: serde_json::from_str(&row.columns).map_err(|_form| broken("columns"))?,
            from_batch: from_batch.map_err(|_form| broken("from_batch"))?,
        },
        times: ScheduleTimes {
            next_at: row.next_at.map(Timestamp),
            waiting_for: row.waiting_for.map(Timestamp),
            wake_at: row.wake_at.map(Timestamp),
        },
        last_due_at: row.last_due_at.map(Timestamp),
        last_batch: row.last_batch,
        last_error: row.last_error.clone(),
        last_error_at: row.last_error_at.map(Timestamp),
        version: row.version,
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
    })
}
