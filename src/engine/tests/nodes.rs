//! Several engines on one Postgres: shared work, lost nodes, pages of one about the work of another.
//!
//! As [`super`].

use super::*;
use crate::cluster::Cluster;
use crate::protocol::{Codec, NodeState, Topic};
use crate::store::{SeqRange, Viewer};

const PATIENCE: Duration = Duration::from_secs(20);

struct Site {
    _folder: tempfile::TempDir,
    a: Node,
    b: Node,
}

struct Node {
    store: Store,
    engine: Engine,
    hub: Hub,
    counts: Arc<Counts>,
}

impl Node {
    async fn join(url: &str, folder: &std::path::Path, name: &str, role: Role) -> Self {
        let files = folder.join("files");
        let options = StoreOptions {
            url: url.to_owned(),
            readers: 3,
            writers: 4,
            files,
            bucket: None,
            quotas: Default::default(),
        };
        let store = Store::open(options).await.unwrap();
        let counts = Arc::<Counts>::default();
        let hub = Hub::default();
        let tasks = Arc::new(Registry::default().with(Probe(Arc::clone(&counts))).with(Reader));
        let options = EngineOptions {
            node_name: name.to_owned(),
            role,
            slots: 2,
            lease_seconds: 2,
            reclaim_seconds: 1,
            drain_seconds: 0,
            attempts_max: 5,
            retention_days: 30,
            items_per_batch_max: 1_000_000,
            upload_idle_seconds: 0,
            files_bytes_per_batch_max: u64::MAX,
            work: folder.join(name),
        };
        let engine = Engine::start(store.clone(), tasks, hub.clone(), options).await.unwrap();
        Self { store, engine, hub, counts }
    }

    async fn leave(&self) {
        self.engine.drain().await;
        self.store.close().await;
    }
}

impl Site {
    /// Two nodes; none where tests are told to go without Postgres.
    async fn open(role_of_b: Role) -> Option<Self> {
        let url = Cluster::shared()?.database();
        let folder = tempfile::tempdir().unwrap();
        let a = Node::join(&url, folder.path(), "a", Role::All).await;
        let b = Node::join(&url, folder.path(), "b", role_of_b).await;
        Some(Self { _folder: folder, a, b })
    }

    async fn submit(&self, count: u64, params: &str) -> BatchRecord {
        let new = asked(params, quick_retries());
        numbers(&self.b.engine, new, count).await.unwrap()
    }

