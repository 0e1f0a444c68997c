//! Many at once: claims, records, acts and reclaims of several processes on one database.
//!
//! The sums fit in every snapshot, no work is granted twice at a time, every item ends once, and nobody waits in a
//! ring.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::protocol::{BatchAct, BatchState, Move, RetryRequest};

/// Batches that are worked on at once.
const BATCHES: u64 = 4;
/// Items of each.
const ITEMS: u64 = 300;
/// Processes, each with a store of its own.
const NODES: u64 = 3;
/// Claimers of each.
const SLOTS: u64 = 2;
/// Longest wait for all to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Acts of people, each at random.
const ACTS: u32 = 60;

/// What all take part in.
struct Scene {
    batches: Vec<BatchKey>,
    clock: Arc<AtomicI64>,
    deadline: Instant,
}

impl Scene {
    async fn is_over(&self, store: &Store) -> bool {
        assert!(Instant::now() < self.deadline, "not all has ended in time");
        for batch in &self.batches {
            if !store.batch_by_key(*batch).await.unwrap().state.is_finished() {
                return false;
            }
        }
        true
    }
}

/// Works as a node does: claims, tells in parts, and now and then forgets to, which is what a crash looks like.
async fn work(scene: Arc<Scene>, store: Store, name: String, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let node = NodeId(name);
    let per_slot: HashMap<BatchKey, u64> = scene.batches.iter().map(|key| (*key, 6)).collect();
    loop {
        let request = ClaimRequest {
            tasks: &RunnableTasks::Any,
            node: &node,
            slots_free: 3,
            items_per_slot: &per_slot,
            lease_items_max: 1_000,
            started_max: u32::MAX,
        };
        let Some((claim, _change)) = store.claim(&request).await.unwrap() else {
            if scene.is_over(&store).await {
                return;
            }
            // What waits comes due by this clock, which only those who wait turn.
            scene.clock.fetch_add(50, Ordering::SeqCst);
            tokio::task::yield_now().await;
            continue;
        };
        if dice.random_ratio(1, 12) {
            continue;
        }
        tell(&store, &node, &claim, &mut dice).await;
    }
}

/// Records a lease in up to three parts, some of them twice.
async fn tell(store: &Store, node: &NodeId, claim: &Claim, dice: &mut StdRng) {
    let mut left: Vec<Seq> = claim.ranges.iter().flat_map(|range| range.first..=range.last).collect();
    let mut version = claim.version;
    while !left.is_empty() {
        let now: Vec<Seq> = left.drain(..dice.random_range(1..=left.len())).collect();
        let mut part = report(claim, version);
        for seq in now {
            match dice.random_range(0..10) {
                0 => part.handback.push(SeqRange::one(seq)),
                1 => part.outcomes.push(OutcomeRun {
                    attempts: claim.attempt,
                    ..failure(seq, ["f", "g"][seq as usize % 2])
                }),
                2 if claim.attempt < 4 => part.retries.push(RetryItem {
                    seq,
                    attempt: claim.attempt + 1,
                    crashes: claim.crashes,
                    not_before: store.now().plus_ms(200),
                }),
                _ => part.outcomes.push(OutcomeRun { attempts: claim.attempt, ..quick(SeqRange::one(seq)) }),
            }
        }
        part.started = left.first().map(|seq| SeqRange::one(*seq)).into_iter().collect();
        let recorded = store.record(node, std::slice::from_ref(&part)).await.unwrap();
        if dice.random_ratio(1, 4) {
            let again = store.record(node, std::slice::from_ref(&part)).await.unwrap();
            assert!(again.changes.is_empty(), "nothing is applied twice");
        }
        match &recorded.answers[0].1 {
            LeaseAnswer::Applied { version: next, closed, .. } => {
                assert_eq!(*closed, left.is_empty());
                version = *next;
            }
            // Given up meanwhile: what is left is another's.
            LeaseAnswer::Lost => return,
        }
    }
}

/// Takes a node for lost, which may well be alive, and its work with it.
async fn give_up(store: &Store, node: u64) {
    let id = format!("node-{node}");
    let writer = store.inner.backend.writer();
    for state in ["down", "up"] {
        let text = "UPDATE nodes SET state = $2 WHERE id = $1";
        run(writer, text, vec![id.clone().into(), state.into()]).await.unwrap();
        store.reclaim(ReclaimScope::Gone, POLICY).await.unwrap();
    }
}

