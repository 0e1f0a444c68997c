//! Schedules: as stored, as made, as changed.

use super::batch::{BatchKey, NewBlock};
use crate::protocol::{BatchId, Json, Overlap, RunWindow, ScheduleId, Timestamp};

/// A schedule inside one database.
pub type ScheduleKey = i64;

/// What stands in the tables of the tape for the inputs that a schedule keeps: no batch has it.
#[must_use]
pub fn kept_key(schedule: ScheduleKey) -> BatchKey {
    -schedule
}

/// A schedule as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// Key.
    pub key: ScheduleKey,
    /// Public id.
    pub id: ScheduleId,
    /// Who it belongs to.
    pub owner: String,
    /// What people set of it.
    pub settings: ScheduleSettings,
    /// What it makes.
    pub saved: SavedBatch,
    /// Where it stands.
    pub times: ScheduleTimes,
    /// When the last run was due that made a batch by itself.
    pub last_due_at: Option<Timestamp>,
    /// The batch that was made last; it may be gone.
    pub last_batch: Option<BatchKey>,
    /// Why the last run that was due made none.
    pub last_error: Option<String>,
    /// When that was found.
    pub last_error_at: Option<Timestamp>,
    /// Grows with every change: who has read an older one changes nothing.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
}

/// What people set of a schedule, its batch left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// Title.
    pub name: String,
    /// When it is due.
    pub cron: String,
    /// The zone of that clock, by its IANA name.
    pub time_zone: String,
    /// The part of the day in which runs may start.
    pub window: Option<RunWindow>,
    /// What becomes of a run while the last has not finished.
    pub overlap: Overlap,
    /// Makes no batches by itself.
    pub paused: bool,
}

/// What a schedule makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedBatch {
    /// Seen by its owner and admins only.
    pub private: bool,
    /// Name of the task.
    pub task: String,
    /// Items of one batch.
    pub items: u64,
    /// The body of a create; `null` in lists.
    pub body: Json,
    /// Names of the input's columns, of inputs that are kept.
    pub columns: Vec<String>,
    /// The batch whose inputs are kept for it; none where they are in the body.
    pub from_batch: Option<BatchId>,
}

/// When a schedule is due, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScheduleTimes {
    /// Next.
    pub next_at: Option<Timestamp>,
    /// When the run was due that waits.
    pub waiting_for: Option<Timestamp>,
    /// When it is to be looked at; none while it is paused.
    pub wake_at: Option<Timestamp>,
}

/// A schedule to make.
#[derive(Clone, Debug)]
pub struct CreateSchedule {
    /// Public id, fresh.
    pub id: ScheduleId,
    /// Who it belongs to.
    pub owner: String,
    /// What people set of it.
    pub settings: ScheduleSettings,
    /// What it makes.
    pub saved: SavedBatch,
    /// When it is due.
    pub times: ScheduleTimes,
    /// The batch whose inputs are to be kept for it.
    pub inputs_of: Option<BatchKey>,
    /// The key under which it is asked for, and the hash of that request.
    pub once: Option<(String, String)>,
}

/// What became of a new schedule.
#[derive(Clone, Debug)]
pub enum ScheduleAdded {
    /// It is there.
    Made(Box<ScheduleRecord>),
    /// The same request has made this one before.
    Before(Box<ScheduleRecord>),
    /// Another request was made under its key.
    KeyTaken,
    /// Its owner has as many as may be.
    Full,
}

/// A page of schedules, without their bodies.
#[derive(Clone, Debug)]
pub struct ScheduleList {
    /// Newest first.
    pub schedules: Vec<ScheduleRecord>,
    /// Key for `before` of the next page.
    pub next: Option<ScheduleKey>,
}

/// The right to make one batch for a schedule, which the transaction that makes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunClaim {
    /// Of which.
    pub schedule: ScheduleKey,
    /// For what.
    pub cause: RunCause,
}

/// Why a schedule makes a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunCause {
    /// It was due: once for each time, whoever else looks.
    Due {
        /// When.
        at: Timestamp,
        /// The version that was read.
        version: i64,
        /// Where it stands after.
        after: ScheduleTimes,
    },
    /// Somebody asked for it.
    Asked,
}

/// Items of a batch that is whole at once.
#[derive(Clone, Debug)]
pub enum WholeItems {
    /// The numbers that the batch names.
    Generated,
    /// These.
    Blocks(Vec<NewBlock>),
    /// So many, which are kept for the schedule.
    Kept(u64),
}
