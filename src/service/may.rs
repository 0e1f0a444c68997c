//! The one policy: caller × action × target.
//!
//! What is not visible answers `not_found`, exactly as what is not there; what is visible but not allowed answers
//! `not_allowed`.

use super::caller::{Caller, Grant, Payloads, Via};
use crate::protocol::{ApiError, BatchId, ErrorCode, PersonRole, Scope};
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
    /// Look at how many batches there are of each kind.
    SeeCounts,
    /// Look at one batch: its items, results, files, topics.
    SeeBatch,
    /// Look at how far one batch is, and at nothing in it.
    SeeProgress,
    /// Make a batch.
    Submit,
    /// Add items to a batch that is open, and seal it.
    AddToBatch,
    /// Send pieces of a file, ask how far it is, take it away.
    ActOnUpload,
    /// Pause, resume, cancel, retry, change, delete a batch.
    ActOnBatch,
    /// Ask for an act over many batches, look at one's own, end them; each batch is asked for on its own.
    ActOnMany,
    /// Make, list and revoke links that show a batch to whoever has them.
    ShareBatch,
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
    /// Look at and end one's own sessions and tokens, make tokens, change one's password.
    ManageOwnAccess,
    /// Look at and change who may come in, and all sessions and tokens.
    ManagePeople,
    /// Look at the log of who did what.
    SeeAuditLog,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 22] = [
        Self::SeeTasks,
        Self::SeeNodes,
        Self::SeeMetrics,
        Self::SeeBatches,
        Self::SeeCounts,
        Self::SeeBatch,
        Self::SeeProgress,
        Self::Submit,
        Self::AddToBatch,
        Self::ActOnUpload,
        Self::ActOnBatch,
        Self::ActOnMany,
        Self::ShareBatch,
        Self::SeeSchedules,
        Self::SeeSchedule,
        Self::SaveSchedule,
        Self::ActOnSchedule,
        Self::DrainNode,
        Self::UseWebhooks,
        Self::ManageOwnAccess,
        Self::ManagePeople,
        Self::SeeAuditLog,
    ];

    /// The least role that may do it at all, the scope that it takes, and whether whoever reaches some batches only may ask for
    /// it of the installation: what they then see is theirs alone.
    #[must_use]
    pub fn takes(self) -> (PersonRole, Scope, Narrow) {
        use Narrow::{Asks, Refused};
        match self {
            Self::SeeTasks | Self::SeeBatches | Self::SeeBatch | Self::SeeProgress => {
                (PersonRole::Viewer, Scope::Read, Asks)
            }
            Self::SeeNodes | Self::SeeMetrics | Self::SeeCounts => (PersonRole::Viewer, Scope::Read, Refused),
            Self::Submit | Self::AddToBatch | Self::ActOnUpload => {
                (PersonRole::Operator, Scope::Submit, Asks)
            }
            Self::SeeSchedules | Self::SeeSchedule => (PersonRole::Viewer, Scope::Read, Refused),
            Self::SaveSchedule => (PersonRole::Operator, Scope::Submit, Refused),
            Self::ActOnSchedule => (PersonRole::Operator, Scope::Act, Refused),
            Self::ActOnBatch | Self::ShareBatch => (PersonRole::Operator, Scope::Act, Asks),
            Self::UseWebhooks | Self::ActOnMany => (PersonRole::Operator, Scope::Act, Refused),
            Self::ManageOwnAccess => (PersonRole::Viewer, Scope::Admin, Refused),
            Self::DrainNode | Self::ManagePeople | Self::SeeAuditLog => {
                (PersonRole::Admin, Scope::Admin, Refused)
            }
        }
    }

    /// True where it is for whoever a batch belongs to, and admins.
    #[must_use]
    pub fn is_for_owners(self) -> bool {
        matches!(
            self,
            Self::AddToBatch | Self::ActOnBatch | Self::ShareBatch | Self::ActOnSchedule | Self::UseWebhooks
        )
    }
}

