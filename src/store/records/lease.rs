//! Leases: what a node reports, and what it is answered.

use super::batch::{BatchChange, BatchKey};
use super::item::{FileRecord, SeqRange};
use crate::protocol::{AttemptOutcome, BatchState, FamilyId, ItemState, Json, Seq, Timestamp};

/// A lease inside one database.
pub type LeaseId = i64;

/// What a node has done with a lease since its last report.
#[derive(Clone, Debug, Default)]
pub struct LeaseReport {
    /// Which lease.
    pub lease: LeaseId,
    /// Of which batch.
    pub batch: BatchKey,
    /// Version as last answered.
    pub version: u32,
    /// Ends.
    pub outcomes: Vec<OutcomeRun>,
    /// Items that get another attempt.
    pub retries: Vec<RetryItem>,
    /// Attempts worth a row: failed, lost, released, logged.
    pub attempts: Vec<AttemptRecord>,
    /// Items that are in slots now: replaces what was there.
    pub started: Vec<SeqRange>,
    /// Not started, given back unspent.
    pub handback: Vec<SeqRange>,
    /// Files left by the items in `outcomes`.
    pub files: Vec<FileRecord>,
}

/// Consecutive items that ended alike; one item if it has anything to say.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRun {
    /// Which items.
    pub range: SeqRange,
    /// How they ended: succeeded, failed or cancelled.
    pub state: ItemState,
    /// Attempts made in this generation.
    pub attempts: u32,
    /// What the task returned.
    pub result: Option<Json>,
    /// Why it failed.
    pub error: Option<String>,
    /// Family of a failure: id and message.
    pub family: Option<(FamilyId, String)>,
    /// How long the last attempt took; none for quick ones with nothing to say.
    pub ms: Option<u64>,
    /// When the last attempt started; none likewise.
    pub started_at: Option<Timestamp>,
}

/// An item that gets another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryItem {
    /// Which item.
    pub seq: Seq,
    /// The attempt it will make next.
    pub attempt: u32,
    /// Crashes so far.
    pub crashes: u32,
    /// Not before.
    pub not_before: Timestamp,
}

/// An attempt worth a row.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// Which item.
    pub seq: Seq,
    /// Attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why it failed.
    pub error: Option<String>,
    /// Tail of its log, bounded.
    pub log: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// How a report was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// Applied, now or by an earlier try whose answer was lost.
    Applied {
        /// Version to compare next.
        version: u32,
        /// State of its batch: what the node must do (go on, hand back, end).
        state: BatchState,
        /// It is being cancelled, and what runs may end as it will.
        drains: bool,
        /// True where nothing is left: the lease is closed.
        closed: bool,
    },
    /// Gone or another's: stop that work.
    Lost,
}

/// What a record did.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// One answer per report.
    pub answers: Vec<(LeaseId, LeaseAnswer)>,
    /// What changed, per batch.
    pub changes: Vec<BatchChange>,
}
