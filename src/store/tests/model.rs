//! Random acts against a model: per item what it should be, per step everything compared.
//!
//! After every step the counters, the window, the families, the audit and the counts of batches agree with it. It predicts
//! no choice that the store is free to make (how many items a claim takes); it checks the choice.

mod steps;
mod work;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::protocol::{BatchAct, BatchCounts, BatchRetry, BatchState, Move, NodeState, RetryRequest, Role};

/// Lists of acts that are tried where nobody says how many.
const CASES: u32 = 64;
/// Acts of one list at most.
const ACTS_MAX: usize = 60;

#[derive(Clone, Debug)]
enum Act {
    Append { count: u32, wrong: bool },
    Seal,
    Claim { node: u8, slots: u32, per_slot: u64 },
    Record { which: usize, dice: u64 },
    Repeat { which: usize },
    Reclaim { node: u8 },
    Pause,
    Resume,
    Cancel,
    Retry { kind: u8, dice: u64 },
    Step,
    Pass { ms: i64 },
    Reopen,
    Beat { node: u8 },
    Late { which: usize },
    StartDue,
    Delete,
    Create { due_ms: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..9u32, prop::bool::weighted(0.1)).prop_map(|(count, wrong)| Act::Append { count, wrong }),
        1 => Just(Act::Seal),
        8 => (0..3u8, 1..4u32, 1..5u64).prop_map(|(node, slots, per_slot)| Act::Claim { node, slots, per_slot }),
        12 => (0..8usize, any::<u64>()).prop_map(|(which, dice)| Act::Record { which, dice }),
        2 => (0..64usize).prop_map(|which| Act::Repeat { which }),
        2 => (0..3u8).prop_map(|node| Act::Reclaim { node }),
        1 => Just(Act::Pause),
        3 => Just(Act::Resume),
        1 => prop::bool::weighted(0.4).prop_map(|cancel| if cancel { Act::Cancel } else { Act::Seal }),
        3 => (0..4u8, any::<u64>()).prop_map(|(kind, dice)| Act::Retry { kind, dice }),
        3 => Just(Act::Step),
        2 => (-2_000..4_000i64).prop_map(|ms| Act::Pass { ms }),
        1 => (-4_000_000..4_000_000i64).prop_map(|ms| Act::Pass { ms }),
        1 => (0..3u8).prop_map(|node| Act::Beat { node }),
        2 => (0..8usize).prop_map(|which| Act::Late { which }),
        1 => Just(Act::StartDue),
        1 => Just(Act::Delete),
        1 => (-1_000..3_000i64).prop_map(|due_ms| Act::Create { due_ms }),
        1 => prop::bool::weighted(0.3).prop_map(|open| if open { Act::Reopen } else { Act::Resume }),
    ]
}

/// Who asks for retries.
const RETRIED_BY: &str = "ada";

/// The order in which counters are compared.
const IN_ORDER: [ItemState; 6] = [
    ItemState::Pending,
    ItemState::Running,
    ItemState::Retrying,
    ItemState::Succeeded,
    ItemState::Failed,
    ItemState::Cancelled,
];

/// Where one item should be.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    Untouched,
    Waits { generation: u32, attempt: u32, crashes: u32, not_before: i64 },
    Held { lease: LeaseId, started: bool },
    Ended { state: ItemState, attempts: u32, family: Option<String> },
}

#[derive(Clone, Debug)]
struct Held {
    claim: Claim,
    node: String,
    version: u32,
}

struct Model {
    batch: BatchRecord,
    places: Vec<Place>,
    leases: Vec<Held>,
    sealed: bool,
    state: BatchState,
    generation: u32,
    /// Of each item: 1, or that of the retry that took it last.
    generations: Vec<u32>,
    /// When the last retry was asked for.
    retried_at: Option<Timestamp>,
    /// How long it stood finished before its retries.
    rested_ms: u64,
    touched: bool,
    reports: Vec<(String, LeaseReport)>,
    /// Leases of nodes that were given up, which may still come back to tell.
    expelled: Vec<Held>,
    start_at: Option<i64>,
    deleted: bool,
    /// Retries under way, oldest first.
    retries: Vec<Retrying>,
    /// Ends well and badly that were ever recorded.
    recorded: [u64; 2],
}

/// A retry in steps: items that it is still to take.
struct Retrying {
    generation: u32,
    meant: BTreeSet<Seq>,
}

/// Numbers from one seed, for choices inside an act.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