/// Whether whoever reaches some batches only may ask for something of the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// They may.
    Asks,
    /// They may not.
    Refused,
}

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The installation as a whole.
    Installation,
    /// Batches of one task that are still to be made.
    Task(&'a str),
    /// Something of somebody's own, which others but admins do not see.
    Own {
        /// What it is.
        what: &'static str,
        /// Whose.
        owner: &'a str,
    },
    /// One batch.
    Batch {
        /// Which.
        id: BatchId,
        /// Of which task.
        task: &'a str,
        /// Who it belongs to.
        owner: &'a str,
        /// Seen by its owner and admins only.
        private: bool,
    },
    /// One schedule.
    Schedule {
        /// Of which task.
        task: &'a str,
        /// Who it belongs to.
        owner: &'a str,
        /// Seen by its owner and admins only.
        private: bool,
    },
}

impl Target<'_> {
    /// What people call it.
    fn noun(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Task(_) => "task",
            Self::Own { what, .. } => what,
            Self::Batch { .. } => "batch",
            Self::Schedule { .. } => "schedule",
        }
    }
}

impl<'a> From<&'a BatchRecord> for Target<'a> {
    fn from(batch: &'a BatchRecord) -> Self {
        Self::Batch { id: batch.id, task: &batch.task, owner: &batch.owner, private: batch.options.private }
    }
}

/// True where `target` is within what the caller reaches, and not hidden by its owner.
fn is_visible(caller: &Caller, target: Target<'_>) -> bool {
    let Grant { task: only_task, batch: only_batch, .. } = &caller.grant;
    let is_theirs = |owner: &str| caller.role == PersonRole::Admin || owner == caller.name;
    // One's own private ones are there whoever may see the task.
    let shown = |task: &str, owner: &str, private: bool| {
        if private { is_theirs(owner) } else { !caller.refused_tasks.hides(task) }
    };
    match target {
        Target::Installation | Target::Task(_) => true,
        Target::Own { owner, .. } => is_theirs(owner),
        Target::Schedule { task, owner, private } => shown(task, owner, private),
        Target::Batch { id, task, owner, private } => {
            // Whoever made a share link could see the batch, and meant others to.
            (shown(task, owner, private) || matches!(caller.via, Via::Share { .. }))
                && only_task.as_deref().is_none_or(|only| only == task)
                && only_batch.is_none_or(|only| only == id)
        }
    }
}

impl<'a> From<&'a ScheduleRecord> for Target<'a> {
    fn from(schedule: &'a ScheduleRecord) -> Self {
        Self::Schedule { task: &schedule.saved.task, owner: &schedule.owner, private: schedule.saved.private }
    }
}

