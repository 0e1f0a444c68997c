//! The one door to every use case: who asks → may they → one call → protocol types.
//!
//! Stub; the public face is fixed.

use std::sync::Arc;

use crate::engine::{Engine, Intake};
use crate::hub::Hub;
use crate::protocol::{
    ApiError, Batch, BatchAct, BatchCounts, BatchId, BatchPage, BatchPatch, BatchQuery, BatchSettings,
    FamilyPage, ItemDetail, ItemPage, ItemQuery, Me, NewBatch, NodePage, PersonRole, RetryRequest, Rev, Row,
    Seq, StripCell, TaskPage, Topic,
};
use crate::store::{BatchRecord, FileRecord, Store, Viewer};
use crate::tasks::Registry;

/// Who is asking: known, with a role. There is no anonymous caller: what is open needs no caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the person, or `token:NAME`.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// By what they came in.
    pub via: Via,
}

/// By what a caller came in; a revoked one closes its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// A login cookie, by the hash of its id.
    Login(String),
    /// A bearer token, by name.
    Token(String),
    /// The process itself (command line, tests).
    Local,
}

impl Caller {
    /// What the caller sees in lists.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        Viewer { name: self.name.clone(), sees_all: self.role == PersonRole::Admin }
    }
}

/// The one door. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Parts>,
}

/// What the door leads to.
pub struct Parts {
    /// Tables.
    pub store: Store,
    /// Work.
    pub engine: Engine,
    /// Tasks.
    pub tasks: Arc<Registry>,
    /// Who hears what.
    pub hub: Hub,
}

#[expect(clippy::unused_async, unused_variables, clippy::unused_self, reason = "stub")]
impl Service {
    /// Opens the door.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { inner: Arc::new(parts) }
    }
    /// What is behind it, for the rooms that only carry (server's downloads, live).
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.inner
    }

    /// Who the caller is, for their own pages.
    #[must_use]
    pub fn me(&self, caller: &Caller) -> Me {
        Me { name: caller.name.clone(), role: caller.role }
    }
    /// Tasks that can be run.
    pub fn tasks(&self, caller: &Caller) -> Result<TaskPage, ApiError> {
        todo!()
    }
    /// Nodes.
    pub async fn nodes(&self, caller: &Caller) -> Result<NodePage, ApiError> {
        todo!()
    }
    /// Stops a node from taking work.
    pub async fn drain_node(&self, caller: &Caller, node: &str) -> Result<(), ApiError> {
        todo!()
    }

    /// Batches, newest first.
    pub async fn batches(&self, caller: &Caller, query: &BatchQuery) -> Result<BatchPage, ApiError> {
        todo!()
    }
    /// How many of each kind.
    pub async fn batch_counts(&self, caller: &Caller) -> Result<BatchCounts, ApiError> {
        todo!()
    }
    /// One batch.
    pub async fn batch(&self, caller: &Caller, id: BatchId) -> Result<Batch, ApiError> {
        todo!()
    }
    /// What its page needs beside it.
    pub async fn batch_settings(&self, caller: &Caller, id: BatchId) -> Result<BatchSettings, ApiError> {
        todo!()
    }
    /// Pause, resume, cancel, delete.
    pub async fn act(&self, caller: &Caller, id: BatchId, act: BatchAct) -> Result<Batch, ApiError> {
        todo!()
    }
    /// Retry.
    pub async fn retry(
        &self,
        caller: &Caller,
        id: BatchId,
        request: &RetryRequest,
    ) -> Result<Batch, ApiError> {
        todo!()
    }
    /// Name, concurrency, priority.
    pub async fn patch(&self, caller: &Caller, id: BatchId, patch: &BatchPatch) -> Result<Batch, ApiError> {
        todo!()
    }

    /// Items by filter.
    pub async fn items(&self, caller: &Caller, id: BatchId, query: &ItemQuery) -> Result<ItemPage, ApiError> {
        todo!()
    }
    /// Items of a window, with progress of running ones.
    pub async fn window(
        &self,
        caller: &Caller,
        id: BatchId,
        from: Seq,
        to: Seq,
    ) -> Result<ItemPage, ApiError> {
        todo!()
    }
    /// One item.
    pub async fn item(&self, caller: &Caller, id: BatchId, seq: Seq) -> Result<ItemDetail, ApiError> {
        todo!()
    }
    /// Families of failures.
    pub async fn families(&self, caller: &Caller, id: BatchId) -> Result<FamilyPage, ApiError> {
        todo!()
    }
    /// The strip.
    pub async fn strip(&self, caller: &Caller, id: BatchId) -> Result<(Rev, Vec<StripCell>), ApiError> {
        todo!()
    }
    /// A file of an item, for download.
    pub async fn file(
        &self,
        caller: &Caller,
        id: BatchId,
        seq: Seq,
        name: &str,
    ) -> Result<FileRecord, ApiError> {
        todo!()
    }
    /// The record of a batch the caller may see, for results and live.
    pub async fn visible(&self, caller: &Caller, id: BatchId) -> Result<BatchRecord, ApiError> {
        todo!()
    }

    /// Starts a batch whose items will be pushed.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewBatch,
        columns: Vec<String>,
    ) -> Result<Intake, ApiError> {
        todo!()
    }
    /// A batch of numbers.
    pub async fn create_generated(
        &self,
        caller: &Caller,
        new: NewBatch,
        count: u64,
    ) -> Result<Batch, ApiError> {
        todo!()
    }
    /// Goes on with an open batch.
    pub async fn append(&self, caller: &Caller, id: BatchId, first_seq: Seq) -> Result<Intake, ApiError> {
        todo!()
    }
    /// No more items can come.
    pub async fn seal(&self, caller: &Caller, id: BatchId) -> Result<Batch, ApiError> {
        todo!()
    }

    /// All rows of a topic as of one moment: the answer to a subscribe. Authorises.
    pub async fn topic(&self, caller: &Caller, topic: Topic) -> Result<(Rev, Vec<Row>), ApiError> {
        todo!()
    }
}
