//! The one policy: caller × action × target.
//!
//! What is not visible answers `not_found`, exactly as what is not there; what is visible but not allowed answers
//! `not_allowed`.

use super::caller::Caller;
use crate::protocol::{ApiError, ErrorCode, PersonRole};
use crate::store::{BatchRecord, ScheduleRecord};

/// Every use case there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at what can be run.
    SeeTasks,
    /// Look at nodes and their work.
    SeeNodes,
    /// Look at the figures of this process.
    SeeMetrics,
    /// Look at lists of batches; each batch is asked for on its own.
    SeeBatches,
    /// Look at one batch: its items, results, files, topics.
    SeeBatch,
    /// Make a batch.
    Submit,
    /// Send pieces of a file, ask how far it is, take it away.
    ActOnUpload,
    /// Pause, resume, cancel, retry, change, extend, seal, delete a batch.
    ActOnBatch,
    /// Look at lists of schedules; each schedule is asked for on its own.
    SeeSchedules,
    /// Look at one schedule.
    SeeSchedule,
    /// Make a schedule.
    SaveSchedule,
    /// Pause, resume, change, run, delete a schedule.
    ActOnSchedule,
    /// Stop a node from taking work.
    DrainNode,
    /// Look at messages about the ends of one's own batches, have them sent again, see and change what they are signed with.
    UseWebhooks,
    /// Look at and change who may come in.
    ManagePeople,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 15] = [
        Self::SeeTasks,
        Self::SeeNodes,
        Self::SeeMetrics,
        Self::SeeBatches,
        Self::SeeBatch,
        Self::Submit,
        Self::ActOnUpload,
        Self::ActOnBatch,
        Self::SeeSchedules,
        Self::SeeSchedule,
        Self::SaveSchedule,
        Self::ActOnSchedule,
        Self::DrainNode,
        Self::UseWebhooks,
        Self::ManagePeople,
    ];

    /// The least role that may do it at all.
    #[must_use]
    pub fn least_role(self) -> PersonRole {
        match self {
            Self::SeeTasks
            | Self::SeeNodes
            | Self::SeeMetrics
            | Self::SeeBatches
            | Self::SeeBatch
            | Self::SeeSchedules
            | Self::SeeSchedule => PersonRole::Viewer,
            Self::Submit
            | Self::ActOnUpload
            | Self::ActOnBatch
            | Self::UseWebhooks
            | Self::SaveSchedule
            | Self::ActOnSchedule => PersonRole::Operator,
            Self::DrainNode | Self::ManagePeople => PersonRole::Admin,
        }
    }
}

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The installation as a whole.
    Installation,
    /// One batch.
    Batch {
        /// Who it belongs to.
        owner: &'a str,
        /// Seen by its owner and admins only.
        private: bool,
    },
    /// One schedule.
    Schedule {
        /// Who it belongs to.
        owner: &'a str,
        /// Seen by its owner and admins only.
        private: bool,
    },
    /// One file that comes in pieces: seen by whoever sends it and admins only.
    Upload {
        /// Who sends it.
        owner: &'a str,
    },
}

impl Target<'_> {
    /// What people call it.
    fn noun(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Batch { .. } => "batch",
            Self::Schedule { .. } => "schedule",
            Self::Upload { .. } => "upload",
        }
    }
}

impl<'a> From<&'a BatchRecord> for Target<'a> {
    fn from(batch: &'a BatchRecord) -> Self {
        Self::Batch { owner: &batch.owner, private: batch.options.private }
    }
}

impl<'a> From<&'a ScheduleRecord> for Target<'a> {
    fn from(schedule: &'a ScheduleRecord) -> Self {
        Self::Schedule { owner: &schedule.owner, private: schedule.saved.private }
    }
}

/// Whether `caller` may do `action` to `target`.
///
/// # Errors
/// `not_found` where the target is not visible to the caller, else `not_allowed` with what it would take.
pub fn may(caller: &Caller, action: Action, target: Target<'_>) -> Result<(), ApiError> {
    let admin = caller.role == PersonRole::Admin;
    if let Target::Batch { owner, private: true } | Target::Schedule { owner, private: true } = target
        && !admin
        && owner != caller.name
    {
        return Err(ApiError::not_found(target.noun()));
    }
    if let Target::Upload { owner } = target
        && !admin
        && owner != caller.name
    {
        return Err(ApiError::not_found("upload"));
    }
    if caller.role < action.least_role() {
        let least = action.least_role().as_str();
        return Err(ApiError::new(ErrorCode::NotAllowed, format!("This takes the role {least}.")));
    }
    match target {
        Target::Batch { owner, .. } | Target::Schedule { owner, .. }
            if matches!(action, Action::ActOnBatch | Action::ActOnSchedule | Action::UseWebhooks)
                && !admin
                && owner != caller.name =>
        {
            let detail = format!("This {} belongs to somebody else.", target.noun());
            Err(ApiError::new(ErrorCode::NotAllowed, detail))
        }
        Target::Installation | Target::Batch { .. } | Target::Schedule { .. } | Target::Upload { .. } => {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Via;

    fn caller(role: PersonRole) -> Caller {
        Caller { name: "ada".to_owned(), role, via: Via::Local }
    }

    /// One letter per role, least first: `.` allowed, `4` not found, `3` not allowed.
    fn row(action: Action, target: Target<'_>) -> String {
        PersonRole::ALL
            .into_iter()
            .map(|role| match may(&caller(role), action, target).map_err(|error| error.code) {
                Ok(()) => '.',
                Err(ErrorCode::NotFound) => '4',
                Err(ErrorCode::NotAllowed) => '3',
                Err(other) => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_whole_matrix() {
        let own = Target::Batch { owner: "ada", private: false };
        let own_private = Target::Batch { owner: "ada", private: true };
        let others = Target::Batch { owner: "bob", private: false };
        let others_private = Target::Batch { owner: "bob", private: true };
        let schedules = [(false, "ada"), (true, "ada"), (false, "bob"), (true, "bob")]
            .map(|(private, owner)| Target::Schedule { owner, private });
        let upload = Target::Upload { owner: "ada" };
        let others_upload = Target::Upload { owner: "bob" };
        for action in Action::ALL {
            let expected = match action {
                Action::SeeTasks
                | Action::SeeNodes
                | Action::SeeMetrics
                | Action::SeeBatches
                | Action::SeeBatch
                | Action::SeeSchedules
                | Action::SeeSchedule => ["...", "...", "...", "...", "44."],
                Action::Submit | Action::ActOnUpload | Action::SaveSchedule => {
                    ["3..", "3..", "3..", "3..", "44."]
                }
                Action::ActOnBatch | Action::ActOnSchedule | Action::UseWebhooks => {
                    ["3..", "3..", "3..", "33.", "44."]
                }
                Action::DrainNode | Action::ManagePeople => ["33.", "33.", "33.", "33.", "44."],
            };
            let found = [Target::Installation, own, own_private, others, others_private]
                .map(|target| row(action, target));
            assert_eq!(found, expected, "{action:?}");
            assert_eq!(schedules.map(|target| row(action, target)), expected[1..], "{action:?}");
        }
        assert_eq!(row(Action::ActOnUpload, upload), "3..");
        assert_eq!(row(Action::ActOnUpload, others_upload), "44.");
    }
}