/// Acts at random, as people do, and gives nodes up that may well be alive.
async fn act(scene: Arc<Scene>, store: Store, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    for _act in 0..ACTS {
        let batch = scene.batches[dice.random_range(0..scene.batches.len())];
        let refused = match dice.random_range(0..8) {
            0 => store.pause(batch, None).await.err(),
            1..4 => store.resume(batch).await.err(),
            4 => {
                let some = RetryRequest { seqs: Some((1..ITEMS).step_by(7).collect()), ..Default::default() };
                store.retry(batch, &some).await.err()
            }
            5 => store.retry(batch, &RetryRequest::default()).await.err(),
            6 => {
                give_up(&store, dice.random_range(0..NODES)).await;
                None
            }
            _ => store.start_due().await.err(),
        };
        assert!(refused.is_none() || matches!(refused, Some(StoreError::WrongState(_))), "{refused:?}");
        // A step of what is under way, which another may take at the same moment.
        store.act_step(batch).await.unwrap();
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..20))).await;
    }
    // Nobody stays paused, and who forgot to tell is gone.
    while !scene.is_over(&store).await {
        for batch in &scene.batches {
            let state = store.batch_by_key(*batch).await.unwrap().state;
            if state.on(BatchAct::Resume) == Move::Do {
                let _finished_meanwhile = store.resume(*batch).await;
            }
            while store.act_step(*batch).await.unwrap().is_some() {}
        }
        store.reclaim(ReclaimScope::All, POLICY).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks at every batch over and over: the sums fit in each snapshot, and revisions never go back.
async fn watch(scene: Arc<Scene>, store: Store) -> u64 {
    let mut revs: BTreeMap<BatchKey, u64> = BTreeMap::new();
    let mut snapshots = 0;
    loop {
        let over = scene.is_over(&store).await;
        for batch in &scene.batches {
            store.audit(*batch).await.unwrap();
            let record = store.batch_by_key(*batch).await.unwrap();
            let rev = revs.entry(*batch).or_default();
            assert!(record.rev >= *rev, "revisions never go back");
            *rev = record.rev;
            snapshots += 1;
        }
        if over {
            return snapshots;
        }
        tokio::task::yield_now().await;
    }
}

async fn run_together(on: On, seed: u64) {
    let Some(bench) = Bench::open(on).await else { return };
    println!("seed {seed}");
    let mut batches = Vec::new();
    for at in 0..BATCHES {
        let concurrency = (at == 1).then_some(4);
        batches.push(bench.generated(ITEMS, Options { concurrency, ..Options::default() }).await.key);
    }
    let nodes: Vec<NodeId> = (0..NODES).map(|node| NodeId(format!("node-{node}"))).collect();
    bench.reclaim_but(&nodes).await;
    let clock = bench.clock.clone();
    let scene = Arc::new(Scene { batches, clock, deadline: Instant::now() + PATIENCE });
    let mut tasks = tokio::task::JoinSet::new();
    for node in 0..NODES {
        // On a file all share the one store that may write.
        let store = if on == On::Postgres { bench.again().await } else { bench.store.clone() };
        for slot in 0..SLOTS {
            let seed = seed * 100 + node * 10 + slot;
            tasks.spawn(work(scene.clone(), store.clone(), format!("node-{node}"), seed));
        }
        tasks.spawn(act(scene.clone(), store.clone(), seed * 100 + node * 10 + 9));
    }
    let watching = tokio::spawn(watch(scene.clone(), bench.store.clone()));
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let snapshots = watching.await.unwrap();
    println!("{snapshots} snapshots");
    for batch in &scene.batches {
        let batch = bench.audited(*batch).await;
        assert!(matches!(batch.state, BatchState::Succeeded | BatchState::Failed), "{batch:?}");
        assert_eq!(batch.succeeded + batch.failed, ITEMS, "each ended once");
    }
    if on == On::Postgres {
        let cluster = Cluster::shared().unwrap();
        assert_eq!(cluster.logged(&bench.url, "deadlock"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_records_and_acts_at_once_on_sqlite() {
    run_together(On::Sqlite, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_records_and_acts_at_once_on_postgres() {
    run_together(On::Postgres, 2).await;
}
