//! Schedules: a saved batch and when it is to be made, again and again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::ids::{BatchId, ParseError, ScheduleId};
use super::json::{Json, object_or_none};
use super::state::BatchState;
use super::time::Timestamp;

/// A schedule as everybody sees it who may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Schedule {
    /// Its name for programs.
    pub id: ScheduleId,
    /// Title; batches whose body names none take it.
    pub name: String,
    /// Name of the person, or `token:NAME`. Its batches are theirs.
    pub owner: String,
    /// When it is due: five fields, or a word such as `@daily`.
    pub cron: String,
    /// The time zone of `cron` and `window`, by its IANA name.
    pub time_zone: String,
    /// `cron` in words.
    pub in_words: String,
    /// The part of the day in which runs may start; none = any time.
    pub window: Option<RunWindow>,
    /// What becomes of a run that is due while the batch of the last one has not finished.
    pub overlap: Overlap,
    /// True while it makes no batches by itself.
    pub paused: bool,
    /// Name of the task.
    pub task: String,
    /// Items of one batch.
    pub items: u64,
    /// The saved batch: a body of `POST /batches`, without items where they are those of `from_batch`. None in lists.
    #[cfg_attr(feature = "ssr", schemars(with = "Option<serde_json::Map<String, serde_json::Value>>"))]
    pub batch: Option<Json>,
    /// The batch whose items its batches run over; it may be gone.
    pub from_batch: Option<BatchId>,
    /// When it is due next; none while it is paused.
    pub next_at: Option<Timestamp>,
    /// The next times at which it is due, five at most. None in lists and while it is paused.
    pub next: Vec<Timestamp>,
    /// `next_at` by the clock of its time zone, with the offset: RFC 3339.
    pub next_local: Option<String>,
    /// When the run was due that waits for its window, for the last batch to finish, or for the server.
    pub waiting_for: Option<Timestamp>,
    /// When the last run was due that made a batch by itself.
    pub last_due_at: Option<Timestamp>,
    /// The batch that it made last, by itself or asked to; none where that is deleted.
    pub last_batch: Option<ScheduledBatch>,
    /// Why the last run that was due did not make a batch, or not yet: a sentence. None once one has.
    pub last_error: Option<String>,
    /// When that was found.
    pub last_error_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
}

/// A batch that a schedule made, by what people know it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ScheduledBatch {
    /// Its name for programs.
    pub id: BatchId,
    /// Its name for people.
    pub number: u64,
    /// Where it stands.
    pub state: BatchState,
}

/// What becomes of a run that is due while the batch of the last one has not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits until that has finished. Of several that wait the newest does.
    Queue,
}

impl Overlap {
    /// Every word.
    pub const ALL: [Self; 2] = [Self::Skip, Self::Queue];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }

    /// From the word on the wire.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == word)
    }
}

/// What a page asks of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleAct {
    /// Makes no batches by itself.
    Pause,
    /// Makes them again.
    Resume,
    /// Makes one now.
    Run,
    /// Goes.
    Delete,
}

/// A part of each day. One whose end comes before its begin goes on over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunWindow {
    /// When it begins.
    pub from: TimeOfDay,
    /// When it has ended: a run may not start at this time any more.
    pub until: TimeOfDay,
}

/// A time of day on the wall, as `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// The minute of the day, from 0; none from 1,440 on.
    #[must_use]
    pub fn from_minute(minute: u16) -> Option<Self> {
        (minute < 24 * 60).then_some(Self(minute))
    }

    /// The minute of the day, from 0.
    #[must_use]
    pub fn minute(self) -> u16 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let two_digits = |text: &str| {
            (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse::<u16>().ok())
                .flatten()
        };
        let time = text.split_once(':').and_then(|(hour, minute)| {
            let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
            (hour < 24 && minute < 60).then_some(Self(hour * 60 + minute))
        });
        time.ok_or(ParseError { expected: "a time of day from 00:00 to 23:59" })
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A schedule to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// Title, up to 200 characters; by default that of the batch, or of its task.
    #[cfg_attr(feature = "ssr", schemars(length(max = 200)))]
    pub name: Option<String>,
    /// When it is due: minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`.
    pub cron: String,
    /// The time zone of `cron` and `window`, by its IANA name; UTC.
    pub time_zone: Option<String>,
    /// The batch to make: a body of `POST /batches`. This or `from_batch`.
    #[cfg_attr(feature = "ssr", schemars(with = "Option<serde_json::Map<String, serde_json::Value>>"))]
    pub batch: Option<Json>,
    /// A batch to make again: its task, parameters, options and items, files among them, which are kept for it.
    pub from_batch: Option<BatchId>,
    /// The part of the day in which runs may start; any time.
    #[serde(default, deserialize_with = "object_or_none")]
    pub window: Option<RunWindow>,
    /// What becomes of a run that is due while the batch of the last one has not finished.
    #[serde(default)]
    pub overlap: Overlap,
    /// True where it is to make no batches by itself for now.
    #[serde(default)]
    pub paused: bool,
}

/// Changes to a schedule. A missing member changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SchedulePatch {
    /// New title.
    #[cfg_attr(feature = "ssr", schemars(length(max = 200)))]
    pub name: Option<String>,
    /// When it is due.
    pub cron: Option<String>,
    /// The time zone, by its IANA name.
    pub time_zone: Option<String>,
    /// The batch to make. Without items where they are those of another batch, which stay.
    #[cfg_attr(feature = "ssr", schemars(with = "Option<serde_json::Map<String, serde_json::Value>>"))]
    pub batch: Option<Json>,
    /// The part of the day in which runs may start; null = any time.
    #[serde(deserialize_with = "given_or_null", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ssr", schemars(with = "Option<RunWindow>"))]
    pub window: Option<Option<RunWindow>>,
    /// What becomes of a run that is due while the batch of the last one has not finished.
    pub overlap: Option<Overlap>,
}

/// Tells a member that is null from one that is missing.
fn given_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<RunWindow>>, D::Error> {
    object_or_none(deserializer).map(Some)
}

/// When something would be due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleTiming {
    /// As in a schedule.
    pub cron: String,
    /// As in a schedule; UTC.
    pub time_zone: Option<String>,
}

/// What [`ScheduleTiming`] comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SchedulePreview {
    /// The pattern in words.
    pub in_words: String,
    /// The next times at which it is due, five at most.
    pub next: Vec<Timestamp>,
    /// The same by the clock of the time zone, with the offset: RFC 3339.
    pub next_local: Vec<String>,
}

/// One page of schedules, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// Cursor of the next page, none at the end.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_print_what_they_parse() {
        for text in ["00:00", "09:05", "23:59"] {
            assert_eq!(text.parse::<TimeOfDay>().unwrap().to_string(), text);
        }
        for bad in ["", "9:05", "24:00", "12:60", "12", "12:5", "+1:00", "12:00:00", "１２:00"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_window_that_is_null_is_told_from_one_that_is_missing() {
        let read = |text: &str| serde_json::from_str::<SchedulePatch>(text).map(|patch| patch.window);
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"window":null}"#).unwrap(), Some(None));
        let window = read(r#"{"window":{"from":"22:00","until":"06:00"}}"#).unwrap().flatten().unwrap();
        assert_eq!((window.from.minute(), window.until.minute()), (1_320, 360));
        assert!(read(r#"{"window":["22:00","06:00"]}"#).is_err());
        assert!(read(r#"{"window":{"from":"22:00"}}"#).is_err());
    }
}
