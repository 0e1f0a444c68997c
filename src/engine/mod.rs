//! Makes work happen.
//!
//! Stub; the public face is fixed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::hub::Hub;
use crate::protocol::{Batch, BatchId, BatchPatch, Json, NewBatch, Node, NodeId, RetryRequest, Role, Seq};
use crate::store::{BatchChange, BatchKey, BatchRecord, FileRecord, Store, StoreError, Stored};
use crate::tasks::{Registry, WorkCell};

/// Settings of the engine, plain values.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Name of the node for people.
    pub node_name: String,
    /// Serves, works, or both.
    pub role: Role,
    /// Items at once.
    pub slots: u32,
    /// A node that has not beaten for so long is lost.
    pub lease_seconds: u32,
    /// How often lost nodes are looked for.
    pub reclaim_seconds: u32,
    /// Grace of a drain.
    pub drain_seconds: u32,
    /// Attempts per item where a batch says nothing.
    pub attempts_max: u32,
    /// Days after which finished batches are deleted.
    pub retention_days: u32,
    /// Items of one batch at most.
    pub items_per_batch_max: u64,
    /// Folder for the files of running attempts.
    pub work: PathBuf,
}

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such task. The request's fault.
    #[error("there is no task named {0:?}")]
    UnknownTask(String),
    /// Parameters, options or items are not acceptable. The request's fault.
    #[error("{detail}")]
    Invalid {
        /// What was expected.
        detail: String,
        /// Line of the input, from 1.
        line: Option<u64>,
    },
    /// More items or bytes than a limit allows.
    #[error("{0}")]
    TooLarge(String),
    /// No items came, and the batch is not open.
    #[error("a batch needs at least one item")]
    NoItems,
    /// The engine claims nothing (disk full, invariant broken, draining); reason as a sentence.
    #[error("{0}")]
    Unready(String),
}

/// The engine of this node. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

/// A batch whose items are coming in. Dropped before [`Intake::finish`]: the batch ends cancelled with a reason.
pub struct Intake {
    _stub: (),
}

#[expect(clippy::unused_async, unused_variables, clippy::unused_self, reason = "stub")]
impl Engine {
    /// Takes back what an earlier process left, then starts all loops.
    pub async fn start(
        store: Store,
        tasks: Arc<Registry>,
        hub: Hub,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        todo!()
    }
    /// Stops claiming, finishes within the grace, hands back the rest, stops all loops. Idempotent.
    pub async fn drain(&self) {}
    /// This node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        todo!()
    }
    /// Why this node is not ready, if it is not: a sentence.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        None
    }
    /// Starts a batch: checks task, parameters and options. Items come through the [`Intake`].
    pub async fn create(
        &self,
        new: NewBatch,
        owner: String,
        columns: Vec<String>,
    ) -> Result<Intake, EngineError> {
        todo!()
    }
    /// Creates a batch of the numbers 1 to `count`.
    pub async fn create_generated(
        &self,
        new: NewBatch,
        owner: String,
        count: u64,
    ) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Goes on with an open batch; `first_seq` must be its total + 1.
    pub async fn append(&self, batch: BatchKey, first_seq: Seq) -> Result<Intake, EngineError> {
        todo!()
    }
    /// No more items can come.
    pub async fn seal(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Pause, and hand back what has not started.
    pub async fn pause(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Resume.
    pub async fn resume(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Cancel: untouched items end at once, running ones are stopped; a running intake stops.
    pub async fn cancel(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Retry failed or chosen items.
    pub async fn retry(&self, batch: BatchKey, request: &RetryRequest) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Name, concurrency, priority.
    pub async fn patch(&self, batch: BatchKey, patch: &BatchPatch) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Delete a finished batch.
    pub async fn delete(&self, batch: BatchKey) -> Result<(), EngineError> {
        todo!()
    }
    /// Rate and time left of a batch, as everybody sees it.
    #[must_use]
    pub fn wire(&self, batch: &BatchRecord) -> Batch {
        batch.to_wire(None, None)
    }
    /// The cell of an item that runs on this node now.
    #[must_use]
    pub fn work_cell(&self, batch: BatchId, seq: Seq) -> Option<Arc<WorkCell>> {
        None
    }
    /// Running items of this node, at most `max`.
    #[must_use]
    pub fn running(&self, max: usize) -> Vec<(BatchId, Seq)> {
        Vec::new()
    }
    /// All nodes, as everybody sees them.
    pub async fn nodes(&self) -> Result<Vec<Node>, EngineError> {
        todo!()
    }
    /// Publishes what a commit changed: batch, families and strip to their topics.
    pub fn publish(&self, change: &BatchChange) {}
}

#[expect(clippy::unused_async, unused_variables, clippy::unused_self, reason = "stub")]
impl Intake {
    /// The batch, as of the last commit.
    #[must_use]
    pub fn batch(&self) -> &BatchRecord {
        todo!()
    }
    /// Adds one item: a line, or a record. Commits by size and by time, so that items run before the end.
    pub async fn push(&mut self, json: &Json) -> Result<(), EngineError> {
        todo!()
    }
    /// Adds one file.
    pub async fn push_file(&mut self, name: &str, stored: Stored) -> Result<(), EngineError> {
        todo!()
    }
    /// Commits the rest and seals (unless the batch is open).
    pub async fn finish(self) -> Result<BatchRecord, EngineError> {
        todo!()
    }
    /// Ends the batch `cancelled` with `reason`; what ran stays visible.
    pub async fn abort(self, reason: String) -> Result<BatchRecord, EngineError> {
        todo!()
    }
}

/// Keeps `FileRecord` in scope for the docs.
const _: fn(&FileRecord) -> &str = |file| &file.key;