/// Whether `caller` may do `action` to `target`.
///
/// # Errors
/// `not_found` where the target is not visible to the caller, else `not_allowed` with what it would take.
pub fn may(caller: &Caller, action: Action, target: Target<'_>) -> Result<(), ApiError> {
    let refuse = |detail: String| Err(ApiError::new(ErrorCode::NotAllowed, detail));
    if !is_visible(caller, target) {
        return Err(ApiError::not_found(target.noun()));
    }
    if let Via::Share { payloads, .. } = &caller.via {
        let shows = match payloads {
            Payloads::Shown => matches!(action, Action::SeeProgress | Action::SeeBatch),
            Payloads::Masked => action == Action::SeeProgress,
        };
        let refused = || refuse("This link shows no more than its page does.".to_owned());
        return if shows { Ok(()) } else { refused() };
    }
    let (least, scope, narrow) = action.takes();
    if caller.role < least {
        return refuse(format!("This takes the role {}.", least.as_str()));
    }
    if !caller.grant.is_for(scope) {
        return refuse(format!("This takes a token with the scope {}.", scope.as_str()));
    }
    match target {
        Target::Installation | Target::Own { .. } | Target::Schedule { .. }
            if caller.grant.is_narrow() && narrow == Narrow::Refused =>
        {
            refuse("This token is for some batches only.".to_owned())
        }
        Target::Task(task) if caller.refused_tasks.hides(task) => Err(no_such_task(task)),
        Target::Task(task) => match (&caller.grant.task, caller.grant.batch) {
            (_, Some(_)) => refuse("This token is for one batch only.".to_owned()),
            (Some(only), None) if only != task => refuse(format!("This token is for the task {only} only.")),
            (_, None) => runs(caller, task),
        },
        Target::Batch { task, .. } if action == Action::AddToBatch && caller.refused_tasks.bars(task) => {
            runs(caller, task)
        }
        Target::Batch { owner, .. } | Target::Schedule { owner, .. } | Target::Own { owner, .. }
            if action.is_for_owners() && caller.role != PersonRole::Admin && owner != caller.name =>
        {
            refuse(format!("This {} belongs to somebody else.", target.noun()))
        }
        Target::Installation | Target::Own { .. } | Target::Schedule { .. } | Target::Batch { .. } => Ok(()),
    }
}

/// Whether `caller` may run `task`, for what has it run again.
///
/// # Errors
/// `not_allowed`.
pub fn runs(caller: &Caller, task: &str) -> Result<(), ApiError> {
    if caller.refused_tasks.bars(task) {
        let detail = format!("You may not run the task {task}.");
        return Err(ApiError::new(ErrorCode::NotAllowed, detail));
    }
    Ok(())
}

