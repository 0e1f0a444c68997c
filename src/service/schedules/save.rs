//! Schedules made and changed: everything is checked that a run would find wrong.

use super::addresses::without_addresses;
use super::calendar::Calendar;
use super::saved::{ReadBatch, SavedItems};
use super::wire::ScheduleExtent;
use crate::engine::ScheduledItems;
use crate::protocol::limits::{
    NAME_CHARS_MAX, SCHEDULE_FILES_MAX, SCHEDULE_ITEMS_MAX, SCHEDULES_PER_OWNER_MAX,
};
use crate::protocol::text::is_unseen;
use crate::protocol::{
    ApiError, BatchId, ErrorCode, InputKind, Json, NewSchedule, Options, Schedule, ScheduleId, SchedulePatch,
    SchedulePreview, ScheduleTiming, Timestamp,
};
use crate::service::submit::{IdempotencyKey, mismatch};
use crate::service::{Action, Caller, Service, Target, may};
use crate::store::{
    BatchKey, BatchRecord, CreateSchedule, SavedBatch, ScheduleAdded, ScheduleRecord, ScheduleSettings,
    ScheduleTimes, Source,
};

/// How often a change is tried anew where the schedule moves on meanwhile.
const TRIES: usize = 5;

/// A batch that is to be saved, and whose inputs are to be kept for it.
struct Checked {
    saved: SavedBatch,
    /// Its title.
    name: String,
    inputs_of: Option<BatchKey>,
}

/// The key under which a schedule is asked for, and the whole of that request.
pub struct ScheduleOnce<'a> {
    /// The key.
    pub key: IdempotencyKey,
    /// The body, as it came.
    pub body: &'a [u8],
}

/// What became of a request for a schedule.
pub enum SavedSchedule {
    /// A new one.
    Made(Schedule),
    /// The one that the same key has made before.
    Before(Schedule),
}

impl Service {
    /// Makes a schedule of the caller's.
    ///
    /// # Errors
    /// `not_allowed`; `invalid` for a pattern, zone or window that is none, a pattern that is never due, or one schedule too
    /// many; `idempotency_mismatch`; everything that is said of a submit for its batch.
    pub async fn create_schedule(
        &self,
        caller: &Caller,
        new: NewSchedule,
        once: Option<ScheduleOnce<'_>>,
    ) -> Result<SavedSchedule, ApiError> {
        may(caller, Action::SaveSchedule, Target::Installation)?;
        let calendar = Calendar::read(&new.cron, new.time_zone.as_deref(), new.window)?;
        let name = new.name.as_deref().map(title).transpose()?;
        let now = self.parts().store.now();
        let (calendar, next_at) = first_due(calendar, now).await?;
        let checked = match (&new.batch, new.from_batch) {
            (Some(body), None) => self.check_body(caller, name.as_deref(), body).await?,
            (None, Some(batch)) => self.check_source(caller, name.as_deref(), batch).await?,
            (None, None) | (Some(_), Some(_)) => {
                return Err(ApiError::invalid("Expected either batch or from_batch: what is to be made."));
            }
        };
        let times = if new.paused { ScheduleTimes::default() } else { rest_until(next_at) };
        let create = CreateSchedule {
            id: ScheduleId::from_u128(uuid::Uuid::now_v7().as_u128()),
            owner: caller.name.clone(),
            settings: ScheduleSettings {
                name: name.unwrap_or(checked.name),
                cron: new.cron.trim().to_owned(),
                time_zone: calendar.zone_name(),
                window: new.window,
                overlap: new.overlap,
                paused: new.paused,
            },
            saved: checked.saved,
            times,
            inputs_of: checked.inputs_of,
            once: once.map(|once| once.key.with_body(once.body)),
        };
        let added = caller.signs(self.parts().store.schedule_add(&create)).await;
        match added.map_err(ApiError::from).map_err(no_source)? {
            ScheduleAdded::Made(made) => {
                self.schedule_wake.ring();
                tracing::info!(schedule = %made.id, by = caller.name, "made a schedule");
                self.schedule_wire(caller, *made, ScheduleExtent::Whole).await.map(SavedSchedule::Made)
            }
            ScheduleAdded::Before(before) => {
                self.schedule_wire(caller, *before, ScheduleExtent::Whole).await.map(SavedSchedule::Before)
            }
            ScheduleAdded::KeyTaken => Err(mismatch()),
            ScheduleAdded::Full => {
                let most = SCHEDULES_PER_OWNER_MAX;
                let detail = format!("{} has {most} schedules already, and more may not be.", caller.name);
                Err(ApiError::invalid(detail))
            }
        }
    }

