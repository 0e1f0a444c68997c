//! The states of batches and items, and the table of moves between them.
//!
//! Nothing leaves an item's end within a generation.

use serde::{Deserialize, Serialize};

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Waits for its `start_at`.
    Scheduled,
    /// Nothing has been handed out yet.
    Pending,
    /// At least one item was handed out, and not all have ended.
    Running,
    /// No item is handed out until somebody resumes it; `reason` says why.
    Paused,
    /// A cancel was answered and is being carried out.
    Cancelling,
    /// Sealed, all items ended, none failed or cancelled.
    Succeeded,
    /// Sealed, all items ended, some failed, none cancelled.
    Failed,
    /// Sealed, all items ended, some cancelled.
    Cancelled,
}

/// An act that somebody may ask of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BatchAct {
    /// Hand out nothing more.
    Pause,
    /// Hand out again.
    Resume,
    /// End everything that has not ended.
    Cancel,
    /// Run failed items (or chosen ones) again, in a new generation.
    Retry,
    /// Take the batch and its files away.
    Delete,
}

impl BatchAct {
    /// Every act, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Pause, Self::Resume, Self::Cancel, Self::Retry, Self::Delete];

    /// The act named `text`, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }

    /// Its word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
        }
    }
}

/// What an act does in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Carried out.
    Do,
    /// Already so: answered well, changes nothing.
    Already,
    /// Not allowed here: `wrong_state` (for delete: `not_finished`).
    Refused,
}

impl BatchState {
    /// Every state, in the order of a batch's life.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// True once all items have ended and the batch is sealed.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// True where a claim may be granted.
    #[must_use]
    pub fn hands_out(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state named `text`, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// What `act` does in this state.
    #[must_use]
    pub fn on(self, act: BatchAct) -> Move {
        use BatchAct::{Cancel, Delete, Pause, Resume, Retry};
        use BatchState::{Cancelled, Cancelling, Failed, Paused, Pending, Running, Scheduled, Succeeded};
        match (act, self) {
            (Pause, Scheduled | Pending | Running) => Move::Do,
            (Pause, Paused) => Move::Already,
            (Pause, Cancelling | Succeeded | Failed | Cancelled) => Move::Refused,
            (Resume, Paused) => Move::Do,
            (Resume, Pending | Running) => Move::Already,
            (Resume, Scheduled | Cancelling | Succeeded | Failed | Cancelled) => Move::Refused,
            (Cancel, Scheduled | Pending | Running | Paused) => Move::Do,
            (Cancel, Cancelling | Cancelled) => Move::Already,
            (Cancel, Succeeded | Failed) => Move::Refused,
            (Retry, Cancelling) => Move::Refused,
            (Retry, Scheduled | Pending | Running | Paused | Succeeded | Failed | Cancelled) => Move::Do,
            (Delete, Succeeded | Failed | Cancelled) => Move::Do,
            (Delete, Scheduled | Pending | Running | Paused | Cancelling) => Move::Refused,
        }
    }
}

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Not started yet, in its first attempt of this generation.
    Pending,
    /// In a slot, as of its node's last commit.
    Running,
    /// Waits for another attempt.
    Retrying,
    /// Ended well.
    Succeeded,
    /// Ended badly: no attempt is left.
    Failed,
    /// Ended by a cancel.
    Cancelled,
}

impl ItemState {
    /// Every state, in the order in which bars and lists show them.
    pub const ALL: [Self; 6] =
        [Self::Succeeded, Self::Running, Self::Retrying, Self::Pending, Self::Failed, Self::Cancelled];

    /// True once an outcome is recorded.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state named `text`, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The task returned a result.
    Succeeded,
    /// The task returned an error, or panicked.
    Failed,
    /// The time limit passed.
    TimedOut,
    /// The node or process went away in mid-item.
    Lost,
    /// Handed back before an end; does not count as an attempt.
    Released,
    /// Ended by a cancel.
    Cancelled,
}

impl AttemptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Succeeded, Self::Failed, Self::TimedOut, Self::Lost, Self::Released, Self::Cancelled];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome named `text`, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for state in BatchState::ALL {
            assert_eq!(BatchState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for state in ItemState::ALL {
            assert_eq!(ItemState::parse(state.as_str()), Some(state));
        }
        for outcome in AttemptOutcome::ALL {
            assert_eq!(AttemptOutcome::parse(outcome.as_str()), Some(outcome));
        }
    }

    #[test]
    fn finished_batches_can_only_be_retried_or_deleted() {
        for state in BatchState::ALL.into_iter().filter(|state| state.is_finished()) {
            assert_eq!(state.on(BatchAct::Retry), Move::Do);
            assert_eq!(state.on(BatchAct::Delete), Move::Do);
            assert_eq!(state.on(BatchAct::Pause), Move::Refused);
            assert_eq!(state.on(BatchAct::Resume), Move::Refused);
        }
    }
}
