//! Schedules looked at, paused, resumed, asked to run, removed.

use super::calendar::Calendar;
use super::save::{moves_too_fast, rest_until};
use super::wire::{ScheduleExtent, to_wire};
use crate::protocol::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::protocol::{ApiError, Schedule, ScheduleId, SchedulePage};
use crate::service::submit::{IdempotencyKey, KeyStanding, Submitted};
use crate::service::{Action, Caller, Service, Target, may};
use crate::store::{BatchKey, RunCause, RunClaim, ScheduleKey, ScheduleRecord, ScheduleTimes};

/// How often a change is tried anew where the schedule moves on meanwhile.
const TRIES: usize = 5;

impl Service {
    /// Schedules, newest first, at most `limit` (100; clamped to 500).
    ///
    /// # Errors
    /// `malformed` for a cursor that no page gave.
    pub async fn schedules(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<SchedulePage, ApiError> {
        may(caller, Action::SeeSchedules, Target::Installation)?;
        let before = cursor.filter(|cursor| !cursor.is_empty()).map(|cursor| {
            cursor
                .parse::<ScheduleKey>()
                .map_err(|_form| ApiError::malformed("cursor: expected what next said."))
        });
        let limit = limit.unwrap_or(PAGE_ROWS_DEFAULT).clamp(1, PAGE_ROWS_MAX);
        let store = &self.parts().store;
        let list = store.schedules(&caller.viewer(), before.transpose()?, limit).await?;
        let keys: Vec<BatchKey> = list.schedules.iter().filter_map(|schedule| schedule.last_batch).collect();
        let (batches, now) = (store.batches_by_keys(&keys).await?, store.now());
        let rows = list.schedules.into_iter();
        Ok(SchedulePage {
            schedules: rows.map(|record| to_wire(record, now, ScheduleExtent::Row, &batches)).collect(),
            next: list.next.map(|key| key.to_string()),
        })
    }

    /// One schedule, whole.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn schedule(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, ApiError> {
        let record = self.schedule_for(caller, Action::SeeSchedule, id).await?;
        self.schedule_wire(caller, record, ScheduleExtent::Whole).await
    }

    /// One schedule as it is after an act, for whoever may act: that they may also look is not asked.
    pub(super) async fn acted_on(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, ApiError> {
        let record = self.schedule_for(caller, Action::ActOnSchedule, id).await?;
        self.schedule_wire(caller, record, ScheduleExtent::Whole).await
    }

    /// Makes no batches by itself from now on; a run that waits is given up. One that is so already stays so.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn pause_schedule(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, ApiError> {
        self.change_schedule(caller, id, "paused a schedule", |record| {
            let changes = !record.settings.paused;
            record.settings.paused = true;
            record.times = ScheduleTimes::default();
            Ok(changes)
        })
        .await
    }

    /// Makes batches again, from the next time on at which it is due: what it was due for meanwhile is not made up for.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn resume_schedule(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, ApiError> {
        let now = self.parts().store.now();
        self.change_schedule(caller, id, "resumed a schedule", |record| {
            if !record.settings.paused {
                return Ok(false);
            }
            let next = Calendar::of(&record.settings)?.next_after(now);
            let next = next.ok_or_else(|| ApiError::invalid("cron: it would never be due."))?;
            record.settings.paused = false;
            record.times = rest_until(next);
            Ok(true)
        })
        .await
    }

    async fn change_schedule(
        &self,
        caller: &Caller,
        id: ScheduleId,
        what: &str,
        change: impl Fn(&mut ScheduleRecord) -> Result<bool, ApiError>,
    ) -> Result<Schedule, ApiError> {
        for _try in 0..TRIES {
            let mut record = self.schedule_for(caller, Action::ActOnSchedule, id).await?;
            let version = record.version;
            if !change(&mut record)? {
                return self.schedule_wire(caller, record, ScheduleExtent::Whole).await;
            }
            if caller.signs(self.parts().store.schedule_set(&record, version)).await? {
                self.schedule_wake.ring();
                tracing::info!(schedule = %id, by = caller.name, "{what}");
                return self.acted_on(caller, id).await;
            }
        }
        Err(moves_too_fast())
    }

    /// Makes a batch now, as its owner, whatever its window says, what still runs, and whether it is paused. When it is due
    /// stays as it is. Under a key it makes one batch, however often it is asked.
    ///
    /// # Errors
    /// `not_found`; `not_allowed`, also where its owner may not submit any more; everything that is said of a submit.
    pub async fn run_schedule_now(
        &self,
        caller: &Caller,
        id: ScheduleId,
        key: Option<IdempotencyKey>,
    ) -> Result<Submitted, ApiError> {
        let record = self.schedule_for(caller, Action::ActOnSchedule, id).await?;
        let claim = RunClaim { schedule: record.key, cause: RunCause::Asked };
        let mut key = match key {
            None => None,
            Some(key) => match self.key_standing(caller, key).await? {
                KeyStanding::Fresh(claimed, hash) => Some((claimed, hash)),
                KeyStanding::Made(batch) => return Ok(Submitted::Replayed(*batch)),
            },
        };
        let made = caller.signs(Box::pin(self.run_schedule(&record, claim, &mut key))).await;
        // Still here where it was refused before.
        if let Some((claimed, _hash)) = key {
            self.parts().engine.free_key(claimed).await;
        }
        let made = made?;
        tracing::info!(schedule = %id, by = caller.name, "asked a schedule to run");
        made.map(Submitted::Created).ok_or_else(|| ApiError::not_found("schedule"))
    }

    /// Removes a schedule. Its batches stay.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn delete_schedule(&self, caller: &Caller, id: ScheduleId) -> Result<(), ApiError> {
        let record = self.schedule_for(caller, Action::ActOnSchedule, id).await?;
        caller.signs(self.parts().store.schedule_remove((record.key, record.id))).await?;
        tracing::info!(schedule = %id, by = caller.name, "removed a schedule");
        Ok(())
    }

    /// The record of a schedule that the caller may do `action` to.
    pub(super) async fn schedule_for(
        &self,
        caller: &Caller,
        action: Action,
        id: ScheduleId,
    ) -> Result<ScheduleRecord, ApiError> {
        let record = self.parts().store.schedule(id).await?;
        may(caller, action, Target::from(&record))?;
        Ok(record)
    }
}
