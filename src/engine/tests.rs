//! The engine on a real database file, with a task made for the purpose.
//!
//! Every test ends with the store's own audit.

mod acts;
mod intake;
mod nodes;
mod run;
mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Engine, EngineError, EngineOptions, Intake};
use crate::hub::Hub;
use crate::protocol::{BatchState, InputKind, Json, NewBatch, Options, Role};
use crate::store::{BatchRecord, Store, StoreOptions};
use crate::tasks::{Again, Item, ItemInput, LogLevel, Registry, Task, TaskContext, TaskError};

/// Runs of the probe, and runs at once, over all tests of one bench.
#[derive(Default)]
struct Counts {
    runs: AtomicU64,
    now: AtomicU64,
    most: AtomicU64,
}

struct Probe(Arc<Counts>);

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct ProbeParams {
    /// Each so many an item fails; 0 = none.
    fail_each: u64,
    /// How many of its attempts fail; 0 = all.
    fail_attempts: u32,
    wait_ms: u64,
    /// Only items after this one wait.
    wait_after: u64,
    panic: bool,
    /// Each item leaves a file and a log line.
    talk: bool,
    /// Failures have so many bytes to say.
    shout_bytes: usize,
}

impl Task for Probe {
    type Params = ProbeParams;
    const NAME: &'static str = "probe";
    const TITLE: &'static str = "Probe";
    const DESCRIPTION: &'static str = "Does what a test asks.";
    const INPUT: InputKind = InputKind::Line;

    async fn run(
        &self,
        params: Arc<ProbeParams>,
        item: Item,
        context: TaskContext,
    ) -> Result<Json, TaskError> {
        self.0.runs.fetch_add(1, Ordering::Relaxed);
        let now = self.0.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(now, Ordering::Relaxed);
        if params.wait_ms > 0 && item.seq > params.wait_after {
            context.progress(0.5);
            tokio::time::sleep(Duration::from_millis(params.wait_ms)).await;
        }
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        assert!(!params.panic, "as asked");
        if params.talk {
            context.log(LogLevel::Info, "hello");
            // The empty one alone is left by the first item.
            let text: &[u8] = if item.seq == 1 { b"" } else { b"text" };
            let wrote = context.write_file("a.txt", text);
            wrote.map_err(|fault| TaskError::passing("io", fault.to_string()))?;
        }
        let fails = params.fail_each > 0 && item.seq.is_multiple_of(params.fail_each);
        if fails && (params.fail_attempts == 0 || item.attempt <= params.fail_attempts) {
            let message = format!("item {} does not want to{}", item.seq, "!".repeat(params.shout_bytes));
            return Err(TaskError { kind: "planned", message, again: Again::Yes });
        }
        Ok(Json::default())
    }
}

/// Answers what is in its file.
struct Reader;

impl Task for Reader {
    type Params = ProbeParams;
    const NAME: &'static str = "reader";
    const TITLE: &'static str = "Reader";
    const DESCRIPTION: &'static str = "Reads a file.";
    const INPUT: InputKind = InputKind::File;

    async fn run(
        &self,
        _params: Arc<ProbeParams>,
        item: Item,
        _context: TaskContext,
    ) -> Result<Json, TaskError> {
        let ItemInput::File { name, path, bytes, .. } = item.input else {
            return Err(TaskError::input("input", "no file"));
        };
        let text =
            std::fs::read_to_string(path).map_err(|fault| TaskError::input("io", fault.to_string()))?;
        Ok(Json::string(&format!("{name} {bytes} {text}")))
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
    engine: Engine,
    counts: Arc<Counts>,
    options: EngineOptions,
}

async fn start(store: &Store, counts: &Arc<Counts>, options: &EngineOptions) -> Engine {
    let tasks = Arc::new(Registry::default().with(Probe(Arc::clone(counts))).with(Reader));
    Engine::start(store.clone(), tasks, Hub::default(), options.clone()).await.unwrap()
}

impl Bench {
    async fn new(slots: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            url: format!("sqlite://{}", folder.path().join("a.db").display()),
            readers: 2,
            writers: 1,
            files: folder.path().join("files"),
            bucket: None,
            quotas: Default::default(),
        })
        .await
        .unwrap();
        let options = EngineOptions {
            node_name: "a".to_owned(),
            role: Role::All,
            slots,
            lease_seconds: 30,
            reclaim_seconds: 5,
            drain_seconds: 0,
            attempts_max: 3,
            retention_days: 30,
            items_per_batch_max: 1_000_000,
            upload_idle_seconds: 0,
            files_bytes_per_batch_max: u64::MAX,
            work: folder.path().join("work"),
        };
        let counts = Arc::default();
        let engine = start(&store, &counts, &options).await;
        Self { _folder: folder, store, engine, counts, options }
    }

    async fn submit(&self, count: u64, params: &str, options: Options) -> BatchRecord {
        numbers(&self.engine, asked(params, options), count).await.unwrap()
    }

    /// Waits until `wanted` holds of the batch.
    async fn until(&self, batch: &BatchRecord, wanted: impl Fn(&BatchRecord) -> bool) -> BatchRecord {
        for _ in 0..4_000 {
            let now = self.store.batch_by_key(batch.key).await.unwrap();
            if wanted(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!(
            "waited in vain: {:?}, unready {:?}",
            self.store.batch_by_key(batch.key).await,
            self.engine.unready()
        );
    }

    async fn until_ready(&self) {
        for _ in 0..4_000 {
            if self.engine.unready().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never ready: {:?}", self.engine.unready());
    }

    async fn ended(&self, batch: &BatchRecord) -> BatchRecord {
        let ended = self.until(batch, |batch| batch.state.is_finished()).await;
        self.store.audit(batch.key).await.unwrap();
        assert_eq!(ended.succeeded + ended.failed + ended.cancelled, ended.total);
        assert_eq!((ended.running, ended.retrying), (0, 0));
        ended
    }
}

/// A batch whose items are pushed.
async fn begin(engine: &Engine, new: NewBatch) -> Result<Intake, EngineError> {
    engine.create(engine.check(new, "ada".to_owned())?, Vec::new()).await
}

/// A batch of numbers.
async fn numbers(engine: &Engine, new: NewBatch, count: u64) -> Result<BatchRecord, EngineError> {
    engine.create_generated(engine.check(new, "ada".to_owned())?, count, None).await
}

fn asked(params: &str, options: Options) -> NewBatch {
    NewBatch { task: "probe".to_owned(), name: None, params: Some(Json::parse(params).unwrap()), options }
}

fn quick_retries() -> Options {
    Options { retry_base_ms: Some(10), ..Options::default() }
}
