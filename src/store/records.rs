//! What leaves the store and what goes in: plain values, one per row or act.
//!
//! Owns the shapes between store and its callers. Invariant: entities never leave the store, records do.
//! Deliberately holds no query.

use super::access::KeyBinding;
use crate::protocol::{
    AttemptOutcome, AttemptRow, Batch, BatchId, BatchState, Family, FamilyId, FileRow, InputKind, ItemState,
    Json, NodeId, NodeState, Options, Rev, Role, Seq, StripCell, Timestamp,
};

/// A batch inside one database: its number.
pub type BatchKey = i64;
/// A lease inside one database.
pub type LeaseId = i64;

/// Consecutive items, both ends included. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqRange {
    /// First item, at least 1.
    pub first: Seq,
    /// Last item, not below `first`.
    pub last: Seq,
}

impl SeqRange {
    /// The range from `first` to `last`.
    #[must_use]
    pub fn new(first: Seq, last: Seq) -> Self {
        debug_assert!(first >= 1 && first <= last, "a range is never empty");
        Self { first, last }
    }

    /// The range of one item.
    #[must_use]
    pub fn one(seq: Seq) -> Self {
        Self { first: seq, last: seq }
    }

    /// How many items.
    #[must_use]
    pub fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

/// How the items of a batch came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Written to blocks.
    Blocks,
    /// Numbers from 1 on: nothing is written.
    Generated,
}

/// A batch as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// Number, and key in all other tables.
    pub key: BatchKey,
    /// Public id.
    pub id: BatchId,
    /// Title.
    pub name: String,
    /// Name of the task.
    pub task: String,
    /// Kind of input of the task.
    pub input: InputKind,
    /// Where inputs come from.
    pub source: Source,
    /// Parameters as validated.
    pub params: Json,
    /// How to run it.
    pub options: Options,
    /// Who it belongs to.
    pub owner: String,
    /// Where it stands.
    pub state: BatchState,
    /// Why.
    pub reason: Option<String>,
    /// Counts retries of the whole batch, from 1.
    pub generation: u32,
    /// No more items can come.
    pub sealed: bool,
    /// The body that makes it is still coming: nobody else may go on with it.
    pub filling: bool,
    /// Names of the input's columns, for CSV.
    pub columns: Vec<String>,
    /// Names of the result's fields so far, at most 200.
    pub result_columns: Vec<String>,
    /// Items so far.
    pub total: u64,
    /// All below has been handed out.
    pub next_seq: Seq,
    /// Items in `started` of its leases.
    pub running: u64,
    /// Items that wait for attempt 2 or later.
    pub retrying: u64,
    /// Items ended well.
    pub succeeded: u64,
    /// Items ended badly.
    pub failed: u64,
    /// Items ended by a cancel.
    pub cancelled: u64,
    /// Items in one cell of the strip: a power of two.
    pub cell_items: u64,
    /// Grows with every commit.
    pub rev: Rev,
    /// It is being cancelled (or was), and what runs may end as it will.
    pub cancel_drains: bool,
    /// Times it has finished.
    pub finishes: u32,
    /// Deleted: hidden from everybody.
    pub deleted: bool,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its first item was handed out.
    pub started_at: Option<Timestamp>,
    /// When its last item ended.
    pub finished_at: Option<Timestamp>,
}

impl BatchRecord {
    /// Items that have not started.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let elsewhere = self.running + self.retrying + self.succeeded + self.failed + self.cancelled;
        debug_assert!(elsewhere <= self.total, "counters never exceed the total");
        self.total - elsewhere
    }

    /// As everybody sees it, with the estimate of rate and time left.
    #[must_use]
    pub fn to_wire(&self, rate_per_s: Option<f64>, eta_ms: Option<(u64, u64)>) -> Batch {
        Batch {
            id: self.id,
            number: u64::try_from(self.key).expect("keys count up from 1"),
            name: self.name.clone(),
            task: self.task.clone(),
            params: self.params.clone(),
            owner: self.owner.clone(),
            state: self.state,
            reason: self.reason.clone(),
            sealed: self.sealed,
            rev: self.rev,
            total: self.total,
            pending: self.pending(),
            running: self.running,
            retrying: self.retrying,
            succeeded: self.succeeded,
            failed: self.failed,
            cancelled: self.cancelled,
            rate_per_s,
            eta_ms,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }
}

