//! From a batch as it is stored to a batch that is ready to run on this node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::EngineOptions;
use crate::engine::flow::{LeftBytes, MovingMean, PreparedBatch};
use crate::protocol::BatchId;
use crate::store::{BatchRecord, RetryPolicy};
use crate::tasks::{Prepared, Registry};

/// Time limits are held to a year.
const TIME_LIMIT_SECONDS_MAX: f64 = 31_536_000.0;

/// Prepares batches.
pub struct Preparer {
    tasks: Arc<Registry>,
    policy: RetryPolicy,
    files_bytes_max: u64,
    /// Path of the folder for the files of running attempts.
    work: String,
    /// Tasks of batches that are being stored right now: at most one for each create that is under way.
    ahead: Mutex<HashMap<BatchId, Arc<dyn Prepared>>>,
}

/// While it lives, the task that was prepared to check a new batch is found by whoever claims of that batch: it may be
/// claimed of as soon as it is stored, before the create that stored it goes on.
pub struct PreparedAhead {
    preparer: Arc<Preparer>,
    batch: BatchId,
}

impl Drop for PreparedAhead {
    fn drop(&mut self) {
        self.preparer.ahead().remove(&self.batch);
    }
}

impl Preparer {
    /// For the tasks of this node.
    pub fn new(tasks: Arc<Registry>, options: &EngineOptions) -> Self {
        let (policy, work) = (RetryPolicy::new(options.attempts_max), options.work.display().to_string());
        let files_bytes_max = options.files_bytes_per_batch_max;
        Self { tasks, policy, files_bytes_max, work, ahead: Mutex::default() }
    }

    /// Names of the tasks that are known here.
    pub fn task_names(&self) -> impl Iterator<Item = String> {
        self.tasks.infos().into_iter().map(|info| info.name.clone())
    }

    fn ahead(&self) -> MutexGuard<'_, HashMap<BatchId, Arc<dyn Prepared>>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the task of a batch that is about to be stored.
    pub fn keep_ahead(self: &Arc<Self>, batch: BatchId, prepared: &Arc<dyn Prepared>) -> PreparedAhead {
        self.ahead().insert(batch, Arc::clone(prepared));
        PreparedAhead { preparer: Arc::clone(self), batch }
    }

    /// The batch ready to run, where the create that stores it is still under way on this node.
    pub fn prepared_ahead(&self, batch: &BatchRecord) -> Option<Arc<PreparedBatch>> {
        let prepared = self.ahead().get(&batch.id).cloned()?;
        Some(self.with(batch, prepared))
    }

    /// The batch ready to run; or why not, with a stand-in that only serves to hand its items back.
    pub fn prepare(&self, batch: &BatchRecord) -> Result<Arc<PreparedBatch>, (String, Arc<PreparedBatch>)> {
        match self.tasks.prepare(&batch.task, &batch.params) {
            Some(Ok((_params, prepared))) => Ok(self.with(batch, prepared)),
            Some(Err(faults)) => {
                let reason = format!("The parameters no longer fit the task: {}", faults.join("; "));
                Err((reason, self.with(batch, absent())))
            }
            None => {
                let reason = format!("There is no task named {:?} here.", batch.task);
                Err((reason, self.with(batch, absent())))
            }
        }
    }

    /// The batch, with its task prepared already.
    pub fn with(&self, batch: &BatchRecord, prepared: Arc<dyn Prepared>) -> Arc<PreparedBatch> {
        let seconds = batch.options.timeout_seconds.unwrap_or_else(|| f64::from(prepared.timeout_seconds()));
        Arc::new(PreparedBatch {
            key: batch.key,
            id: batch.id,
            task: batch.task.clone(),
            source: batch.source,
            is_limited: AtomicBool::new(batch.options.concurrency.is_some()),
            retry: self.policy.with(&batch.options),
            time_limit: Duration::from_secs_f64(seconds.clamp(0.001, TIME_LIMIT_SECONDS_MAX)),
            out_prefix: format!("{}/{}-", self.work, batch.id).into(),
            pace_ns: MovingMean::default(),
            input_bytes: MovingMean::default(),
            left_bytes: LeftBytes::new(self.files_bytes_max),
            served: AtomicU64::new(0),
            prepared,
        })
    }
}

/// Stands in for a task that is not there; never run.
fn absent() -> Arc<dyn Prepared> {
    struct Absent;
    impl Prepared for Absent {
        fn run(
            &self,
            _item: crate::tasks::Item,
            _context: crate::tasks::TaskContext,
        ) -> crate::tasks::task::Run {
            Box::pin(async { Err(crate::tasks::TaskError::passing("absent", "There is no such task here.")) })
        }
        fn timeout_seconds(&self) -> u32 {
            1
        }
    }
    Arc::new(Absent)
}
