//! A batch as everybody sees it, and what is asked when one is made.
//!
//! `pending + running + retrying + succeeded + failed + cancelled = total` in every [`Batch`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{BatchId, FamilyId, Rev, ScheduleId, Seq};
use super::json::{Json, object_or_none};
use super::letter_case::lower_case;
use super::retry::BatchRetry;
use super::state::{BatchAct, BatchState, ItemState};
use super::time::Timestamp;

/// One batch: what was asked, where it stands, how fast it goes. All counts are committed state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Batch {
    /// Its name for programs.
    pub id: BatchId,
    /// Its name for people: counts up from 1 on one installation.
    pub number: u64,
    /// Title, by the submitter or made from the input.
    pub name: String,
    /// Name of the task.
    pub task: String,
    /// Parameters of the task, as validated.
    #[cfg_attr(feature = "ssr", schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    pub params: Json,
    /// Name of the person, or `token:NAME`.
    pub owner: String,
    /// The batch it came from, as `options.parent` said; none otherwise.
    pub parent: Option<BatchId>,
    /// The schedule that made it; none otherwise. It may be gone.
    pub schedule: Option<ScheduleId>,
    /// Where it stands.
    pub state: BatchState,
    /// Why it is paused, cancelled or closed early: a stable word or a sentence; none otherwise.
    pub reason: Option<String>,
    /// True once no more items can come.
    pub sealed: bool,
    /// Items that are to come in all, as `options.expected` said; none where nothing was said.
    pub expected: Option<u64>,
    /// Grows with every committed change.
    pub rev: Rev,
    /// Items so far.
    pub total: u64,
    /// Items that have not started.
    pub pending: u64,
    /// Items in slots, as of their node's last commit.
    pub running: u64,
    /// Items that wait for another attempt.
    pub retrying: u64,
    /// Items that ended well.
    pub succeeded: u64,
    /// Items that ended badly.
    pub failed: u64,
    /// Items ended by a cancel.
    pub cancelled: u64,
    /// Items ended per second over the last seconds; none while there is no ground for a figure.
    pub rate_per_s: Option<f64>,
    /// From when to when it may be done, in milliseconds from now; none while there is no ground.
    pub eta_ms: Option<(u64, u64)>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it is to start, while it is `scheduled`; none otherwise.
    pub start_at: Option<Timestamp>,
    /// When its first item was handed out.
    pub started_at: Option<Timestamp>,
    /// When its last item ended.
    pub finished_at: Option<Timestamp>,
    /// Milliseconds that it stood finished before a retry opened it again: it took from `started_at` to `finished_at` without
    /// these.
    pub rested_ms: u64,
    /// The last retry that somebody asked for; none before the first.
    pub retry: Option<BatchRetry>,
}

impl Batch {
    /// The reason of an upload that was sealed because nothing came any more.
    pub const UPLOAD_STOPPED: &str = "upload_stopped";

    /// Items whose end is recorded.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }

    /// Milliseconds from its first start to its last end, without those that it stood finished; none before its end.
    #[must_use]
    pub fn took_ms(&self) -> Option<u64> {
        let (started, finished) = self.started_at.zip(self.finished_at)?;
        Some(finished.ms_since(started).saturating_sub(self.rested_ms))
    }

    /// The same without what its submitter said of it, but for the title: parameters, owner, where it came from, who retried it, and
    /// a reason that is more than one of the installation's own words.
    #[must_use]
    pub fn progress(self) -> Self {
        let own_word = |reason: &String| reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        Self {
            params: Json::parse("{}").unwrap_or_default(),
            owner: String::new(),
            parent: None,
            schedule: None,
            reason: self.reason.filter(own_word),
            retry: self.retry.map(|retry| BatchRetry { by: String::new(), ..retry }),
            ..self
        }
    }

    /// Count of items in `state`.
    #[must_use]
    pub fn count(&self, state: ItemState) -> u64 {
        match state {
            ItemState::Pending => self.pending,
            ItemState::Running => self.running,
            ItemState::Retrying => self.retrying,
            ItemState::Succeeded => self.succeeded,
            ItemState::Failed => self.failed,
            ItemState::Cancelled => self.cancelled,
        }
    }
}

/// Pause by itself when too much fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Percent of ended items that may fail, looked at from 100 ended on. Above 0, at most 100.
    #[cfg_attr(feature = "ssr", schemars(range(max = 100.0), extend("exclusiveMinimum" = 0)))]
    pub failed_percent: Option<f64>,
    /// How many failures in a row, in recorded order. At least 1.
    #[cfg_attr(feature = "ssr", schemars(range(min = 1)))]
    pub failed_in_a_row: Option<u64>,
}