/// What a batch is made from.
#[derive(Clone, Debug)]
pub struct CreateBatch {
    /// Public id, fresh.
    pub id: BatchId,
    /// Title.
    pub name: String,
    /// Name of the task.
    pub task: String,
    /// Kind of input of the task.
    pub input: InputKind,
    /// Where inputs come from; `Generated` comes with its count and is sealed at once.
    pub source: Source,
    /// Items of a generated batch; 0 otherwise.
    pub generated: u64,
    /// Parameters as validated.
    pub params: Json,
    /// How to run it.
    pub options: Options,
    /// Who it belongs to.
    pub owner: String,
    /// Names of the input's columns, for CSV.
    pub columns: Vec<String>,
    /// The node through which the items come: the batch is cut off with it, until its body has come whole.
    pub intake_node: Option<NodeId>,
}

/// What makes a batch whole once its body has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Items that came: as many must be there.
    pub items: u64,
    /// Whether more may come by other requests.
    pub ending: Ending,
    /// The key that stands for the batch from then on.
    pub key: Option<KeyBinding>,
}

/// Whether more items may come to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No more.
    Sealed,
    /// By appends.
    Open,
}

/// A stretch of inputs to append: NDJSON, one line per item, not compressed yet.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// Items in it, at least 1.
    pub count: u32,
    /// One JSON value per line, each line ended by `\n`. A file: `{"key","name","bytes","type","blake3"}`.
    pub ndjson: Vec<u8>,
}

/// The input of one item, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRecord {
    /// Position.
    pub seq: Seq,
    /// The stored JSON value.
    pub json: Json,
}

/// A file known to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Key in the vault.
    pub key: String,
    /// Item it belongs to.
    pub seq: Seq,
    /// Whether it came in or was left.
    pub side: FileSide,
    /// Name, type, size.
    pub row: FileRow,
    /// BLAKE3 of its content, lower-case hexadecimal.
    pub blake3: String,
}

/// Which side of an item a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSide {
    /// Uploaded: what the item works on.
    Input,
    /// Left by the item.
    Output,
}

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

/// Committed rows of one batch: what may be published.
#[derive(Clone, Debug)]
pub struct BatchChange {
    /// The batch after the commit.
    pub batch: BatchRecord,
    /// Families that changed; count 0 = gone.
    pub families: Vec<Family>,
    /// Cells of the strip that changed.
    pub cells: Vec<StripCell>,
    /// True where the width of cells changed: all cells must be read anew.
    pub strip_reshaped: bool,
    /// Items that ended with this commit.
    pub ended: u64,
}

/// Who looks at a list: decides what is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Name of the caller.
    pub name: String,
    /// Sees private batches of others.
    pub sees_all: bool,
}

/// Which batches to list.
#[derive(Clone, Debug)]
pub struct BatchFilter {
    /// Visible to whom.
    pub viewer: Viewer,
    /// Only these states; empty = all.
    pub states: Vec<BatchState>,
    /// Only with failed items.
    pub with_failures: bool,
    /// Name of a task.
    pub task: Option<String>,
    /// Name of an owner.
    pub owner: Option<String>,
    /// Part of the name.
    pub text: Option<String>,
    /// Number of a batch.
    pub number: Option<BatchKey>,
    /// Only older than this one.
    pub before: Option<BatchKey>,
    /// How many.
    pub limit: u32,
}

/// A page of batches.
#[derive(Clone, Debug)]
pub struct BatchList {
    /// Newest first.
    pub batches: Vec<BatchRecord>,
    /// Key for `before` of the next page.
    pub next: Option<BatchKey>,
}

/// An item as stored: committed state.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemRecord {
    /// The row as everybody sees it, without progress.
    pub row: crate::protocol::ItemRow,
    /// Attempts; only from [`super::Store::item`].
    pub history: Vec<AttemptRow>,
    /// Log tail; only from [`super::Store::item`].
    pub log: String,
    /// The input as stored: file inputs with their key.
    pub stored_input: Json,
}

/// Items of one batch.
#[derive(Clone, Debug)]
pub struct ItemList {
    /// In order of `seq`.
    pub items: Vec<ItemRecord>,
    /// `after` for the next page.
    pub next: Option<Seq>,
    /// How far a search has looked.
    pub searched_to: Option<Seq>,
    /// Revision that these rows show.
    pub rev: Rev,
}

/// A node as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRecord {
    /// Fresh at each start.
    pub id: NodeId,
    /// Name for people.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Version of its executable.
    pub version: String,
    /// Items at once.
    pub slots: u32,
    /// Items now.
    pub busy: u32,
    /// Whether it is there.
    pub state: NodeState,
    /// Last beat, by the database's clock.
    pub heartbeat_at: Timestamp,
    /// Items ended per second.
    pub rate_per_s: f64,
}