/// What is said of a task that there is not: one that may not be seen is as good as none.
pub fn no_such_task(task: &str) -> ApiError {
    ApiError::new(ErrorCode::UnknownTask, format!("There is no task named {task:?}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BatchId = BatchId::from_u128(1);

    fn caller(role: PersonRole) -> Caller {
        Caller::new("ada", role, Via::Local)
    }

    fn batch(owner: &str, private: bool) -> Target<'_> {
        Target::Batch { id: ID, task: "demo", owner, private }
    }

    fn letter(caller: &Caller, action: Action, target: Target<'_>) -> char {
        match may(caller, action, target).map_err(|error| error.code) {
            Ok(()) => '.',
            Err(ErrorCode::NotFound) => '4',
            Err(ErrorCode::NotAllowed) => '3',
            Err(other) => panic!("{other:?}"),
        }
    }

    /// One letter per role, least first: `.` allowed, `4` not found, `3` not allowed.
    fn row(action: Action, target: Target<'_>) -> String {
        PersonRole::ALL.into_iter().map(|role| letter(&caller(role), action, target)).collect()
    }

    #[test]
    fn the_whole_matrix() {
        let schedules = [(false, "ada"), (true, "ada"), (false, "bob"), (true, "bob")]
            .map(|(private, owner)| Target::Schedule { task: "demo", owner, private });
        for action in Action::ALL {
            let expected = match action {
                Action::SeeTasks
                | Action::SeeNodes
                | Action::SeeMetrics
                | Action::SeeBatches
                | Action::SeeCounts
                | Action::ManageOwnAccess
                | Action::SeeBatch
                | Action::SeeProgress
                | Action::SeeSchedules
                | Action::SeeSchedule => ["...", "...", "...", "...", "44."],
                Action::Submit | Action::ActOnUpload | Action::ActOnMany | Action::SaveSchedule => {
                    ["3..", "3..", "3..", "3..", "44."]
                }
                Action::AddToBatch
                | Action::ActOnBatch
                | Action::ShareBatch
                | Action::ActOnSchedule
                | Action::UseWebhooks => ["3..", "3..", "3..", "33.", "44."],
                Action::DrainNode | Action::ManagePeople | Action::SeeAuditLog => {
                    ["33.", "33.", "33.", "33.", "44."]
                }
            };
            let targets = [
                Target::Installation,
                batch("ada", false),
                batch("ada", true),
                batch("bob", false),
                batch("bob", true),
            ];
            assert_eq!(targets.map(|target| row(action, target)), expected, "{action:?}");
            assert_eq!(row(action, Target::Own { what: "upload", owner: "bob" }), expected[4], "{action:?}");
            assert_eq!(schedules.map(|target| row(action, target)), expected[1..], "{action:?}");
        }
    }

    #[test]
    fn scopes_take_away_and_never_give() {
        for action in Action::ALL {
            let (_, needed, _) = action.takes();
            for scope in Scope::ALL {
                let mut admin = caller(PersonRole::Admin);
                admin.grant.scopes = vec![scope];
                let expected = if scope == needed { '.' } else { '3' };
                assert_eq!(letter(&admin, action, Target::Installation), expected, "{action:?} {scope:?}");
                let mut viewer = admin.clone();
                viewer.role = PersonRole::Viewer;
                let least = letter(&caller(PersonRole::Viewer), action, batch("ada", false));
                if least != '.' {
                    assert_eq!(letter(&viewer, action, batch("ada", false)), least, "{action:?} {scope:?}");
                }
            }
        }
    }

    #[test]
    fn a_share_link_shows_its_batch_and_nothing_else() {
        for payloads in [Payloads::Masked, Payloads::Shown] {
            let via = Via::Share { hash: "h".to_owned(), payloads };
            let mut caller = Caller::new("share:h", PersonRole::Viewer, via);
            caller.grant.batch = Some(ID);
            let other =
                Target::Batch { id: BatchId::from_u128(2), task: "demo", owner: "ada", private: false };
            for action in Action::ALL {
                let shows = match action {
                    Action::SeeProgress => true,
                    Action::SeeBatch => payloads == Payloads::Shown,
                    _ => false,
                };
                let expected = if shows { '.' } else { '3' };
                assert_eq!(letter(&caller, action, batch("ada", true)), expected, "{action:?} {payloads:?}");
                assert_eq!(letter(&caller, action, other), '4', "{action:?}");
                let elsewhere = [
                    Target::Installation,
                    Target::Task("demo"),
                    Target::Schedule { task: "demo", owner: "ada", private: false },
                ];
                for target in elsewhere.into_iter().filter(|_| !shows) {
                    assert_eq!(letter(&caller, action, target), '3', "{action:?} {target:?}");
                }
                assert_eq!(letter(&caller, action, Target::Own { what: "upload", owner: "ada" }), '4');
            }
        }
    }

    #[test]
    fn a_narrow_reach_is_for_its_batches_only() {
        let mut of_task = caller(PersonRole::Admin);
        of_task.grant.task = Some("demo".to_owned());
        let mut of_batch = caller(PersonRole::Admin);
        of_batch.grant.batch = Some(ID);
        for action in Action::ALL {
            let (_, _, narrow) = action.takes();
            let asks = if narrow == Narrow::Asks { '.' } else { '3' };
            for narrow in [&of_task, &of_batch] {
                assert_eq!(letter(narrow, action, batch("bob", true)), '.', "{action:?}");
                assert_eq!(letter(narrow, action, Target::Installation), asks, "{action:?}");
                let own = Target::Own { what: "upload", owner: "ada" };
                assert_eq!(letter(narrow, action, own), asks, "{action:?}");
                let other =
                    Target::Batch { id: BatchId::from_u128(2), task: "image", owner: "ada", private: false };
                assert_eq!(letter(narrow, action, other), '4', "{action:?}");
            }
        }
        assert_eq!(letter(&of_task, Action::Submit, Target::Task("demo")), '.');
        assert_eq!(letter(&of_task, Action::Submit, Target::Task("image")), '3');
        assert_eq!(letter(&of_batch, Action::Submit, Target::Task("demo")), '3');
    }
}
