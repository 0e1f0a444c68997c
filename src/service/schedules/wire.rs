//! A schedule as its readers see it.

use std::collections::HashMap;

use super::addresses::{MASK, without_addresses};
use super::calendar::Calendar;
use crate::protocol::{ApiError, Schedule, ScheduledBatch, Timestamp};
use crate::service::{Action, Caller, Service, Target, may};
use crate::store::{BatchKey, BatchRecord, ScheduleRecord};

/// How much of a schedule is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleExtent {
    /// Without its body and its runs to come: in a list.
    Row,
    /// All of it.
    Whole,
}

/// As its readers see it; `batches` are those that there are, by their keys.
pub fn to_wire(
    record: ScheduleRecord,
    now: Timestamp,
    extent: ScheduleExtent,
    batches: &HashMap<BatchKey, BatchRecord>,
) -> Schedule {
    // A zone that the database no longer has leaves the rest as it is.
    let calendar = Calendar::of(&record.settings).ok();
    let last = record.last_batch.and_then(|key| batches.get(&key));
    let whole = extent == ScheduleExtent::Whole;
    let next = match &calendar {
        Some(calendar) if whole && !record.settings.paused => calendar.upcoming(now),
        Some(_) | None => Vec::new(),
    };
    Schedule {
        id: record.id,
        name: record.settings.name,
        owner: record.owner,
        in_words: calendar.as_ref().map(Calendar::in_words).unwrap_or_default(),
        next_local: record
            .times
            .next_at
            .and_then(|at| calendar.as_ref().and_then(|calendar| calendar.local(at))),
        cron: record.settings.cron,
        time_zone: record.settings.time_zone,
        window: record.settings.window,
        overlap: record.settings.overlap,
        paused: record.settings.paused,
        task: record.saved.task,
        items: record.saved.items,
        batch: whole.then_some(record.saved.body),
        from_batch: record.saved.from_batch,
        next_at: record.times.next_at,
        next,
        waiting_for: record.times.waiting_for,
        last_due_at: record.last_due_at,
        last_batch: last.map(|batch| ScheduledBatch {
            id: batch.id,
            number: u64::try_from(batch.key).expect("keys count up from 1"),
            state: batch.state,
        }),
        last_error: record.last_error,
        last_error_at: record.last_error_at,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

impl Service {
    /// One schedule as `caller`, who may see it, does.
    pub(super) async fn schedule_wire(
        &self,
        caller: &Caller,
        mut record: ScheduleRecord,
        extent: ScheduleExtent,
    ) -> Result<Schedule, ApiError> {
        if may(caller, Action::ActOnSchedule, Target::from(&record)).is_err() {
            record.saved.body = without_addresses(&record.saved.body, Some(MASK));
        }
        let store = &self.parts().store;
        let keys: Vec<BatchKey> = record.last_batch.into_iter().collect();
        let batches = store.batches_by_keys(&keys).await?;
        Ok(to_wire(record, store.now(), extent, &batches))
    }
}
