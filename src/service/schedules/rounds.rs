//! The loop that makes what is due, on every node that serves: they agree by the version of each schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::calendar::Calendar;
use crate::engine::LogLimit;
use crate::protocol::{ApiError, ErrorCode, Overlap, Timestamp};
use crate::service::{Parts, Service};
use crate::store::{RunCause, RunClaim, ScheduleKey, ScheduleRecord, ScheduleTimes};

/// How often it is looked at least, for what other nodes have changed.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// Pause where all that was due was looked at and some of it is due still.
const LOOK_MIN: Duration = Duration::from_millis(50);
/// Schedules looked at in one round; the rest comes with the next, at once.
const DUE_MAX: u32 = 16;
/// Schedules read at once where the clock was set.
const RENEWED_MAX: u32 = 200;
/// How long a run waits before it looks again whether the last batch has finished, in ms.
const OVERLAP_LOOK_MS: i64 = 2_000;
/// How long a run waits that the server could not make, in ms.
const RETRY_MS: i64 = 30_000;
/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 500;

/// Wakes the loop of this node. Cheap to clone.
#[derive(Clone, Default)]
pub struct ScheduleWake(Arc<Notify>);

impl ScheduleWake {
    /// A schedule has changed here.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// What is to be done with a schedule now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is due.
    Rest(ScheduleTimes),
    /// The run that was due then may start, as far as the time of day is concerned.
    Start { due: Timestamp, next_at: Option<Timestamp> },
}

impl Step {
    /// The step of `schedule` at `now`.
    fn of(schedule: &ScheduleTimes, calendar: &Calendar, now: Timestamp) -> Self {
        let passed = schedule.next_at.filter(|next| *next <= now);
        let due = passed.map(|first| calendar.last_due(first, now)).or(schedule.waiting_for);
        let next_at = if passed.is_some() { calendar.next_after(now) } else { schedule.next_at };
        match due {
            None => Self::Rest(ScheduleTimes { next_at, waiting_for: None, wake_at: next_at }),
            Some(due) => match calendar.waits_until(now) {
                Some(opens) => Self::Rest(waiting(due, next_at, opens)),
                None => Self::Start { due, next_at },
            },
        }
    }
}

/// A run waits, to be looked at again at `look`, or when the next is due.
fn waiting(due: Timestamp, next_at: Option<Timestamp>, look: Timestamp) -> ScheduleTimes {
    let wake_at = next_at.map_or(look, |next| next.min(look));
    ScheduleTimes { next_at, waiting_for: Some(due), wake_at: Some(wake_at) }
}

