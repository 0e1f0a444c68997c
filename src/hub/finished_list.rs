//! Which finished batches are still in the topic `batches`: the newest ones that a viewer may see.
//!
//! Per audience at most [`KEPT_MAX`] numbers, so that the newest [`LISTED_BATCHES_MAX`] of any viewer are all here.

use std::collections::{BTreeMap, HashMap};

use super::Audience;
use crate::protocol::limits::LISTED_BATCHES_MAX;
use crate::protocol::{Batch, BatchId, Key};
use crate::store::Viewer;

/// Numbers kept per audience: what a session that has missed as many ends as are listed still needs to catch up.
pub const KEPT_MAX: usize = 2 * LISTED_BATCHES_MAX;

/// Finished batches by number, newest last.
#[derive(Debug, Default)]
pub struct FinishedList {
    everyone: BTreeMap<u64, BatchId>,
    /// What not everybody sees, by who does. Bounded by the owners of private batches and the tasks that were heard of.
    restricted: HashMap<Audience, BTreeMap<u64, BatchId>>,
}

impl FinishedList {
    /// Takes a batch as it stands now; answers the one that no viewer can have in the list any more.
    pub fn take(&mut self, batch: &Batch, audience: &Audience) -> Option<Key> {
        let numbers = match audience {
            Audience::Everyone => &mut self.everyone,
            Audience::Owner(_) | Audience::Task(_) => self.restricted.entry(audience.clone()).or_default(),
        };
        if !batch.state.is_finished() {
            numbers.remove(&batch.number);
            return None;
        }
        numbers.insert(batch.number, batch.id);
        if numbers.len() <= KEPT_MAX {
            return None;
        }
        numbers.pop_first().map(|(_, id)| Key::Text(id.to_string()))
    }

    /// Forgets a batch that is gone.
    pub fn forget(&mut self, key: &Key) {
        let Key::Text(text) = key else { return };
        let Ok(id) = text.parse::<BatchId>() else { return };
        self.everyone.retain(|_, held| *held != id);
        for numbers in self.restricted.values_mut() {
            numbers.retain(|_, held| *held != id);
        }
    }

    /// True where all viewers see the same.
    pub fn is_uniform(&self) -> bool {
        self.restricted.values().all(BTreeMap::is_empty)
    }

    /// The batches that left the list of `viewer` with the last `ends` ends.
    pub fn beyond(&self, viewer: &Viewer, ends: usize) -> Vec<Key> {
        let mut visible: Vec<(u64, BatchId)> = Vec::new();
        let mut add = |numbers: &BTreeMap<u64, BatchId>| {
            visible.extend(numbers.iter().rev().map(|(number, id)| (*number, *id)));
        };
        add(&self.everyone);
        for (audience, numbers) in &self.restricted {
            if audience.takes(viewer) {
                add(numbers);
            }
        }
        visible.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        visible.iter().skip(LISTED_BATCHES_MAX).take(ends).map(|(_, id)| Key::Text(id.to_string())).collect()
    }
}