impl Model {
    fn count(&self, state: ItemState) -> u64 {
        (1..=self.places.len() as u64).filter(|seq| self.look(*seq).0 == state).count() as u64
    }

    /// State, attempts and family as a row should show them.
    fn look(&self, seq: Seq) -> (ItemState, u32, Option<String>) {
        let waits = |attempt: u32| if attempt >= 2 { ItemState::Retrying } else { ItemState::Pending };
        match &self.places[seq as usize - 1] {
            Place::Untouched => (ItemState::Pending, 0, None),
            Place::Waits { attempt, .. } => (waits(*attempt), attempt - 1, None),
            Place::Held { lease, started } => {
                let held = self.leases.iter().find(|held| held.claim.lease == *lease).unwrap();
                let attempt = held.claim.attempt;
                if *started {
                    (ItemState::Running, attempt, None)
                } else {
                    (waits(attempt), attempt - 1, None)
                }
            }
            Place::Ended { state, attempts, family } => (*state, *attempts, family.clone()),
        }
    }

    /// What has become of the items that the last retry took.
    fn last_retry(&self) -> Option<BatchRetry> {
        let at = self.retried_at?;
        let taken: Vec<_> = (1..=self.places.len() as u64)
            .filter(|seq| self.generations[*seq as usize - 1] == self.generation)
            .map(|seq| self.look(seq).0)
            .collect();
        let count = |state: ItemState| taken.iter().filter(|held| **held == state).count() as u64;
        Some(BatchRetry {
            by: RETRIED_BY.to_owned(),
            at,
            items: taken.len() as u64,
            succeeded: count(ItemState::Succeeded),
            failed: count(ItemState::Failed),
            cancelled: count(ItemState::Cancelled),
        })
    }

    fn settle(&mut self) {
        let ended = self.places.iter().all(|place| matches!(place, Place::Ended { .. }));
        if self.sealed && ended && self.retries.is_empty() && !self.state.is_finished() {
            self.state = if self.state == BatchState::Cancelling || self.count(ItemState::Cancelled) > 0 {
                BatchState::Cancelled
            } else if self.count(ItemState::Failed) > 0 {
                BatchState::Failed
            } else {
                BatchState::Succeeded
            };
        }
    }

    fn held_by(&self, lease: LeaseId) -> Vec<(Seq, bool)> {
        let of = |(at, place): (usize, &Place)| match place {
            Place::Held { lease: held, started } if *held == lease => Some((at as u64 + 1, *started)),
            _ => None,
        };
        self.places.iter().enumerate().filter_map(of).collect()
    }

    fn put(&mut self, seq: Seq, place: Place) {
        match place {
            Place::Ended { state: ItemState::Succeeded, .. } => self.recorded[0] += 1,
            Place::Ended { state: ItemState::Failed, .. } => self.recorded[1] += 1,
            _ => {}
        }
        self.places[seq as usize - 1] = place;
    }