    /// Changes a schedule. One whose times change waits for the first of the new ones.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`; else as for [`Service::create_schedule`].
    pub async fn patch_schedule(
        &self,
        caller: &Caller,
        id: ScheduleId,
        patch: &SchedulePatch,
    ) -> Result<Schedule, ApiError> {
        for _try in 0..TRIES {
            let read = self.schedule_for(caller, Action::ActOnSchedule, id).await?;
            let version = read.version;
            let changed = self.patched(read, patch).await?;
            if caller.signs(self.parts().store.schedule_set(&changed, version)).await? {
                self.schedule_wake.ring();
                tracing::info!(schedule = %id, by = caller.name, "changed a schedule");
                return self.acted_on(caller, id).await;
            }
        }
        Err(moves_too_fast())
    }

    async fn patched(
        &self,
        mut record: ScheduleRecord,
        patch: &SchedulePatch,
    ) -> Result<ScheduleRecord, ApiError> {
        let settings = &mut record.settings;
        if let Some(name) = &patch.name {
            settings.name = title(name)?;
        }
        if let Some(overlap) = patch.overlap {
            settings.overlap = overlap;
        }
        if let Some(body) = &patch.batch {
            let owner = self.acting_for(&record.owner).await?;
            let kept = SavedItems::of(&record.saved);
            let ReadBatch { checked, items } =
                self.read_saved(&owner, Some(&settings.name), body, kept).await?;
            record.saved = SavedBatch {
                private: checked.is_private(),
                task: checked.task().to_owned(),
                items: items.count(),
                body: body.clone(),
                ..record.saved
            };
        }
        if patch.cron.is_some() || patch.time_zone.is_some() || patch.window.is_some() {
            let window = patch.window.unwrap_or(settings.window);
            let cron = patch.cron.as_deref().unwrap_or(&settings.cron).trim().to_owned();
            let zone = patch.time_zone.as_deref().unwrap_or(&settings.time_zone);
            let calendar = Calendar::read(&cron, Some(zone), window)?;
            let (calendar, next_at) = first_due(calendar, self.parts().store.now()).await?;
            (settings.cron, settings.window, settings.time_zone) = (cron, window, calendar.zone_name());
            if !settings.paused {
                record.times = rest_until(next_at);
            }
        }
        Ok(record)
    }

    /// When something would be due.
    ///
    /// # Errors
    /// `not_allowed`; `invalid` for a pattern or zone that is none, and a pattern that is never due.
    pub async fn preview_schedule(
        &self,
        caller: &Caller,
        timing: &ScheduleTiming,
    ) -> Result<SchedulePreview, ApiError> {
        may(caller, Action::SeeSchedules, Target::Installation)?;
        let calendar = Calendar::read(&timing.cron, timing.time_zone.as_deref(), None)?;
        let now = self.parts().store.now();
        let (calendar, _next) = first_due(calendar, now).await?;
        let next = calendar.upcoming(now);
        Ok(SchedulePreview {
            in_words: calendar.in_words(),
            next_local: next.iter().filter_map(|at| calendar.local(*at)).collect(),
            next,
        })
    }

    async fn check_body(
        &self,
        caller: &Caller,
        name: Option<&str>,
        body: &Json,
    ) -> Result<Checked, ApiError> {
        let ReadBatch { checked, items } = self.read_saved(caller, name, body, SavedItems::Own).await?;
        let saved = SavedBatch {
            private: checked.is_private(),
            task: checked.task().to_owned(),
            items: items.count(),
            body: body.clone(),
            columns: Vec::new(),
            from_batch: None,
        };
        Ok(Checked { saved, name: checked.name().to_owned(), inputs_of: None })
    }