impl Service {
    /// Makes what is due, until `stop`.
    pub async fn schedule_loop(self, stop: CancellationToken) {
        let mut epoch = self.parts().store.clock_epoch();
        loop {
            let pause = match self.schedule_round(&mut epoch).await {
                Ok(pause) => pause,
                Err(outage) => {
                    static LIMIT: LogLimit = LogLimit::once_a_minute();
                    if LIMIT.is_due() {
                        tracing::warn!(%outage, "schedules cannot be looked at");
                    }
                    LOOK_MAX
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.schedule_wake.0.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round; how long to wait until the next.
    async fn schedule_round(&self, epoch: &mut i64) -> Result<Duration, ApiError> {
        let Parts { store, engine, .. } = self.parts();
        // What drains, or has no room, leaves it to others, or to later.
        if engine.unready().is_some() {
            return Ok(LOOK_MAX);
        }
        let found = store.clock_epoch();
        if found != *epoch {
            self.renew_schedules().await?;
            *epoch = found;
        }
        let now = store.now();
        let due = store.schedules_due(now, DUE_MAX).await?;
        let looked_at = due.len();
        for schedule in due {
            self.look_at(&schedule, now).await?;
        }
        if looked_at == DUE_MAX as usize {
            return Ok(LOOK_MIN);
        }
        let Some(next) = store.next_schedule_at().await? else { return Ok(LOOK_MAX) };
        Ok(Duration::from_millis(next.ms_since(store.now())).clamp(LOOK_MIN, LOOK_MAX))
    }

    /// Makes the batch of a schedule that is due, or says why not, or when to look again.
    async fn look_at(&self, schedule: &ScheduleRecord, now: Timestamp) -> Result<(), ApiError> {
        let calendar = match Calendar::of(&schedule.settings) {
            Ok(calendar) => calendar,
            Err(refusal) => {
                return self.settle(schedule, ScheduleTimes::default(), Some(&refusal.detail)).await;
            }
        };
        let (due, next_at) = match Step::of(&schedule.times, &calendar, now) {
            Step::Rest(times) => return self.settle(schedule, times, None).await,
            Step::Start { due, next_at } => (due, next_at),
        };
        let rest = ScheduleTimes { next_at, waiting_for: None, wake_at: next_at };
        if let Some(number) = self.still_runs(schedule).await? {
            return match schedule.settings.overlap {
                Overlap::Skip => {
                    let reason = format!(
                        "The run that was due at {} was left out: batch #{number} had not finished.",
                        calendar.local(due).unwrap_or_else(|| due.to_string())
                    );
                    self.settle(schedule, rest, Some(&reason)).await
                }
                Overlap::Queue => {
                    let look = waiting(due, next_at, now.plus_ms(OVERLAP_LOOK_MS));
                    self.settle(schedule, look, None).await
                }
            };
        }
        let cause = RunCause::Due { at: due, version: schedule.version, after: rest };
        match self.run_schedule(schedule, RunClaim { schedule: schedule.key, cause }, &mut None).await {
            Ok(Some(batch)) => {
                tracing::info!(schedule = %schedule.id, batch = batch.number, "made the batch of a schedule");
                Ok(())
            }
            // Another node was first.
            Ok(None) => Ok(()),
            Err(refusal) if is_outage(&refusal) => {
                let look = waiting(due, next_at, now.plus_ms(RETRY_MS));
                let reason = format!("The run waits: {}", refusal.detail);
                self.settle(schedule, look, Some(&reason)).await
            }
            Err(refusal) => {
                tracing::warn!(schedule = %schedule.id, reason = refusal.detail, "a schedule made no batch");
                self.settle(schedule, rest, Some(&refusal.detail)).await
            }
        }
    }

    /// The number of the batch that the schedule made last, if it has not finished.
    async fn still_runs(&self, schedule: &ScheduleRecord) -> Result<Option<i64>, ApiError> {
        let Some(key) = schedule.last_batch else { return Ok(None) };
        let found = self.parts().store.batches_by_keys(&[key]).await?;
        Ok(found.get(&key).filter(|batch| !batch.state.is_finished()).map(|batch| batch.key))
    }

    async fn settle(
        &self,
        schedule: &ScheduleRecord,
        times: ScheduleTimes,
        reason: Option<&str>,
    ) -> Result<(), ApiError> {
        let reason: Option<String> = reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        let store = &self.parts().store;
        // Where it has changed meanwhile, whoever changed it has said when to look again.
        store
            .schedule_settle((schedule.key, schedule.id), schedule.version, times, reason.as_deref())
            .await?;
        Ok(())
    }

    /// The clock was set: a schedule whose next time lies farther ahead than its pattern says has seen a time that did not
    /// come. One that it has made a batch for is not due again.
    async fn renew_schedules(&self) -> Result<(), ApiError> {
        let store = &self.parts().store;
        let (now, mut after) = (store.now(), ScheduleKey::MIN);
        loop {
            let schedules = store.schedules_waiting(after, RENEWED_MAX).await?;
            let Some(last) = schedules.last() else { return Ok(()) };
            after = last.key;
            for schedule in &schedules {
                let Ok(calendar) = Calendar::of(&schedule.settings) else { continue };
                let mut next = calendar.next_after(now);
                if next == schedule.last_due_at {
                    next = next.and_then(|made| calendar.next_after(made));
                }
                let ahead = schedule.times.next_at.zip(next).is_some_and(|(stored, next)| stored > next);
                if ahead && schedule.times.waiting_for.is_none() {
                    let times = ScheduleTimes { next_at: next, waiting_for: None, wake_at: next };
                    self.settle(schedule, times, None).await?;
                }
            }
        }
    }
}

/// True where the server is at fault, and the run may be made later.
fn is_outage(refusal: &ApiError) -> bool {
    matches!(refusal.code, ErrorCode::Busy | ErrorCode::DiskFull | ErrorCode::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nightly() -> Calendar {
        let window = serde_json::from_str(r#"{"from":"22:00","until":"06:00"}"#).unwrap();
        Calendar::read("@hourly", None, Some(window)).unwrap()
    }

    #[test]
    fn what_was_missed_is_one_run_and_the_newest_waits() {
        let daily = Calendar::read("0 3 * * *", None, None).unwrap();
        let next_at = Some(at("2026-01-01T03:00:00Z"));
        let times = ScheduleTimes { next_at, waiting_for: None, wake_at: next_at };
        let step = Step::of(&times, &daily, at("2026-01-05T12:00:00Z"));
        let due = at("2026-01-05T03:00:00Z");
        assert_eq!(step, Step::Start { due, next_at: Some(at("2026-01-06T03:00:00Z")) });
        // Too early, where the clock was set back.
        let step = Step::of(&times, &daily, at("2026-01-01T02:59:59Z"));
        assert_eq!(step, Step::Rest(times));

        // At nine in the morning a run waits for the evening; at ten the next one takes its place.
        let next_at = Some(at("2026-01-01T09:00:00Z"));
        let times = ScheduleTimes { next_at, waiting_for: None, wake_at: next_at };
        let Step::Rest(times) = Step::of(&times, &nightly(), at("2026-01-01T09:00:01Z")) else {
            panic!("the window is closed")
        };
        assert_eq!(times.waiting_for, Some(at("2026-01-01T09:00:00Z")));
        assert_eq!((times.next_at, times.wake_at), (Some(at("2026-01-01T10:00:00Z")), times.next_at));
        let Step::Rest(times) = Step::of(&times, &nightly(), at("2026-01-01T21:00:01Z")) else {
            panic!("the window is closed")
        };
        assert_eq!(times.waiting_for, Some(at("2026-01-01T21:00:00Z")));
        assert_eq!(times.wake_at, Some(at("2026-01-01T22:00:00Z")));
        // The window opens when another one is due: that is the one run.
        let step = Step::of(&times, &nightly(), at("2026-01-01T22:00:00Z"));
        let due = at("2026-01-01T22:00:00Z");
        assert_eq!(step, Step::Start { due, next_at: Some(at("2026-01-01T23:00:00Z")) });
    }
}
