//! Makes work happen: the way of an item from a request to its committed end.
//!
//! ```text
//! intake    -> dispatch          -> execute    -> record        the way of an item, in this order
//! acts         what people ask of a batch, and what comes due   cluster    this node among the others
//! new_batch    a batch, checked  publisher     commits to topics window_feed  what somebody looks at
//! flow         what passes between the stages                   liveness, health, supervisor, lifecycle
//! ```
//!
//! Only what is committed is published, and whatever is not recorded runs again. Knows no HTTP and no person.
//!
//! # Who wakes whom
//!
//! Each loop also looks by itself after a while: a wake-up only makes it sooner.
//!
//! | wake-up | woken by | wakes | because |
//! | --- | --- | --- | --- |
//! | `BlockBuffer::added` | an intake | its block writer | there may be a block to commit |
//! | `BlockBuffer::written` | the block writer | its intake | there is room again |
//! | `SettlementQueue::added` | an intake | the settle loop | the database did not answer at once |
//! | `Wakes::work` | commits of any kind, hints of other nodes | the claim loop | the store may have more |
//! | `Wakes::room` | a slot without a chunk, or half a lease started | the claim loop | this node has room |
//! | `Wakes::load` | a grant, a slot | the input loader | inputs run low |
//! | `Wakes::chunk` | a grant, loaded inputs, a slot, the recorder | a slot | there may be a chunk |
//! | `Wakes::report` | a slot, a grant, an act | the recorder | there may be something to record |
//! | `Wakes::group` | a slot | the recorder | a whole group waits |
//! | `AuditQueue::added` | the recorder, acts | the audit loop | a batch has ended |
//! | `ActWakes::steps` | acts, the recorder, the service | the step loop | an act goes on, or a batch follows |
//! | `ActWakes::sweep` | a delete, a full disk | the retention loop | files may go |
//! | `ActWakes::grown` | a block writer | block writers of other uploads | it may be their turn |
//! | `Outbox::committed` | the publisher | the loop that sends hints | other nodes are to look |
//! | `Outbox::came` | the loop that receives hints | the loop that reads | another node has committed |
//! | `Liveness::hurry` | a slot that stood still | the heartbeat | the node may be lost |
//! | `lost` | the heartbeat, joining anew | lease recovery | this node was lost |

mod acts;
mod cluster;
mod dispatch;
mod estimate;
mod execute;
mod flow;
mod health;
mod intake;
mod lifecycle;
mod liveness;
mod log_limit;
mod new_batch;
mod publisher;
mod record;
mod supervisor;
#[cfg(test)]
mod tests;
mod window_feed;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use self::acts::Acts;
use self::cluster::Membership;
use self::intake::IntakeStage;
pub use self::intake::{ClaimedKey, Empty, Intake};
pub use self::log_limit::LogLimit;
pub use self::new_batch::{CheckedBatch, ScheduledItems};
use self::window_feed::WindowFeed;
use crate::fault::Loop;
use crate::hub::Hub;
use crate::protocol::{
    Batch, BatchId, BatchPatch, NewBatch, Node, NodeId, RetryRequest, Rev, Role, Running, Seq, Timestamp,
};
use crate::store::{BatchKey, BatchRecord, RunClaim, StoreError};
use crate::tasks::{Redeclared, Registry, WorkCell};

/// Reason of a batch whose items stopped coming.
const CUT_OFF: &str = "the upload was cut off";

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
    /// An upload that says how many items are to come, and to which nothing was added for so long, is sealed; 0 for never.
    pub upload_idle_seconds: u32,
    /// Bytes of all files that the items of one batch leave at most.
    pub files_bytes_per_batch_max: u64,
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
    stages: Arc<Stages>,
}

/// The stages that take calls from outside.
struct Stages {
    hub: Hub,
    tasks: Arc<Registry>,
    intake: Arc<IntakeStage>,
    acts: Arc<Acts>,
    membership: Arc<Membership>,
    drained: OnceCell<()>,
}

