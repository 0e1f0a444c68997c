//! Tests of the whole room, one suite for both databases: targeted cases in `cases`, random acts against a model in
//! `model`, what lies between nodes in `nodes`, many at once in `together`, what only a file can do in `file`, how
//! many statements an act or a read may take in `statements`, what becomes of rows of earlier versions in `upgrade`, files that come in
//! pieces in `uploads`, ends by time in `pulse`, what a retry has come to in `retries`, items in another order than their own in `sorted`,
//! acts over many batches in `bulk`.
//!
//! `audit` passes after every step.

mod acts;
mod bulk;
mod cases;
mod contents;
mod file;
mod model;
mod nodes;
mod pulse;
mod retries;
mod sorted;
mod statements;
mod together;
mod upgrade;
mod uploads;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::*;
use crate::cluster::Cluster;
use crate::protocol::{BatchId, FamilyId, InputKind, ItemState, Json, NodeId, Options, Seq, Timestamp};

/// Where the clock of tests starts, in ms.
const START: i64 = 1_700_000_000_000;

/// A database to run a test on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// A file in a folder.
    Sqlite,
    /// A database of the tests' cluster.
    Postgres,
}

impl On {
    /// The URL of an empty database; none where tests are told to go without.
    fn database(self, folder: &Path) -> Option<String> {
        match self {
            Self::Sqlite => Some(format!("sqlite://{}", folder.join("milepost.db").display())),
            Self::Postgres => Cluster::shared().map(Cluster::database),
        }
    }
}

/// Runs each named case on both databases: `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            use crate::store::tests::{Bench, On};

            #[tokio::test]
            async fn sqlite() {
                super::$name(Bench::open(On::Sqlite).await.unwrap()).await;
            }

            #[tokio::test]
            async fn postgres() {
                let Some(bench) = Bench::open(On::Postgres).await else { return };
                super::$name(bench).await;
            }
        })*
    };
}
use on_both;

/// A store whose clock stands still until told.
struct Bench {
    folder: tempfile::TempDir,
    url: String,
    store: Store,
    clock: Arc<AtomicI64>,
    no_paces: HashMap<BatchKey, u64>,
}

impl Bench {
    /// A store on an empty database; none where tests are told to go without this one.
    async fn open(place: On) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = place.database(folder.path())?;
        Some(Self::open_at(folder, url).await)
    }

    /// A store on a database in `folder`, or beyond it.
    async fn open_at(folder: tempfile::TempDir, url: String) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let store = Self::connect(&url, folder.path(), &clock).await;
        Self { folder, url, store, clock, no_paces: HashMap::new() }
    }

    /// Another store on the same database: what a second process has.
    async fn again(&self) -> Store {
        Self::connect(&self.url, self.folder.path(), &self.clock).await
    }

    async fn connect(url: &str, folder: &Path, clock: &Arc<AtomicI64>) -> Store {
        let files = folder.join("files");
        let options = StoreOptions {
            url: url.to_owned(),
            readers: 2,
            writers: 3,
            files,
            bucket: None,
            quotas: Default::default(),
        };
        let clock = clock.clone();
        let clock: Clock = Arc::new(move || Timestamp(clock.load(Ordering::SeqCst)));
        Store::open_with_clock(options, clock).await.unwrap()
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    async fn generated(&self, count: u64, options: Options) -> BatchRecord {
        let new = CreateBatch { source: Source::Generated, generated: count, options, ..new_batch() };
        self.store.create(new).await.unwrap()
    }

    async fn claim(&self, node: &str, slots: u32, per_slot: u64) -> Option<Claim> {
        self.try_claim(node, slots, per_slot).await.map(|(claim, _change)| claim)
    }

    async fn try_claim(&self, node: &str, slots: u32, per_slot: u64) -> Option<(Claim, BatchChange)> {
        let node = NodeId(node.to_owned());
        let per_slot: HashMap<BatchKey, u64> = (1..100).map(|key| (key, per_slot)).collect();
        let request = ClaimRequest { items_per_slot: &per_slot, ..self.request(&node, slots) };
        self.store.claim(&request).await.unwrap()
    }

    /// What a node that runs any task asks for.
    fn request<'a>(&'a self, node: &'a NodeId, slots: u32) -> ClaimRequest<'a> {
        ClaimRequest {
            tasks: &RunnableTasks::Any,
            node,
            slots_free: slots,
            items_per_slot: &self.no_paces,
            lease_items_max: 10_000,
            started_max: u32::MAX,
        }
    }

    /// What is sent to the database while `act` runs.
    async fn sent<T>(&self, act: impl Future<Output = T>) -> (T, Vec<String>) {
        let statements = &self.store.inner.backend.statements;
        statements.start();
        let done = act.await;
        (done, statements.stop())
    }

    async fn record(&self, node: &str, report: LeaseReport) -> (LeaseAnswer, Vec<BatchChange>) {
        let recorded = self.store.record(&NodeId(node.to_owned()), &[report]).await.unwrap();
        (recorded.answers[0].1.clone(), recorded.changes)
    }

    /// Takes back what is held by nobody of `alive`.
    async fn reclaim_but(&self, alive: &[NodeId]) -> Vec<BatchChange> {
        let writer = self.store.inner.backend.writer();
        run(writer, "DELETE FROM nodes", vec![]).await.unwrap();
        for node in alive {
            let text = "INSERT INTO nodes (id, name, role, version, slots, busy, state, heartbeat_at, rate_per_s) \
                 VALUES ($1, 'a', 'all', '0', 1, 0, 'up', 0, 0)";
            run(writer, text, vec![node.0.clone().into()]).await.unwrap();
        }
        self.store.reclaim(ReclaimScope::Gone, POLICY).await.unwrap()
    }

    /// Takes all steps of the acts on a batch that are under way; how many.
    async fn stepped(&self, batch: BatchKey) -> u64 {
        let mut steps = 0;
        while self.store.acts_under_way().await.unwrap().contains(&batch) {
            assert!(self.store.act_step(batch).await.unwrap().is_some(), "what is under way has a next step");
            steps += 1;
        }
        assert!(self.store.act_step(batch).await.unwrap().is_none());
        steps
    }

    async fn audited(&self, batch: BatchKey) -> BatchRecord {
        self.store.audit(batch).await.unwrap();
        self.store.audit_sums(batch).await.unwrap();
        self.store.batch_by_key(batch).await.unwrap()
    }
}