    /// A batch that is to be made again: what was asked of it, but for what belongs to that one time.
    async fn check_source(
        &self,
        caller: &Caller,
        name: Option<&str>,
        id: BatchId,
    ) -> Result<Checked, ApiError> {
        let source = self.visible(caller, id).await.map_err(no_source)?;
        if !source.sealed {
            let detail = "from_batch: more items may come to this batch; seal it first.";
            return Err(ApiError::new(ErrorCode::WrongState, detail));
        }
        let most = if source.input == InputKind::File { SCHEDULE_FILES_MAX } else { SCHEDULE_ITEMS_MAX };
        if source.total > most {
            let detail = format!("from_batch: a schedule keeps {most} items of this kind at most.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let generated = source.source == Source::Generated;
        let mut body = body_of(&source);
        // What may be a secret of its owner is not handed on.
        if may(caller, Action::UseWebhooks, Target::from(&source)).is_err() {
            body = without_addresses(&body, None);
        }
        let kept = SavedItems::Kept { count: source.total, columns: &source.columns };
        let items = if generated { SavedItems::Own } else { kept };
        let ReadBatch { checked, items } = self.read_saved(caller, name, &body, items).await?;
        let kept = matches!(items, ScheduledItems::Kept { .. });
        let saved = SavedBatch {
            private: checked.is_private(),
            task: checked.task().to_owned(),
            items: items.count(),
            body,
            columns: if kept { source.columns.clone() } else { Vec::new() },
            from_batch: kept.then_some(source.id),
        };
        Ok(Checked { saved, name: source.name.clone(), inputs_of: kept.then_some(source.key) })
    }
}

/// The body of a create that asks for the same again.
fn body_of(source: &BatchRecord) -> Json {
    let options = Options {
        open: false,
        idle_seconds: None,
        expected: None,
        start_at: None,
        parent: None,
        ..source.options.clone()
    };
    let options = serde_json::to_string(&options).expect("options always print");
    let member = |name: &str, value: Json| (name.to_owned(), value);
    let mut members = vec![
        member("task", Json::string(&source.task)),
        member("params", source.params.clone()),
        member("options", Json::parse(&options).expect("options print as JSON")),
    ];
    if source.source == Source::Generated {
        let count = Json::object([("count".to_owned(), Json::number(source.total))]);
        members.push(member("items", count));
    }
    Json::object(members)
}

/// Checks a title; answers it without the blanks around it.
fn title(given: &str) -> Result<String, ApiError> {
    let name = given.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(is_unseen) {
        return Err(ApiError::invalid(format!(
            "name: expected one line of 1 to {NAME_CHARS_MAX} characters that can be seen."
        )));
    }
    Ok(name.to_owned())
}

/// When it is due first. A pattern that never is takes long to find out, so others go on meanwhile.
async fn first_due(calendar: Calendar, now: Timestamp) -> Result<(Calendar, Timestamp), ApiError> {
    let looked = tokio::task::spawn_blocking(move || {
        let next = calendar.next_after(now);
        (calendar, next)
    });
    let (calendar, next) = looked.await.map_err(|fault| crate::service::error::internal(&fault))?;
    let never = || ApiError::invalid("cron: there is no such day: it would never be due.");
    Ok((calendar, next.ok_or_else(never)?))
}

/// A batch that is to be made again is named by the body: where it is not there, that is at fault.
fn no_source(error: ApiError) -> ApiError {
    match error.code {
        ErrorCode::NotFound => {
            ApiError::invalid("from_batch: there is no such batch, or it is not visible to you.")
        }
        _ => error,
    }
}

/// Nothing waits, and it is looked at when it is due.
pub fn rest_until(next_at: Timestamp) -> ScheduleTimes {
    ScheduleTimes { next_at: Some(next_at), waiting_for: None, wake_at: Some(next_at) }
}

/// The refusal of a change that others are always ahead of.
pub fn moves_too_fast() -> ApiError {
    let mut refusal = ApiError::new(ErrorCode::Busy, "Others change this schedule; try again.");
    refusal.retry_after_seconds = Some(1);
    refusal
}