/// What it is, and what it shows.
impl Engine {
    /// This node, as it is known now.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.stages.membership.liveness.node()
    }

    /// Folder of this node for what need not last.
    #[must_use]
    pub fn work_folder(&self) -> &Path {
        &self.stages.membership.options.work
    }

    /// Why this node is not ready, if it is not: a sentence.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        self.stages.loops().health().unready()
    }

    /// True while the database does not answer this node: whatever needs it would wait in vain.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.stages.membership.liveness.is_away()
    }

    /// The cell of an item that runs on this node now.
    #[must_use]
    pub fn work_cell(&self, batch: BatchId, seq: Seq) -> Option<Arc<WorkCell>> {
        window_feed::work_cell(&self.stages.membership.dispatcher, batch, seq)
    }

    /// When an item that runs on this node was taken up.
    #[must_use]
    pub fn started_at(&self, batch: BatchId, seq: Seq) -> Option<Timestamp> {
        window_feed::started_at(&self.stages.membership.dispatcher, batch, seq)
    }

    /// A batch as everybody sees it, with its rate and the time left.
    #[must_use]
    pub fn wire(&self, batch: &BatchRecord) -> Batch {
        self.stages.acts.publisher.wire(batch)
    }

    /// A revision for the topics `batches` and `nodes`: grows with every call, over restarts too.
    #[must_use]
    pub fn list_rev(&self) -> Rev {
        self.stages.acts.publisher.list_rev()
    }

    /// All nodes, as everybody sees them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn nodes(&self) -> Result<Vec<Node>, EngineError> {
        self.stages.membership.nodes().await
    }

    /// Takes no more work on `node`, this one or another, and answers it as it then is; what runs goes on within the
    /// grace, and the rest is handed back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, or it is down; what else the store says.
    pub async fn drain_node(&self, node: &NodeId) -> Result<Node, EngineError> {
        self.stages.membership.drain_node(node).await
    }

    /// Has what is held of the tasks that are declared anew made ready by their new declaration: running items end as
    /// they began, all others go back unspent and are claimed again.
    pub fn tasks_changed(&self, redeclared: &Redeclared) {
        self.stages.membership.dispatcher.renew(|task| redeclared.concerns(task));
    }

    /// Feeds the hub with the windows and items that somebody looks at, until the engine stops. For nodes that serve.
    pub fn feed_windows(&self) {
        let Membership { store, dispatcher, liveness, .. } = &*self.stages.membership;
        let feed = WindowFeed {
            store: store.clone(),
            hub: self.stages.hub.clone(),
            dispatcher: Arc::clone(dispatcher),
            liveness: Arc::clone(liveness),
        };
        feed.start(self.stages.loops());
    }

    /// Runs a loop beside those of the engine that holds nothing between two rounds; one that breaks is started again. It
    /// is to end when what it serves does.
    pub fn keep<F>(&self, which: Loop, begin: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.stages.loops().keep(which, begin);
    }
}

/// Batches in.
impl Engine {
    /// Checks all but the items of a batch, and prepares its task.
    ///
    /// # Errors
    /// `UnknownTask`, `Invalid`, `TooLarge`; `NoItems` for what is to follow it.
    pub fn check(&self, new: NewBatch, owner: String) -> Result<CheckedBatch, EngineError> {
        self.stages.intake.validator.check(new, owner)
    }

    /// Starts a batch. Items come through the [`Intake`].
    ///
    /// # Errors
    /// `TooLarge`, `Unready`; what the store says.
    pub async fn create(&self, checked: CheckedBatch, columns: Vec<String>) -> Result<Intake, EngineError> {
        self.stages.intake.create(checked, columns).await
    }

