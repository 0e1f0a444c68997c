//! Tables and queries: the tape in a database.
//!
//! ```text
//! entity, migration   what is there          backend   all that differs between databases
//! batches, claim, record, acts   what moves the tape, each one transaction
//! items, strip, nodes, files, people, idempotency   the rest, by table
//! ```
//!
//! Called by engine, service and hub's feeder. Invariants 1 to 6 of the tape hold in every committed snapshot.
//! Deliberately knows neither HTTP nor persons' rights. Entities never leave this room; records do.

pub mod error;
pub mod migration;
pub mod people;
pub mod records;
pub mod vault;

use std::path::PathBuf;
use std::sync::Arc;

pub use error::StoreError;
pub use records::*;
pub use vault::{Draft, Stored, Vault};

use crate::protocol::{
    BatchId, BatchPatch, BatchState, FamilyPage, ItemQuery, NodeId, RetryRequest, Seq, StripCell, Timestamp,
};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `sqlite://PATH` (or `postgres://…`, later).
    pub url: String,
    /// Connections that read; one more writes.
    pub readers: u32,
    /// Folder of file contents.
    pub files: PathBuf,
}

/// Where the store takes the time from: the system's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The database and the folder of file contents. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    _stub: (),
}

#[expect(clippy::unused_async, unused_variables, reason = "stub")]
impl Store {
    /// Connects, applies migrations, and raises `rev` where the last stop was not clean.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        todo!()
    }
    /// As [`Store::open`], with a clock of the caller's.
    pub async fn open_with_clock(options: StoreOptions, clock: Clock) -> Result<Self, StoreError> {
        todo!()
    }
    /// Closes all connections after a checkpoint.
    pub async fn close(&self) {
        todo!()
    }
    /// The time by the store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        todo!()
    }
    /// File contents.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        todo!()
    }
    /// A cheap round trip through the writer: proves that commits are possible.
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    // --- batches.rs ---
    /// Creates a batch without items (generated batches: with all of them), not sealed unless generated.
    pub async fn create(&self, new: CreateBatch) -> Result<BatchRecord, StoreError> {
        todo!()
    }
    /// Appends blocks (and the files they name) in one transaction. `first_seq` must be total + 1.
    pub async fn append(
        &self,
        batch: BatchKey,
        first_seq: Seq,
        blocks: Vec<NewBlock>,
        files: Vec<FileRecord>,
    ) -> Result<BatchRecord, StoreError> {
        todo!()
    }
    /// No more items can come; finishes the batch if all have ended. A sealed batch stays as it is.
    pub async fn seal(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// By id; deleted ones are not found.
    pub async fn batch(&self, id: BatchId) -> Result<BatchRecord, StoreError> {
        todo!()
    }
    /// By key.
    pub async fn batch_by_key(&self, key: BatchKey) -> Result<BatchRecord, StoreError> {
        todo!()
    }
    /// Newest first, at most `limit`, with the key of the last for the next page.
    pub async fn list(&self, filter: BatchFilter) -> Result<BatchList, StoreError> {
        todo!()
    }
    /// How many of each kind, as visible to `viewer`.
    pub async fn counts(&self, viewer: &Viewer) -> Result<crate::protocol::BatchCounts, StoreError> {
        todo!()
    }

    // --- acts.rs: each durable before the answer, each returns what changed ---
    /// Stops handing out; `reason` is stored (none for a person's act).
    pub async fn pause(&self, batch: BatchKey, reason: Option<String>) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// Hands out again.
    pub async fn resume(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// Seals, ends all that is not leased as cancelled, and asks the holders of leases to end the rest.
    pub async fn cancel(&self, batch: BatchKey, reason: Option<String>) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// Failed (or chosen) outcomes leave; their items are requeued in a new generation.
    pub async fn retry(&self, batch: BatchKey, request: &RetryRequest) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// Name, concurrency, priority.
    pub async fn patch(&self, batch: BatchKey, patch: &BatchPatch) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// Hides a finished batch at once; rows and files go later, by [`Store::sweep`].
    pub async fn delete(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        todo!()
    }
    /// Removes rows and files of deleted batches and drafts nobody names, bounded; true if more is left.
    pub async fn sweep(&self) -> Result<bool, StoreError> {
        todo!()
    }
    /// Starts scheduled batches whose `start_at` has come.
    pub async fn start_due(&self) -> Result<Vec<BatchChange>, StoreError> {
        todo!()
    }

    // --- claim.rs ---
    /// Leases one range to a node, if there is one to be had. Chooses the batch by priority, then least lately served.
    pub async fn claim(
        &self,
        request: &ClaimRequest<'_>,
    ) -> Result<Option<(Claim, BatchChange)>, StoreError> {
        todo!()
    }
    /// When the next requeued range or scheduled batch comes due, if one is waiting.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        todo!()
    }
    /// The inputs of `range`, in order. Generated batches: the numbers themselves.
    pub async fn inputs(&self, batch: &BatchRecord, range: SeqRange) -> Result<Vec<InputRecord>, StoreError> {
        todo!()
    }

    // --- record.rs ---
    /// One transaction for all leases of a node: outcomes, requeues, hand-backs, counters, the end of batches.
    pub async fn record(&self, node: &NodeId, reports: &[LeaseReport]) -> Result<Recorded, StoreError> {
        todo!()
    }

    // --- nodes.rs ---
    /// Adds this process.
    pub async fn node_started(&self, node: &NodeRecord) -> Result<(), StoreError> {
        todo!()
    }
    /// Beats, with what is busy.
    pub async fn node_beat(
        &self,
        node: &NodeId,
        busy: u32,
        rate_per_s: f64,
        state: crate::protocol::NodeState,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// Leaves cleanly: the node has no lease any more.
    pub async fn node_stopped(&self, node: &NodeId) -> Result<(), StoreError> {
        todo!()
    }
    /// All nodes that beat within the last hour.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        todo!()
    }
    /// Takes back every lease of nodes that are gone: items in `started` spend an attempt (`lost`), the rest does not.
    /// `alive` are never touched. At start on SQLite: `alive` empty.
    pub async fn reclaim(
        &self,
        alive: &[NodeId],
        policy: RetryPolicy,
    ) -> Result<Vec<BatchChange>, StoreError> {
        todo!()
    }

    // --- items.rs: reads, each one snapshot ---
    /// Rows of `from..=to` that exist, with the `rev` they show.
    pub async fn window(&self, batch: &BatchRecord, from: Seq, to: Seq) -> Result<ItemList, StoreError> {
        todo!()
    }
    /// Rows by filter, in order of `seq`.
    pub async fn items(&self, batch: &BatchRecord, query: &ItemQuery) -> Result<ItemList, StoreError> {
        todo!()
    }
    /// One item with its attempts and log.
    pub async fn item(&self, batch: &BatchRecord, seq: Seq) -> Result<ItemRecord, StoreError> {
        todo!()
    }
    /// Families, most failures first.
    pub async fn families(&self, batch: &BatchRecord) -> Result<FamilyPage, StoreError> {
        todo!()
    }
    /// Cells of the strip that differ from all-pending, with the `rev` they show.
    pub async fn strip(&self, batch: &BatchRecord) -> Result<(u64, Vec<StripCell>), StoreError> {
        todo!()
    }
    /// The stored file `name` of an item: as left by its committed outcome, or its input.
    pub async fn item_file(
        &self,
        batch: &BatchRecord,
        seq: Seq,
        name: &str,
    ) -> Result<FileRecord, StoreError> {
        todo!()
    }
    /// Files of the items in `range`, in order of seq and name.
    pub async fn files(&self, batch: &BatchRecord, range: SeqRange) -> Result<Vec<FileRecord>, StoreError> {
        todo!()
    }
    /// Batches whose state is not finished (for start-up), oldest first.
    pub async fn unfinished(&self) -> Result<Vec<BatchRecord>, StoreError> {
        todo!()
    }
    /// Checks invariants 1 and 2 of a batch by scanning it: for tests and audits.
    pub async fn audit(&self, batch: BatchKey) -> Result<(), StoreError> {
        todo!()
    }
}

/// Keeps `BatchState` in scope for the records' docs.
const _: fn(BatchState) -> bool = BatchState::is_finished;