    async fn until(&self, batch: &BatchRecord, wanted: impl Fn(&BatchRecord) -> bool) -> BatchRecord {
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            let now = self.a.store.batch_by_key(batch.key).await.unwrap();
            if wanted(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("waited in vain: {:?}", self.a.store.batch_by_key(batch.key).await);
    }

    async fn ended(&self, batch: &BatchRecord) -> BatchRecord {
        let ended = self.until(batch, |batch| batch.state.is_finished()).await;
        self.a.store.audit(batch.key).await.unwrap();
        assert_eq!(ended.succeeded + ended.failed + ended.cancelled, ended.total);
        ended
    }

    async fn close(self) {
        self.a.leave().await;
        self.b.leave().await;
    }
}

async fn holds(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_a_batch() {
    let Some(site) = Site::open(Role::All).await else { return };
    let batch = site.submit(60, r#"{"wait_ms": 20, "fail_each": 7, "fail_attempts": 1}"#).await;
    let ended = site.ended(&batch).await;
    assert_eq!(ended.succeeded, 60);
    let runs = |node: &Node| node.counts.runs.load(Ordering::Relaxed);
    assert!(runs(&site.a) > 0 && runs(&site.b) > 0, "both worked: {} {}", runs(&site.a), runs(&site.b));
    assert_eq!(runs(&site.a) + runs(&site.b), 68, "nothing ran twice");
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_taken_for_lost_stops_and_joins_anew() {
    let Some(site) = Site::open(Role::Web).await else { return };
    let batch = site.submit(40, r#"{"wait_ms": 50}"#).await;
    site.until(&batch, |batch| batch.succeeded > 3).await;
    let old = site.a.engine.node();
    site.b.store.node_stopped(&old).await.unwrap();
    holds("a new id", async || site.a.engine.node() != old).await;
    let ended = site.ended(&batch).await;
    assert_eq!(ended.succeeded, 40);
    let page = site.b.engine.nodes().await.unwrap();
    let state = |id| page.iter().find(|node| node.id == id).map(|node| node.state);
    assert_eq!((state(old), state(site.a.engine.node())), (Some(NodeState::Down), Some(NodeState::Up)));
    assert_eq!(site.a.engine.unready(), None);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_starts_nothing_of_a_lease() {
    let Some(site) = Site::open(Role::Web).await else { return };
    let batch = site.submit(2_000, r#"{"wait_ms": 5}"#).await;
    site.until(&batch, |batch| batch.succeeded > 50).await;
    let old = site.a.engine.node();
    for _ in 0..20 {
        // Frozen for as long as the lease: nobody has looked yet whether that is so.
        let (node, liveness) = (site.a.engine.node(), &site.a.engine.stages.membership.liveness);
        liveness.age_by(Duration::from_secs(2));
        let runs = || site.a.counts.runs.load(Ordering::SeqCst);
        let before = runs();
        let begun = std::time::Instant::now();
        loop {
            let now = runs();
            if site.a.engine.node() != node
                || !liveness.is_fenced() && liveness.age() < Duration::from_secs(1)
            {
                break;
            }
            // One in each slot may have been on its way past the look.
            assert!(now <= before + 2, "{} items were started", now - before);
            assert!(begun.elapsed() < PATIENCE, "it joins anew");
            tokio::task::yield_now().await;
        }
    }
    assert_ne!(site.a.engine.node(), old);
    site.b.engine.cancel(batch.key).await.unwrap();
    site.ended(&batch).await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_found_and_its_upload_cut_off() {
    let Some(site) = Site::open(Role::All).await else { return };
    let batch = site.submit(40, r#"{"wait_ms": 50}"#).await;
    let mut intake = begin(&site.b.engine, asked("{}", Options::default())).await.unwrap();
    intake.push(&Json::string("x")).await.unwrap();
    let cut = intake.batch().clone();
    site.until(&batch, |batch| batch.succeeded > 3).await;
    // Nothing of this node runs any more, and nobody says so.
    site.b.engine.die();
    site.b.engine.stages.acts.dispatcher.release();
    let ended = site.ended(&batch).await;
    assert_eq!(ended.succeeded, 40);
    let cut = site.until(&cut, |batch| batch.state.is_finished()).await;
    assert_eq!((cut.state, cut.reason.as_deref()), (BatchState::Cancelled, Some(crate::engine::CUT_OFF)));
    drop(intake);
    site.a.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_node_shows_what_another_commits() {
    let Some(site) = Site::open(Role::Web).await else { return };
    let batch = site.submit(30, r#"{"wait_ms": 20, "fail_each": 5}"#).await;
    let mut session = site.b.hub.session(Viewer::of("ada".to_owned(), false), Codec::Json);
    let topics = [Topic::Batch(batch.id), Topic::Strip(batch.id), Topic::Families(batch.id)];
    for topic in topics {
        session.subscribe(topic).unwrap();
    }
    let ended = site.ended(&batch).await;
    for topic in topics {
        holds("the last revision", async || site.b.hub.published_rev(topic) == ended.rev).await;
    }
    assert_eq!(site.b.counts.runs.load(Ordering::Relaxed), 0, "a web node runs nothing");
    drop(session);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_on_one_node_holds_on_another() {
    let Some(site) = Site::open(Role::Web).await else { return };
    let batch = site.submit(1_000, r#"{"wait_ms": 10}"#).await;
    site.until(&batch, |batch| batch.succeeded > 3).await;
    site.b.engine.pause(batch.key).await.unwrap();
    let held = site.until(&batch, |batch| batch.running == 0).await;
    assert_eq!(held.state, BatchState::Paused);
    site.b.engine.resume(batch.key).await.unwrap();
    site.until(&batch, |batch| batch.succeeded > held.succeeded).await;
    site.b.engine.cancel(batch.key).await.unwrap();
    assert_eq!(site.ended(&batch).await.state, BatchState::Cancelled);
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_drains_when_another_says_so() {
    let Some(site) = Site::open(Role::Web).await else { return };
    let drained = site.b.engine.drain_node(&site.a.engine.node()).await.unwrap();
    assert_eq!(drained.state, NodeState::Draining);
    holds("the node drains", async || site.a.engine.unready().is_some()).await;
    let batch = site.submit(5, "{}").await;
    let own = site.b.engine.drain_node(&site.b.engine.node()).await.unwrap();
    assert_eq!(own.state, NodeState::Draining);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(site.a.store.batch_by_key(batch.key).await.unwrap().pending(), 5, "nobody works any more");
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_on_one_node_is_glimpsed_on_another() {
    let Some(site) = Site::open(Role::Web).await else { return };
    let batch = site.submit(40, r#"{"wait_ms": 400}"#).await;
    let (store, node) = (&site.b.store, site.b.engine.node());
    let range = SeqRange { first: 1, last: 40 };
    assert!(
        store.remote_progress(batch.key, range).await.unwrap().is_empty(),
        "nothing is shown where nobody looks"
    );
    holds("a glimpse", async || {
        store.watch(&node, batch.key, range).await.unwrap();
        let seen = store.remote_progress(batch.key, range).await.unwrap();
        seen.iter().any(|glimpse| glimpse.progress.as_ref().is_some_and(|shown| shown.fraction > 0.4))
    })
    .await;
    site.b.engine.cancel(batch.key).await.unwrap();
    site.ended(&batch).await;
    site.close().await;
}