/// How a batch is run. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Higher first; 0.
    pub priority: i32,
    /// Attempts per item, 1 to 100; by default the engine's.
    #[cfg_attr(feature = "ssr", schemars(range(min = 1, max = 100)))]
    pub attempts_max: Option<u32>,
    /// Time limit of one attempt, in seconds (fractions allowed); by default the task's.
    pub timeout_seconds: Option<f64>,
    /// Items of this batch in slots at once; by default no limit of its own.
    #[cfg_attr(feature = "ssr", schemars(range(min = 1)))]
    pub concurrency: Option<u32>,
    /// Items handed out per second; by default no limit.
    pub rate_per_s: Option<f64>,
    /// More items may be appended until it is sealed.
    pub open: bool,
    /// Seconds after which an open batch to which nothing was added ends cancelled, 1 to 604,800; by default it waits
    /// until it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ssr", schemars(range(min = 1, max = 604_800)))]
    pub idle_seconds: Option<u64>,
    /// Items that are to come to an open batch, as far as whoever makes it knows: an upload with an end. Where nothing is
    /// added to it for `idle_seconds`, by default the installation's `limits.upload_idle_seconds`, it is sealed, and what
    /// came is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ssr", schemars(range(min = 1)))]
    pub expected: Option<u64>,
    /// Run only so many items, then pause.
    pub try_first: Option<u64>,
    /// Pause by itself when too much fails.
    #[serde(deserialize_with = "object_or_none")]
    pub budget: Option<Budget>,
    /// Hand out nothing before.
    pub start_at: Option<Timestamp>,
    /// A batch to submit at the end: a body of `POST /batches`, with `on`.
    pub then: Option<Json>,
    /// An address of `http` or `https` that is told of the end by POST, in at most 2,000 bytes.
    pub webhook: Option<String>,
    /// Seen by its owner and admins only.
    pub private: bool,
    /// The batch from whose results its items come, such as failed rows once they are mended. Its submitter must see it.
    pub parent: Option<BatchId>,
    /// Base of the delay between attempts, in milliseconds; 1,000.
    pub retry_base_ms: Option<u64>,
    /// Longest delay between attempts, in milliseconds; 300,000.
    pub retry_max_ms: Option<u64>,
}

/// What to run, before the items: the part of a create that all kinds of bodies share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewBatch {
    /// Name of the task.
    pub task: String,
    /// Title; by default made from the input.
    pub name: Option<String>,
    /// Parameters of the task: an object; by default empty.
    pub params: Option<Json>,
    /// How to run it.
    pub options: Options,
}

/// Changes to a batch that is there. A missing member changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BatchPatch {
    /// New title.
    #[cfg_attr(feature = "ssr", schemars(length(max = 200)))]
    pub name: Option<String>,
    /// Items in slots at once, at least 1.
    #[cfg_attr(feature = "ssr", schemars(range(min = 1)))]
    pub concurrency: Option<u32>,
    /// Higher first.
    pub priority: Option<i32>,
}

/// Which items a retry takes: by default all failed ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetryRequest {
    /// Only failures of this family.
    pub family: Option<FamilyId>,
    /// Only these items.
    #[cfg_attr(feature = "ssr", schemars(length(max = 10_000)))]
    pub seqs: Option<Vec<Seq>>,
    /// Items in these states (`failed`, `cancelled`).
    pub states: Option<Vec<ItemState>>,
}

/// How a cancel treats the items that run: by default they are stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CancelRequest {
    /// What becomes of them.
    pub running: Running,
}

/// What becomes of the items that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// They are stopped and end cancelled.
    #[default]
    Stop,
    /// They end as they will; nothing else starts.
    Finish,
}

/// At which end a follow-up batch is made; never after a cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThenOn {
    /// All items ended well.
    #[default]
    Succeeded,
    /// All items ended, well or badly.
    Finished,
}

/// One page of batches, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BatchPage {
    /// The batches.
    pub batches: Vec<Batch>,
    /// Cursor of the next page, none at the end.
    pub next: Option<String>,
    /// For pages only: the course of each, in their order, as the figures of its bars, oldest first. Empty of what is not
    /// under way, or of which nothing has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "ssr", schemars(skip))]
    pub sparks: Vec<String>,
}

