//! Acts over many batches: what is asked, how far one has come, and why some were left as they are.

use serde::{Deserialize, Serialize};

use super::ids::{BatchId, BulkActId};
use super::state::BatchAct;
use super::time::Timestamp;

/// What is to be done, and to what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewBulkAct {
    /// What is done to each: `retry` takes all items that failed.
    pub act: BatchAct,
    /// The batches, 1 to 1,000; one that is named twice counts once.
    #[cfg_attr(feature = "ssr", schemars(length(min = 1, max = 1_000)))]
    pub batches: Vec<BatchId>,
}

/// Where an act over many stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BulkState {
    /// It goes on, step by step.
    Running,
    /// It has come to its end.
    Done,
    /// Somebody has ended it before; what it had done stays done.
    Aborted,
    /// It could not go on: `failure` says why.
    Failed,
}

impl BulkState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Aborted, Self::Failed];

    /// Its word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }

    /// The state named `text`, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a batch was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BulkReason {
    /// It had ended by itself.
    Ended,
    /// It had not finished.
    NotFinished,
    /// It stood otherwise: it was being cancelled, or not paused.
    WrongState,
    /// It belongs to somebody else, or its task may not be run.
    NotAllowed,
    /// It is not there, or not for the asker to see.
    NotFound,
}

/// How many batches were left as they are for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BulkRefusal {
    /// The reason.
    pub reason: BulkReason,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: BatchId,
}

/// An act over many: carried out in the background, one batch after the other, whether or not anybody looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BulkAct {
    /// Its name.
    pub id: BulkActId,
    /// What is done to each.
    pub act: BatchAct,
    /// Name of the person who asked, or `token:NAME`.
    pub by: String,
    /// Where it stands.
    pub state: BulkState,
    /// Batches that were named.
    pub total: u64,
    /// Those of them that it was done to; one that was so already is among them.
    pub done: u64,
    /// Those that were left as they are.
    pub refused: u64,
    /// Why, each reason once.
    pub refusals: Vec<BulkRefusal>,
    /// Why it could not go on; none otherwise.
    pub failure: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended; none while it runs.
    pub ended_at: Option<Timestamp>,
}

impl BulkAct {
    /// Batches that it has come to.
    #[must_use]
    pub fn looked(&self) -> u64 {
        self.done + self.refused
    }

    /// Notes that one batch, or several at the door, are left as they are.
    pub fn refuse(&mut self, reason: BulkReason, batch: BatchId) {
        self.refused += 1;
        match self.refusals.iter_mut().find(|refusal| refusal.reason == reason) {
            Some(refusal) => refusal.count += 1,
            None => self.refusals.push(BulkRefusal { reason, count: 1, first: batch }),
        }
    }
}

/// Which acts over many to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BulkQuery {
    /// In this state only.
    pub state: Option<BulkState>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// How many; 100, at most 500.
    pub limit: Option<u32>,
}

/// Acts over many, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct BulkActPage {
    /// The acts.
    pub acts: Vec<BulkAct>,
    /// `cursor` of the next page; none at the end.
    pub next: Option<String>,
}
