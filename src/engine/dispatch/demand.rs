//! When this node wants more work, and how much of it.
//!
//! Owns the question that the claim loop asks before it asks the store. Invariant: nothing is claimed that cannot
//! start soon by what is known. Deliberately chooses no batch: the store does.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dispatcher::{BUFFER_WEIGHT_MAX, Desk, State};
use super::lease::Course;
use crate::store::BatchKey;

/// Leases of one node at most (or two per slot, if that is more); beyond, nothing is claimed.
const LEASES_MAX: usize = 256;
/// The next lease is claimed before the last has run out only where items are quicker than this.
const AHEAD_PACE_MAX: Duration = Duration::from_millis(500);

/// What the claim loop asks the store for.
pub struct Want {
    pub slots_free: u32,
    pub items_per_slot: HashMap<BatchKey, u64>,
}

impl Desk {
    /// True while more leases may come.
    fn takes(&self, state: &State) -> bool {
        !state.closing
            && state.weight < BUFFER_WEIGHT_MAX
            && state.leases.len() < LEASES_MAX.max(2 * self.boards.len())
    }

    /// True while another lease may come, though no slot asks for one.
    pub fn has_room(&self) -> bool {
        self.takes(&self.lock())
    }

    /// True where a slot has or may have something of the batch.
    pub fn works_on(&self, batch: BatchKey) -> bool {
        self.lock().leases.values().any(|lease| lease.work.key == batch && lease.course == Course::Run)
    }

    /// What to claim now, if anything: work for idle slots, or the next lease while the last is still being worked off.
    pub fn want(&self) -> Option<Want> {
        let state = self.lock();
        let idle = self.slots() - u64::from(self.busy());
        if !self.takes(&state) {
            return None;
        }
        let (mut waiting, mut granted, mut soon, mut quick) = (0, 0, 0, false);
        for lease in state.leases.values().filter(|lease| lease.course == Course::Run) {
            let pace = lease.work.pace_ns.get().map(Duration::from_nanos);
            quick |= pace.is_some_and(|pace| pace < AHEAD_PACE_MAX);
            let left = lease.waiting();
            if left > 0 {
                waiting += left;
                granted += lease.claim.count();
                soon += left.min(lease.slots_max - lease.slots_used);
            }
        }
        let free = idle.saturating_sub(soon);
        if free == 0 && !(quick && waiting * 2 <= granted) {
            return None;
        }
        // Ahead of time a lease is for one slot: the others are about to ask themselves.
        let slots_free = free.max(1);
        let second = Duration::from_secs(1);
        let items_per_slot = state
            .works
            .values()
            .filter_map(|work| {
                let limited = work.is_limited.load(Ordering::Relaxed);
                let spread = if limited { 1 } else { self.slots() / slots_free };
                Some((work.key, work.items_in(second)?.saturating_mul(spread)))
            })
            .collect();
        Some(Want { slots_free: u32::try_from(slots_free).unwrap_or(u32::MAX), items_per_slot })
    }
}

impl State {
    /// True where at least half of what was leased has been taken by slots.
    pub fn half_started(&self) -> bool {
        let (mut waiting, mut granted) = (0, 0);
        for lease in self.leases.values().filter(|lease| lease.waiting() > 0) {
            waiting += lease.waiting();
            granted += lease.claim.count();
        }
        waiting * 2 <= granted
    }
}