/// Which batches to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchQuery {
    /// `active`, `finished`, or one state; empty = all.
    pub state: Option<String>,
    /// Name of a task.
    pub task: Option<String>,
    /// Name of an owner.
    pub owner: Option<String>,
    /// Part of the name, or `#number`.
    pub q: Option<String>,
    /// The batch they came from.
    pub parent: Option<BatchId>,
    /// From the page before.
    pub cursor: Option<String>,
    /// How many, 100; clamped to 500.
    pub limit: Option<u32>,
}

impl BatchQuery {
    /// True where a batch that came just now would stand on the list: on its first page, and by its filter.
    #[must_use]
    pub fn admits(&self, batch: &Batch) -> bool {
        fn given(text: &Option<String>) -> Option<&str> {
            text.as_deref().filter(|text| !text.is_empty())
        }
        let state = given(&self.state).is_none_or(|state| match state {
            "all" => true,
            "active" => !batch.state.is_finished(),
            "finished" => batch.state.is_finished(),
            "with_failures" | "failures" => batch.failed > 0,
            word => batch.state.as_str() == word,
        });
        let text = given(&self.q).is_none_or(|q| {
            let number: Option<u64> = q.strip_prefix('#').and_then(|number| number.parse().ok());
            match number {
                Some(number) => batch.number == number,
                None => lower_case(&batch.name).contains(&lower_case(q)),
            }
        });
        let named = given(&self.task).is_none_or(|task| batch.task == task)
            && given(&self.owner).is_none_or(|owner| batch.owner == owner)
            && (self.parent.is_none() || batch.parent == self.parent);
        given(&self.cursor).is_none() && state && text && named
    }
}

/// How many visible batches there are of each kind: the filter row of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCounts {
    /// Not finished.
    pub active: u64,
    /// Finished.
    pub finished: u64,
    /// With at least one failed item, finished or not.
    pub with_failures: u64,
    /// All.
    pub all: u64,
}

/// What the page of one batch needs beside [`Batch`]: how it was asked for, and what may be done now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchSettings {
    /// Title of the task.
    pub task_title: String,
    /// How it is run.
    pub options: Options,
    /// Names of the input's columns, for CSV.
    pub columns: Vec<String>,
    /// Acts that the caller may ask for now.
    pub acts: Vec<BatchAct>,
    /// Slots of all living nodes.
    pub slots: u32,
    /// Parameters with their titles, in the order of the schema, as text.
    pub params: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::BatchId;

    fn batch(state: BatchState, failed: u64) -> Batch {
        Batch {
            id: BatchId::from_u128(7),
            number: 7,
            name: "June Photos".into(),
            task: "demo".into(),
            params: Json::default(),
            owner: "ada".into(),
            parent: None,
            schedule: None,
            state,
            reason: None,
            sealed: true,
            expected: None,
            rev: 1,
            total: 10,
            pending: 10 - failed,
            running: 0,
            retrying: 0,
            succeeded: 0,
            failed,
            cancelled: 0,
            rate_per_s: None,
            eta_ms: None,
            created_at: Timestamp(0),
            start_at: None,
            started_at: None,
            finished_at: None,
            rested_ms: 0,
            retry: None,
        }
    }

    #[test]
    fn a_list_admits_what_its_filter_does_and_only_on_its_first_page() {
        let running = batch(BatchState::Running, 1);
        let query = |key: &str, text: &str| {
            let mut query = BatchQuery::default();
            let value = Some(text.to_owned());
            match key {
                "state" => query.state = value,
                "task" => query.task = value,
                "owner" => query.owner = value,
                "q" => query.q = value,
                _ => query.cursor = value,
            }
            query
        };
        for (key, text, admitted) in [
            ("state", "", true),
            ("state", "all", true),
            ("state", "active", true),
            ("state", "finished", false),
            ("state", "with_failures", true),
            ("state", "running", true),
            ("state", "failed", false),
            ("task", "demo", true),
            ("task", "dem", false),
            ("owner", "ada", true),
            ("owner", "bo", false),
            ("q", "photo", true),
            ("q", "#7", true),
            ("q", "#8", false),
            ("q", "%", false),
            ("cursor", "8", false),
            ("cursor", "", true),
        ] {
            assert_eq!(query(key, text).admits(&running), admitted, "{key}={text}");
        }
        assert!(!query("state", "with_failures").admits(&batch(BatchState::Running, 0)));
        assert!(query("state", "finished").admits(&batch(BatchState::Failed, 1)));
    }
}
