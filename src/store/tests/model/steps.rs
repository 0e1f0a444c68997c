//! The model's acts in steps: what the store chose to take of them is looked up, and checked.
//!
//! Nothing is taken that was not meant, nothing twice, and an act ends when all is taken.

use super::*;
use crate::store::access::Signature;

impl Model {
    pub(super) async fn cancel(&mut self, bench: &Bench) {
        let done = bench.store.cancel(self.batch.key, None).await;
        if matches!(self.state, BatchState::Succeeded | BatchState::Failed) {
            return assert!(matches!(done, Err(StoreError::WrongState(_))));
        }
        done.unwrap();
        if matches!(self.state, BatchState::Cancelling | BatchState::Cancelled) {
            return;
        }
        self.state = BatchState::Cancelling;
        self.sealed = true;
        self.retries.clear();
        self.cancelled(bench).await;
        assert!(!self.places.contains(&Place::Untouched), "what nobody touched ends at once");
    }

    /// What waited and was ended by a step of the cancel: the store chooses how much.
    async fn cancelled(&mut self, bench: &Bench) {
        let shown = self.shown(bench).await;
        for (place, shown) in self.places.iter_mut().zip(shown) {
            let attempts = match place {
                Place::Untouched => 0,
                Place::Waits { attempt, .. } => *attempt - 1,
                Place::Held { .. } | Place::Ended { .. } => continue,
            };
            if shown == ItemState::Cancelled {
                *place = Place::Ended { state: ItemState::Cancelled, attempts, family: None };
            }
        }
        let waits = self.places.iter().any(|place| matches!(place, Place::Waits { .. }));
        assert_eq!(bench.store.acts_under_way().await.unwrap().contains(&self.batch.key), waits);
        self.settle();
    }

    /// States as the store shows them.
    async fn shown(&self, bench: &Bench) -> Vec<ItemState> {
        let window = bench.store.window(&self.batch, 1, 500).await.unwrap();
        window.items.iter().map(|item| item.row.state).collect()
    }

    /// What a retry of `generation` took: the store chooses how much. How many items.
    async fn taken(&mut self, bench: &Bench, generation: u32, meant: &BTreeSet<Seq>) -> usize {
        let shown = self.shown(bench).await;
        let took = |seq: &&Seq| shown[**seq as usize - 1] == ItemState::Pending;
        let taken: Vec<Seq> = meant.iter().filter(took).copied().collect();
        for seq in &taken {
            let place = &self.places[*seq as usize - 1];
            assert!(matches!(place, Place::Ended { .. }), "{seq} was taken and had not ended");
            self.put(*seq, Place::Waits { generation, attempt: 1, crashes: 0, not_before: 0 });
            self.generations[*seq as usize - 1] = generation;
            for retry in &mut self.retries {
                retry.meant.remove(seq);
            }
        }
        taken.len()
    }

    /// The next step of an act, if one is under way.
    pub(super) async fn act_step(&mut self, bench: &Bench) {
        let key = self.batch.key;
        let under_way = bench.store.acts_under_way().await.unwrap().contains(&key);
        let stepped = bench.store.act_step(key).await.unwrap();
        assert_eq!(stepped.is_some(), under_way, "what is under way has a step, nothing else has");
        if self.state == BatchState::Cancelling {
            return self.cancelled(bench).await;
        }
        assert_eq!(under_way, !self.retries.is_empty());
        let Some(change) = stepped else { return };
        let generation = self.retries[0].generation;
        let meant = self.retries[0].meant.clone();
        self.taken(bench, generation, &meant).await;
        let acts = bench.store.acts_of(change.batch.key).await;
        if acts < self.retries.len() {
            let ended = self.retries.remove(0);
            assert!(ended.meant.is_empty(), "a retry ends when all is taken: {:?}", ended.meant);
        }
        assert_eq!(acts, self.retries.len());
        self.settle();
    }

    pub(super) async fn retry(&mut self, bench: &Bench, kind: u8, dice: u64) {
        let mut dice = Dice(dice);
        let seqs: Vec<Seq> = (0..5).map(|_at| dice.roll(self.places.len() as u64 + 2)).collect();
        let request = match kind {
            0 => RetryRequest::default(),
            1 => RetryRequest { family: Some(FamilyId("f".to_owned())), ..RetryRequest::default() },
            2 => RetryRequest { seqs: Some(seqs.clone()), ..RetryRequest::default() },
            _ => RetryRequest {
                states: Some(vec![ItemState::Failed, ItemState::Cancelled]),
                ..RetryRequest::default()
            },
        };
        let asks = Signature { who: RETRIED_BY.to_owned(), via: "test", address: String::new() };
        let done = asks.on(bench.store.retry(self.batch.key, &request)).await;
        if self.state == BatchState::Cancelling {
            return assert!(matches!(done, Err(StoreError::WrongState(_))));
        }
        done.unwrap();
        let mut meant = BTreeSet::new();
        for (at, place) in self.places.iter().enumerate() {
            let Place::Ended { state, family, .. } = place else { continue };
            let failed = *state == ItemState::Failed;
            let takes = match kind {
                0 => failed,
                1 => failed && family.as_deref() == Some("f"),
                2 => *state != ItemState::Succeeded && seqs.contains(&(at as u64 + 1)),
                _ => *state != ItemState::Succeeded,
            };
            if takes {
                meant.insert(at as u64 + 1);
            }
        }
        if meant.is_empty() {
            return;
        }
        self.generation += 1;
        self.retried_at = Some(bench.store.now());
        self.rested_ms += self.batch.finished_at.map_or(0, |at| bench.store.now().ms_since(at));
        assert!(self.taken(bench, self.generation, &meant).await > 0, "the first step takes something");
        if bench.store.acts_of(self.batch.key).await > self.retries.len() {
            meant.retain(|seq| matches!(self.places[*seq as usize - 1], Place::Ended { .. }));
            self.retries.push(Retrying { generation: self.generation, meant });
        }
        if self.state.is_finished() {
            self.state = self.opened(bench);
        }
    }
}
