//! What nodes do to the tape, in the model: claim, record, record again, be given up, and come back too late.
//!
//! As the model's.

use super::*;

impl Model {
    pub(super) async fn claim(&mut self, bench: &Bench, node: u8, slots: u32, per_slot: u64) {
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
                _ => (1, 1, 0),
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

    pub(super) async fn record(&mut self, bench: &Bench, which: usize, dice: u64) {
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
    pub(super) async fn repeat(&mut self, bench: &Bench, which: usize) {
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

    pub(super) async fn reclaim(&mut self, bench: &Bench, node: u8) {
        let gone = format!("node-{node}");
        let alive: Vec<NodeId> =
            (0..3).map(|node| NodeId(format!("node-{node}"))).filter(|node| node.0 != gone).collect();
        bench.reclaim_but(&alive).await;
        let now = bench.store.now().0;
        let lost: Vec<Held> = self.leases.iter().filter(|held| held.node == gone).cloned().collect();
        for Held { claim, .. } in &lost {
            for (seq, started) in self.held_by(claim.lease) {
                let crashes = claim.crashes + 1;
                let ends = claim.attempt >= POLICY.attempts_max || (crashes >= 3 && claim.attempt >= 2);
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
        self.expelled.extend(lost);
        self.settle();
    }

    /// A node that was given up tells what it has done: nobody listens.
    pub(super) async fn late(&mut self, bench: &Bench, which: usize) {
        if self.expelled.is_empty() {
            return;
        }
        let Held { claim, node, version } = &self.expelled[which % self.expelled.len()];
        let told = LeaseReport {
            outcomes: claim.ranges.iter().copied().map(quick).collect(),
            ..report(claim, *version)
        };
        let (answer, changes) = bench.record(node, told).await;
        assert_eq!((answer, changes.len()), (LeaseAnswer::Lost, 0));
    }
}
