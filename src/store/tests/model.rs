//! Random acts against a model: per item what it should be, per step everything compared.
//!
//! Owns the model. Invariant: after every step the counters, the window, the families and the audit agree with it.
//! Deliberately predicts no choice that the store is free to make (how many items a claim takes); it checks the choice.

mod steps;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::protocol::{BatchState, RetryRequest};

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
        1 => prop::bool::weighted(0.3).prop_map(|open| if open { Act::Reopen } else { Act::Resume }),
    ]
}

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
    touched: bool,
    reports: Vec<(String, LeaseReport)>,
    /// Retries under way, oldest first.
    retries: Vec<Retrying>,
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
        self.places[seq as usize - 1] = place;
    }

    async fn claim(&mut self, bench: &Bench, node: u8, slots: u32, per_slot: u64) {
        let now = bench.store.now().0;
        let free = |place: &Place| match place {
            Place::Untouched => true,
            Place::Waits { not_before, .. } => *not_before <= now,
            Place::Held { .. } | Place::Ended { .. } => false,
        };
        let expected = self.state.hands_out() && self.places.iter().any(free);
        let name = format!("node-{node}");
        let claim = bench.claim(&name, slots, per_slot).await;
        assert_eq!(claim.is_some(), expected, "a claim is granted exactly where there is work");
        let Some(claim) = claim else { return };
        assert!(claim.count() <= u64::from(slots) * per_slot && claim.slots <= slots);
        assert_eq!(claim.started, u64::from(claim.slots).min(claim.count()));
        for seq in claim.ranges.iter().flat_map(|range| range.first..=range.last) {
            let place = &self.places[seq as usize - 1];
            assert!(free(place), "{seq} was not free: {place:?}");
            let expected = match place {
                Place::Waits { generation, attempt, crashes, .. } => (*generation, *attempt, *crashes),
                _ => (self.generation, 1, 0),
            };
            assert_eq!((claim.generation, claim.attempt, claim.crashes), expected);
            let started = claim.started_ranges().iter().any(|range| range.first <= seq && seq <= range.last);
            self.put(seq, Place::Held { lease: claim.lease, started });
        }
        assert!(claim.crashes < 2 || claim.count() == 1, "a suspect runs alone");
        self.state = BatchState::Running;
        self.touched = true;
        self.leases.push(Held { claim, node: name, version: 1 });
    }

    /// Something random happens to the items of a lease; the report of it.
    fn report(&mut self, held: &Held, dice: &mut Dice, now: i64) -> LeaseReport {
        let claim = &held.claim;
        let mut report = report(claim, held.version);
        let mut free = claim.slots;
        for (seq, started) in self.held_by(claim.lease) {
            let choice = if started { dice.roll(5) } else { [0, 0, 4, 5, 1][dice.roll(5) as usize] };
            let ended = |state, family: Option<&str>| Place::Ended {
                state,
                attempts: claim.attempt,
                family: family.map(str::to_owned),
            };
            match choice {
                1 => {
                    report.outcomes.push(OutcomeRun { attempts: claim.attempt, ..quick(SeqRange::one(seq)) });
                    self.put(seq, ended(ItemState::Succeeded, None));
                }
                2 => {
                    let family = ["f", "g", "h"][dice.roll(3) as usize];
                    report.outcomes.push(OutcomeRun { attempts: claim.attempt, ..failure(seq, family) });
                    self.put(seq, ended(ItemState::Failed, Some(family)));
                }
                3 => {
                    let (attempt, crashes) = (claim.attempt + 1, claim.crashes);
                    let not_before = now + 1_000;
                    let retry = RetryItem { seq, attempt, crashes, not_before: Timestamp(not_before) };
                    report.retries.push(retry);
                    let waits = Place::Waits { generation: claim.generation, attempt, crashes, not_before };
                    self.give_back(seq, claim.attempt, waits);
                }
                4 => {
                    report.handback.push(SeqRange::one(seq));
                    let (generation, attempt, crashes) = (claim.generation, claim.attempt, claim.crashes);
                    let waits = Place::Waits { generation, attempt, crashes, not_before: 0 };
                    self.give_back(seq, claim.attempt - 1, waits);
                }
                _ => {
                    let starts = (started || choice == 5) && free > 0;
                    free -= u32::from(starts);
                    if starts {
                        report.started.push(SeqRange::one(seq));
                    }
                    self.put(seq, Place::Held { lease: claim.lease, started: starts });
                }
            }
        }
        report
    }

    fn give_back(&mut self, seq: Seq, attempts: u32, waits: Place) {
        let cancelled = Place::Ended { state: ItemState::Cancelled, attempts, family: None };
        self.put(seq, if self.state == BatchState::Cancelling { cancelled } else { waits });
    }

    async fn record(&mut self, bench: &Bench, which: usize, dice: u64) {
        if self.leases.is_empty() {
            return;
        }
        let at = which % self.leases.len();
        let held = self.leases[at].clone();
        let report = self.report(&held, &mut Dice(dice), bench.store.now().0);
        let (answer, changes) = bench.record(&held.node, report.clone()).await;
        self.settle();
        let LeaseAnswer::Applied { version, state, closed, .. } = answer else {
            panic!("the lease was held")
        };
        assert_eq!(state, self.state);
        assert_eq!(closed, self.held_by(held.claim.lease).is_empty());
        assert_eq!(version, held.version + u32::try_from(changes.len()).unwrap());
        self.leases[at].version = version;
        if closed {
            self.leases.remove(at);
        }
        self.reports.push((held.node, report));
    }

    /// An earlier report comes again, as after an answer that was lost or a long silence.
    async fn repeat(&mut self, bench: &Bench, which: usize) {
        if self.reports.is_empty() {
            return;
        }
        let (node, report) = self.reports[which % self.reports.len()].clone();
        let known = self.leases.iter().find(|held| held.claim.lease == report.lease);
        let applied = known.is_some_and(|held| held.version == report.version + 1);
        let unchanged = known.is_some_and(|held| held.version == report.version);
        if unchanged {
            return;
        }
        let (answer, changes) = bench.record(&node, report).await;
        assert!(changes.is_empty(), "nothing is applied twice");
        assert_eq!(applied, matches!(answer, LeaseAnswer::Applied { .. }));
    }

    async fn reclaim(&mut self, bench: &Bench, node: u8) {
        let gone = format!("node-{node}");
        let alive: Vec<NodeId> =
            (0..3).map(|node| NodeId(format!("node-{node}"))).filter(|node| node.0 != gone).collect();
        bench.reclaim_but(&alive).await;
        let now = bench.store.now().0;
        let lost: Vec<Held> = self.leases.iter().filter(|held| held.node == gone).cloned().collect();
        for Held { claim, .. } in &lost {
            for (seq, started) in self.held_by(claim.lease) {
                let crashes = claim.crashes + 1;
                let ends = claim.attempt >= POLICY.attempts_max
                    || (crashes >= POLICY.crashes_max && claim.attempt >= 2);
                let generation = claim.generation;
                if !started {
                    let waits = Place::Waits { generation, attempt: claim.attempt, crashes, not_before: 0 };
                    self.give_back(seq, claim.attempt - 1, waits);
                } else if ends && self.state != BatchState::Cancelling {
                    let family = if claim.attempt >= POLICY.attempts_max { "lost" } else { "poison" };
                    let (state, attempts) = (ItemState::Failed, claim.attempt);
                    self.put(seq, Place::Ended { state, attempts, family: Some(family.to_owned()) });
                } else {
                    let waits =
                        Place::Waits { generation, attempt: claim.attempt + 1, crashes, not_before: now };
                    self.give_back(seq, claim.attempt, waits);
                }
            }
        }
        self.leases.retain(|held| held.node != gone);
        self.settle();
    }

    async fn append(&mut self, bench: &Bench, count: u32, wrong: bool) {
        let first = self.places.len() as u64 + 1 + u64::from(wrong);
        let done = bench.store.append(self.batch.key, first, vec![lines(first, count)], vec![]).await;
        if wrong || self.sealed {
            return assert!(matches!(
                done,
                Err(StoreError::WrongFirstSeq { .. } | StoreError::WrongState(_))
            ));
        }
        done.unwrap();
        self.places.extend(std::iter::repeat_n(Place::Untouched, count as usize));
    }

    async fn step(&mut self, bench: &mut Bench, act: &Act) {
        let key = self.batch.key;
        match act {
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
                let open =
                    matches!(self.state, BatchState::Pending | BatchState::Running | BatchState::Paused);
                assert_eq!(allowed, open);
                if open {
                    self.state = BatchState::Paused;
                }
            }
            Act::Resume => {
                let resumed = bench.store.resume(key).await.is_ok();
                assert_eq!(resumed, self.state == BatchState::Paused || self.state.hands_out());
                if self.state == BatchState::Paused {
                    self.state = if self.touched { BatchState::Running } else { BatchState::Pending };
                }
            }
            Act::Cancel => self.cancel(bench).await,
            Act::Retry { kind, dice } => self.retry(bench, *kind, *dice).await,
            Act::Step => self.act_step(bench).await,
            Act::Pass { ms } => bench.pass(*ms),
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
    }
}

