//! How much more work this node wants: what the claim loop asks for.
//!
//! Nothing is claimed that cannot start soon by what is known. Which batch it comes from, the store decides.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dispatcher::Dispatcher;
use super::lease::Disposition;
use crate::store::BatchKey;

/// The next lease is claimed before the last has run out only where items are quicker than this.
const AHEAD_PACE_MAX: Duration = Duration::from_millis(500);

/// What to ask the store for.
pub struct Demand {
    pub slots_free: u32,
    pub items_per_slot: HashMap<BatchKey, u64>,
}

impl Demand {
    /// What `dispatcher` wants now, if anything: work for idle slots, or the next lease while the last is still being
    /// worked off.
    pub fn of(dispatcher: &Dispatcher) -> Option<Self> {
        let slots = dispatcher.slots.count();
        let table = dispatcher.table();
        let idle = slots - u64::from(dispatcher.slots.busy());
        if !table.has_room(slots) {
            return None;
        }
        let (mut waiting, mut granted, mut soon, mut quick) = (0, 0, 0, false);
        for lease in table.leases.values().filter(|lease| lease.disposition == Disposition::Run) {
            let pace = lease.batch.pace_ns.get().map(Duration::from_nanos);
            quick |= pace.is_some_and(|pace| pace < AHEAD_PACE_MAX);
            let left = lease.waiting();
            if left > 0 {
                waiting += left;
                granted += lease.claim.count();
                // Idle slots are about to take as many as the lease still has room for.
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
        let items_per_slot = table
            .all_prepared()
            .filter_map(|batch| {
                let limited = batch.is_limited.load(Ordering::Relaxed);
                // A lease for one slot of many is shared by all of them, unless the batch may not use them.
                let spread = if limited { 1 } else { slots / slots_free };
                Some((batch.key, batch.items_in(second)?.saturating_mul(spread)))
            })
            .collect();
        Some(Self { slots_free: u32::try_from(slots_free).unwrap_or(u32::MAX), items_per_slot })
    }
}
