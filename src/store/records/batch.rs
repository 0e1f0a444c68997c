//! Batches: as stored, as created, as changed.

use crate::protocol::{
    Batch, BatchId, BatchRetry, BatchState, Family, InputKind, Json, NodeId, Options, PulseBucket, Rev,
    ScheduleId, Seq, StripCell, Timestamp,
};
use crate::store::access::KeyBinding;

/// A batch inside one database: its number.
pub type BatchKey = i64;

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
    /// The schedule that made it; it may be gone.
    pub schedule: Option<ScheduleId>,
    /// Where it stands.
    pub state: BatchState,
    /// Why.
    pub reason: Option<String>,
    /// That of the items of its last retry; 1 before the first. Items that no retry took are of generation 1.
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
    /// Bytes of the files that its items have left.
    pub left_bytes: u64,
    /// Width of its time buckets, in ms.
    pub pulse_ms: u64,
    /// The last retry of it.
    pub retry: Option<BatchRetry>,
    /// How long it stood finished before its retries, in ms.
    pub rested_ms: u64,
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
            parent: self.options.parent,
            schedule: self.schedule,
            state: self.state,
            reason: self.reason.clone(),
            sealed: self.sealed,
            expected: self.options.expected,
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
            start_at: self.options.start_at.filter(|_at| self.state == BatchState::Scheduled),
            started_at: self.started_at,
            finished_at: self.finished_at,
            rested_ms: self.rested_ms,
            retry: self.retry.clone(),
        }
    }
}

/// Where the name of a new batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// From whoever makes it.
    Given,
    /// Nobody has named it: it is called after its input once it is whole.
    ByInput,
}

/// What a batch is made from.
#[derive(Clone, Debug)]
pub struct CreateBatch {
    /// Public id, fresh.
    pub id: BatchId,
    /// Title.
    pub name: String,
    /// Where that comes from.
    pub naming: Naming,
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
    /// The batch it came from, which is that of `options.parent`.
    pub parent: Option<BatchKey>,
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
    /// Time buckets that changed.
    pub pulse: Vec<PulseBucket>,
    /// True where the width of time buckets changed: all must be read anew.
    pub pulse_reshaped: bool,
    /// Items that ended with this commit.
    pub ended: u64,
}