impl Store {
    /// Lets nothing be written, or again something: what an outage looks like from above.
    pub(crate) async fn only_reads(&self, on: &str) {
        run(self.inner.backend.writer(), &format!("PRAGMA query_only = {on}"), vec![]).await.unwrap();
    }

    /// Acts of a batch that have not ended.
    async fn acts_of(&self, batch: BatchKey) -> usize {
        usize::try_from(Self::row_by_key(self.inner.backend.reader(), batch).await.unwrap().acts).unwrap()
    }

    /// Makes what is held of a batch unreadable: a broken invariant, seen from above.
    pub(crate) async fn spoil_leases(&self, batch: BatchKey) {
        let text = "UPDATE leases SET \"left\" = '?' WHERE batch = $1";
        assert!(run(self.inner.backend.writer(), text, vec![batch.into()]).await.unwrap() > 0);
    }
}

fn new_batch() -> CreateBatch {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    CreateBatch {
        id: BatchId::from_u128(u128::from(NEXT.fetch_add(1, Ordering::SeqCst))),
        naming: Naming::Given,
        name: "test".to_owned(),
        task: "demo".to_owned(),
        input: InputKind::Line,
        source: Source::Blocks,
        generated: 0,
        params: Json::default(),
        options: Options::default(),
        owner: "ada".to_owned(),
        parent: None,
        columns: Vec::new(),
        intake_node: None,
    }
}

fn lines(first: Seq, count: u32) -> NewBlock {
    let ndjson = (first..first + u64::from(count)).map(|seq| format!("\"line {seq}\"\n")).collect::<String>();
    NewBlock { count, ndjson: ndjson.into_bytes() }
}

fn quick(range: SeqRange) -> OutcomeRun {
    OutcomeRun {
        range,
        state: ItemState::Succeeded,
        attempts: 1,
        result: None,
        error: None,
        family: None,
        ms: None,
        started_at: None,
    }
}

fn failure(seq: Seq, family: &str) -> OutcomeRun {
    OutcomeRun {
        state: ItemState::Failed,
        error: Some(format!("no {family}")),
        family: Some((FamilyId(family.to_owned()), format!("message of {family}"))),
        ms: Some(12),
        started_at: Some(Timestamp(START)),
        ..quick(SeqRange::one(seq))
    }
}

fn report(claim: &Claim, version: u32) -> LeaseReport {
    LeaseReport { lease: claim.lease, batch: claim.batch.key, version, ..LeaseReport::default() }
}

const POLICY: RetryPolicy = RetryPolicy { attempts_max: 3, base_ms: 0, max_ms: 0 };