    /// Creates a batch of the numbers 1 to `count`; `key` and the hash of its request are bound to it in the same
    /// transaction, and free where there is an error.
    ///
    /// # Errors
    /// `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_generated(
        &self,
        checked: CheckedBatch,
        count: u64,
        key: Option<(ClaimedKey, String)>,
    ) -> Result<BatchRecord, EngineError> {
        self.stages.intake.create_generated(checked, count, key).await
    }

    /// Creates the batch that a schedule is to make, whole, in the transaction that takes `claim`; none where it was made
    /// before, or the schedule has changed or is gone. `key` is as for [`Engine::create_generated`].
    ///
    /// # Errors
    /// `Invalid`, `NoItems`, `TooLarge`, `Unready`; what the store says.
    pub async fn create_scheduled(
        &self,
        checked: CheckedBatch,
        items: ScheduledItems,
        claim: RunClaim,
        key: Option<(ClaimedKey, String)>,
    ) -> Result<Option<BatchRecord>, EngineError> {
        self.stages.intake.create_scheduled(checked, items, claim, key).await
    }

    /// Whether a schedule could make a batch over so many items.
    ///
    /// # Errors
    /// `TooLarge`, `NoItems`.
    pub fn check_items(&self, items: &ScheduledItems) -> Result<(), EngineError> {
        if items.count() == 0 {
            return Err(EngineError::NoItems);
        }
        self.stages.intake.validator.within_limit(items.count())
    }

    /// Goes on with an open batch; `first_seq` must be its total + 1, or come to be it within `patience`: what comes ahead is
    /// read meanwhile, and written in its turn.
    ///
    /// # Errors
    /// `WrongFirstSeq` with the total; `WrongState` for a sealed batch; `Unready` while the body that makes it is still
    /// coming; what else the store says.
    pub async fn append(
        &self,
        batch: BatchKey,
        first_seq: Seq,
        patience: Duration,
    ) -> Result<Intake, EngineError> {
        self.stages.intake.append(batch, first_seq, patience).await
    }

    /// The request of a claimed key has failed before a batch was whole: the key is free.
    pub async fn free_key(&self, key: ClaimedKey) {
        self.stages.intake.settler.free_key(key).await;
    }
}

/// Acts on batches: see `acts`. Each is done whole, even where the caller goes away.
impl Engine {
    /// No more items can come.
    ///
    /// # Errors
    /// `Unready` while the body that makes it is still coming; what the store says.
    pub async fn seal(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        self.stages.acts.seal(batch).await
    }

    /// Pauses: what has not started is handed back.
    ///
    /// # Errors
    /// `WrongState` where it cannot be paused; what else the store says.
    pub async fn pause(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        self.stages.acts.pause(batch).await
    }

    /// Resumes.
    ///
    /// # Errors
    /// `WrongState` where it cannot be resumed; what else the store says.
    pub async fn resume(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        self.stages.acts.resume(batch).await
    }

    /// Cancels: untouched items end at once, running ones are stopped; a running intake stops.
    ///
    /// # Errors
    /// `WrongState` where it has ended otherwise; what else the store says.
    pub async fn cancel(&self, batch: BatchKey) -> Result<BatchRecord, EngineError> {
        self.stages.acts.cancel_as(batch, Running::Stop).await
    }

    /// As [`Engine::cancel`], with what becomes of the items that run.
    ///
    /// # Errors
    /// As [`Engine::cancel`].
    pub async fn cancel_as(&self, batch: BatchKey, running: Running) -> Result<BatchRecord, EngineError> {
        self.stages.acts.cancel_as(batch, running).await
    }

    /// Retries failed or chosen items.
    ///
    /// # Errors
    /// `TooLarge` for too many seqs; `WrongState` while it is cancelling; what else the store says.
    pub async fn retry(&self, batch: BatchKey, request: &RetryRequest) -> Result<BatchRecord, EngineError> {
        self.stages.acts.retry(batch, request).await
    }

    /// An act over many has been asked for: some node goes on with it, this one at once.
    pub fn bulk_act_added(&self) {
        self.stages.acts.wakes.steps.notify_one();
    }

    /// Changes name, concurrency or priority.
    ///
    /// # Errors
    /// `Invalid` for a value out of bounds; what else the store says.
    pub async fn patch(&self, batch: BatchKey, patch: &BatchPatch) -> Result<BatchRecord, EngineError> {
        self.stages.acts.patch(batch, patch).await
    }

    /// Deletes a finished batch.
    ///
    /// # Errors
    /// `NotFinished`; what else the store says.
    pub async fn delete(&self, batch: BatchKey) -> Result<(), EngineError> {
        self.stages.acts.delete(batch).await
    }
}