async fn case(bench: &mut Bench, acts: &[Act]) {
    // What an earlier case left would be claimed here too.
    for batch in bench.store.unfinished().await.unwrap() {
        bench.store.cancel(batch.key, None).await.unwrap();
        bench.stepped(batch.key).await;
    }
    bench.reclaim_but(&[]).await;
    let batch = bench.store.create(new_batch()).await.unwrap();
    let mut model = Model {
        batch,
        places: Vec::new(),
        leases: Vec::new(),
        sealed: false,
        state: BatchState::Pending,
        generation: 1,
        touched: false,
        reports: Vec::new(),
        retries: Vec::new(),
    };
    for act in acts {
        model.step(bench, act).await;
        model.compare(bench).await;
    }
}

fn random_acts_agree(on: On) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(bench) = runtime.block_on(Bench::open(on)) else { return };
    let bench = RefCell::new(bench);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let run = |acts: Vec<Act>| {
        runtime.block_on(case(&mut bench.borrow_mut(), &acts));
        Ok(())
    };
    TestRunner::new(config).run(&prop::collection::vec(act(), 1..40), run).unwrap();
}

#[test]
fn random_acts_agree_with_the_model_on_sqlite() {
    random_acts_agree(On::Sqlite);
}

#[test]
fn random_acts_agree_with_the_model_on_postgres() {
    random_acts_agree(On::Postgres);
}