    /// A node beats; where it was given up, it joins anew under another id.
    async fn beat(bench: &Bench, node: u8) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut id = NodeId(format!("node-{node}"));
        match bench.store.node_beat(&id, 1, 0.5, NodeState::Up).await {
            Ok(_state) => {}
            Err(StoreError::NotFound(_)) => {
                id = NodeId(format!("beat-{}", NEXT.fetch_add(1, Ordering::SeqCst)));
                let record = NodeRecord {
                    id: id.clone(),
                    name: id.0.clone(),
                    role: Role::Worker,
                    version: String::new(),
                    slots: 1,
                    busy: 0,
                    state: NodeState::Up,
                    heartbeat_at: Timestamp(0),
                    rate_per_s: 0.0,
                };
                bench.store.node_started(&record).await.unwrap();
            }
            Err(error) => panic!("{error}"),
        }
        let beaten = bench.store.nodes().await.unwrap().into_iter().find(|record| record.id == id);
        assert_eq!(beaten.unwrap().heartbeat_at, bench.store.now());
    }

    async fn start_due(&mut self, bench: &Bench) {
        bench.store.start_due().await.unwrap();
        bench.store.fold_counts().await.unwrap();
        if self.state == BatchState::Scheduled && self.start_at.is_some_and(|at| at <= bench.store.now().0) {
            self.state = BatchState::Pending;
        }
    }

    async fn delete(&mut self, bench: &Bench) {
        let done = bench.store.delete(self.batch.key).await;
        if !self.state.is_finished() {
            return assert!(matches!(done, Err(StoreError::NotFinished)));
        }
        done.unwrap();
        self.deleted = true;
        assert!(matches!(bench.store.batch(self.batch.id).await, Err(StoreError::NotFound(_))));
        while bench.store.sweep().await.unwrap() {}
        assert!(matches!(bench.store.audit(self.batch.key).await, Err(StoreError::NotFound(_))));
    }

    /// Another batch takes the place of one that was deleted.
    async fn create(bench: &Bench, due_ms: i64) -> Self {
        let start_at = (due_ms > 0).then(|| bench.store.now().plus_ms(due_ms));
        let options = Options { start_at, private: due_ms % 2 == 0, ..Options::default() };
        let batch = bench.store.create(CreateBatch { options, ..new_batch() }).await.unwrap();
        Self {
            batch,
            places: Vec::new(),
            leases: Vec::new(),
            sealed: false,
            state: if start_at.is_some() { BatchState::Scheduled } else { BatchState::Pending },
            generation: 1,
            generations: Vec::new(),
            retried_at: None,
            rested_ms: 0,
            touched: false,
            reports: Vec::new(),
            expelled: Vec::new(),
            retries: Vec::new(),
            recorded: [0; 2],
            start_at: start_at.map(|at| at.0),
            deleted: false,
        }
    }

    async fn append(&mut self, bench: &Bench, count: u32, wrong: bool) {
        let first = self.places.len() as u64 + 1 + u64::from(wrong);
        let done = bench.store.append(self.batch.key, first, &[lines(first, count)], &[]).await;
        if wrong || self.sealed {
            return assert!(matches!(
                done,
                Err(StoreError::WrongFirstSeq { .. } | StoreError::WrongState(_))
            ));
        }
        done.unwrap();
        self.places.extend(std::iter::repeat_n(Place::Untouched, count as usize));
        self.generations.resize(self.places.len(), 1);
    }

    /// The state where nobody holds it back.
    fn opened(&self, bench: &Bench) -> BatchState {
        let early = self.start_at.is_some_and(|at| at > bench.store.now().0);
        match (self.touched, early) {
            (true, _) => BatchState::Running,
            (false, true) => BatchState::Scheduled,
            (false, false) => BatchState::Pending,
        }
    }

    async fn step(&mut self, bench: &mut Bench, act: &Act) {
        let key = self.batch.key;
        match act {
            Act::Pass { ms } => bench.pass(*ms),
            Act::Create { due_ms } if self.deleted => *self = Self::create(bench, *due_ms).await,
            // Nothing is left to be done to it.
            _ if self.deleted => {}
            Act::Create { .. } => {}
            Act::Beat { node } => Self::beat(bench, *node).await,
            Act::Late { which } => self.late(bench, *which).await,
            Act::StartDue => self.start_due(bench).await,
            Act::Delete => self.delete(bench).await,
            Act::Append { count, wrong } => self.append(bench, *count, *wrong).await,
            Act::Seal => {
                bench.store.seal(key).await.unwrap();
                self.sealed = true;
                self.settle();
            }
            Act::Claim { node, slots, per_slot } => self.claim(bench, *node, *slots, *per_slot).await,
            Act::Record { which, dice } => self.record(bench, *which, *dice).await,
            Act::Repeat { which } => self.repeat(bench, *which).await,
            Act::Reclaim { node } => self.reclaim(bench, *node).await,
            Act::Pause => {
                let allowed = bench.store.pause(key, None).await.is_ok();
                let open = self.state.on(BatchAct::Pause) != Move::Refused;
                assert_eq!(allowed, open);
                if open {
                    self.state = BatchState::Paused;
                }
            }
            Act::Resume => {
                let resumed = bench.store.resume(key).await.is_ok();
                assert_eq!(resumed, self.state == BatchState::Paused || self.state.hands_out());
                if self.state == BatchState::Paused {
                    self.state = self.opened(bench);
                }
            }
            Act::Cancel => self.cancel(bench).await,
            Act::Retry { kind, dice } => self.retry(bench, *kind, *dice).await,
            Act::Step => self.act_step(bench).await,
            Act::Reopen => {
                bench.store.close().await;
                bench.store = bench.again().await;
            }
        }
    }

    async fn compare(&mut self, bench: &Bench) {
        let batch = bench.audited(self.batch.key).await;
        assert!(batch.rev >= self.batch.rev, "revisions never go back");
        let counters =
            [batch.pending(), batch.running, batch.retrying, batch.succeeded, batch.failed, batch.cancelled];
        let expected = IN_ORDER.map(|state| self.count(state));
        assert_eq!(counters, expected, "{IN_ORDER:?}");
        assert_eq!((batch.state, batch.sealed, batch.generation), (self.state, self.sealed, self.generation));
        assert_eq!((&batch.retry, batch.rested_ms), (&self.last_retry(), self.rested_ms));
        self.batch = batch;
        let window = bench.store.window(&self.batch, 1, 500).await.unwrap();
        assert_eq!(window.items.len(), self.places.len());
        let mut families: BTreeMap<String, u64> = BTreeMap::new();
        for item in window.items {
            let row = item.row;
            let family = row.family.map(|family| family.0);
            assert!(row.rev <= self.batch.rev);
            assert_eq!((row.state, row.attempts, family.clone()), self.look(row.seq), "item {}", row.seq);
            if let Some(family) = family {
                *families.entry(family).or_default() += 1;
            }
        }
        let page = bench.store.families(&self.batch).await.unwrap();
        let stored = page.families.into_iter().map(|family| (family.id.0, family.count)).collect();
        assert_eq!(families, stored);
        self.compare_pulse(bench).await;
    }

    /// The time buckets hold every end that was ever recorded, once, in the order of time.
    async fn compare_pulse(&self, bench: &Bench) {
        let (rev, buckets) = bench.store.pulse(&self.batch).await.unwrap();
        let sums = buckets.iter().fold([0; 2], |[good, bad], b| [good + b.succeeded, bad + b.failed]);
        assert_eq!(sums, self.recorded);
        assert!(buckets.iter().all(|bucket| bucket.succeeded + bucket.failed > 0 && bucket.rev <= rev));
        assert!(buckets.is_sorted_by(|one, two| {
            one.bucket + 1 == two.bucket && one.starts_at.0 + one.ms.cast_signed() <= two.starts_at.0
        }));
    }
}

/// What is kept of counts is what counting the batches gives, for whoever looks.
async fn compare_counts(bench: &Bench) {
    let text = "SELECT state, failed > 0, private, owner, COUNT(*) FROM batches WHERE NOT deleted \
         GROUP BY state, failed > 0, private, owner";
    let mut kinds: Vec<(String, bool, bool, String, i64)> = Vec::new();
    for row in backend::rows(bench.store.inner.backend.reader(), text, vec![]).await.unwrap() {
        let (state, failing) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        let (private, owner) = (row.try_get_by_index(2).unwrap(), row.try_get_by_index(3).unwrap());
        kinds.push((state, failing, private, owner, row.try_get_by_index(4).unwrap()));
    }
    for (name, sees_all) in [("ada", false), ("bob", false), ("bob", true)] {
        let mut counts = BatchCounts::default();
        let visible = kinds.iter().filter(|(_, _, private, owner, _)| sees_all || !private || owner == name);
        for (state, failing, _private, _owner, here) in visible {
            let here = u64::try_from(*here).unwrap();
            counts.all += here;
            counts.with_failures += if *failing { here } else { 0 };
            if BatchState::parse(state).unwrap().is_finished() {
                counts.finished += here;
            } else {
                counts.active += here;
            }
        }
        let viewer = Viewer::of(name.to_owned(), sees_all);
        assert_eq!(bench.store.counts(&viewer).await.unwrap(), counts, "{viewer:?}");
    }
}

async fn case(bench: &mut Bench, acts: &[Act]) {
    // What an earlier case left would be claimed here too.
    for batch in bench.store.unfinished().await.unwrap() {
        bench.store.cancel(batch.key, None).await.unwrap();
        bench.stepped(batch.key).await;
    }
    bench.reclaim_but(&[]).await;
    let mut model = Model::create(bench, 0).await;
    for act in acts {
        model.step(bench, act).await;
        if !model.deleted {
            model.compare(bench).await;
        }
        compare_counts(bench).await;
    }
}

fn random_acts_agree(on: On) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(bench) = runtime.block_on(Bench::open(on)) else { return };
    let bench = RefCell::new(bench);
    // More by PROPTEST_CASES.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = |acts: Vec<Act>| {
        runtime.block_on(case(&mut bench.borrow_mut(), &acts));
        Ok(())
    };
    TestRunner::new(config).run(&prop::collection::vec(act(), 1..ACTS_MAX), run).unwrap();
}

#[test]
fn random_acts_agree_with_the_model_on_sqlite() {
    random_acts_agree(On::Sqlite);
}

#[test]
fn random_acts_agree_with_the_model_on_postgres() {
    random_acts_agree(On::Postgres);
}
