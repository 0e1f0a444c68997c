//! Committed rows, to the topics that somebody subscribes to.
//!
//! Called after each commit. Only what is committed is published, and no row is built where nobody subscribes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::estimate::Estimates;
use super::flow::CommitObserver;
use super::supervisor::Loops;
use crate::hub::{Audience, Hub};
use crate::protocol::{Batch, Key, Rev, Row, Topic};
use crate::store::{BatchChange, BatchRecord, PULSE_BUCKETS_MAX, STRIP_CELLS_MAX, Store};

/// Publishes what commits change.
pub struct Publisher {
    store: Store,
    hub: Hub,
    estimates: Mutex<Estimates>,
    /// Tells other nodes; none where there are none.
    others: Option<Arc<dyn CommitObserver>>,
    list_rev: AtomicU64,
    loops: Loops,
}

impl Publisher {
    /// Publishes to `hub`, and lets `others` know.
    pub fn new(store: Store, hub: Hub, others: Option<Arc<dyn CommitObserver>>, loops: Loops) -> Self {
        Self { store, hub, estimates: Mutex::default(), others, list_rev: AtomicU64::new(0), loops }
    }

    fn estimates(&self) -> MutexGuard<'_, Estimates> {
        self.estimates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch as everybody sees it, with its rate and the time left.
    pub fn wire(&self, batch: &BatchRecord) -> Batch {
        let (rate, eta) = self.estimates().of(batch, self.store.steady());
        batch.to_wire(rate, eta)
    }

    /// A revision for the topics `batches` and `nodes`: grows with every call, over restarts too.
    pub fn list_rev(&self) -> Rev {
        let now = u64::try_from(self.store.now().0).unwrap_or(0);
        let next = |last: u64| Some((last + 1).max(now));
        match self.list_rev.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) | Err(last) => (last + 1).max(now),
        }
    }

    /// Publishes what a commit of this node changed: batch, families and strip to their topics, and a hint to others.
    pub fn publish(self: &Arc<Self>, change: &BatchChange) {
        if let Some(others) = &self.others {
            others.committed(change);
        }
        self.publish_read(change);
    }

    /// Publishes a batch alone: no end, family or cell has changed.
    pub fn publish_batch(self: &Arc<Self>, batch: BatchRecord) {
        self.publish(&BatchChange {
            batch,
            families: Vec::new(),
            cells: Vec::new(),
            strip_reshaped: false,
            pulse: Vec::new(),
            pulse_reshaped: false,
            ended: 0,
        });
    }

    /// Publishes what was read of another node's commits.
    pub fn publish_read(self: &Arc<Self>, change: &BatchChange) {
        let batch = &change.batch;
        self.estimates().record(batch, self.store.steady());
        let private_of = batch.options.private.then_some(batch.owner.as_str());
        let audience = || self.hub.audience(&batch.task, private_of);
        let key = Key::Text(batch.id.to_string());
        let (one, progress, all) = (Topic::Batch(batch.id), Topic::Progress(batch.id), Topic::Batches);
        if batch.deleted {
            for topic in [one, progress] {
                self.hub.publish(topic, batch.rev, Vec::new(), std::slice::from_ref(&key));
            }
            self.hub.publish(all, self.list_rev(), Vec::new(), &[key]);
            return;
        }
        for topic in [one, all].into_iter().filter(|topic| self.hub.is_watched(*topic)) {
            let row = Row::Batch(Box::new(self.wire(batch)));
            let rev = if topic == all { self.list_rev() } else { batch.rev };
            self.hub.publish(topic, rev, vec![(row, audience())], &[]);
        }
        if self.hub.is_watched(progress) {
            let row = Row::Batch(Box::new(self.wire(batch).progress()));
            // Whoever listens has been allowed to by a link to this very batch, private or not.
            self.hub.publish(progress, batch.rev, vec![(row, Audience::Everyone)], &[]);
        }
        let families = Topic::Families(batch.id);
        if !change.families.is_empty() && self.hub.is_watched(families) {
            let (here, gone): (Vec<_>, Vec<_>) =
                change.families.iter().cloned().partition(|family| family.count > 0);
            let gone: Vec<Key> = gone.into_iter().map(|family| Key::Text(family.id.0)).collect();
            let rows = here.into_iter().map(|family| (Row::Family(family), audience())).collect();
            self.hub.publish(families, batch.rev, rows, &gone);
        }
        let strip = Topic::Strip(batch.id);
        if self.hub.is_watched(strip) {
            if change.strip_reshaped {
                self.publish_whole_strip(batch.clone(), audience());
            } else if !change.cells.is_empty() {
                let rows = change.cells.iter().cloned().map(|cell| (Row::Cell(cell), audience())).collect();
                self.hub.publish(strip, batch.rev, rows, &[]);
            }
        }
        self.publish_pulse(change, audience);
    }

    fn publish_pulse(self: &Arc<Self>, change: &BatchChange, audience: impl Fn() -> Audience) {
        let batch = &change.batch;
        let pulse = Topic::Pulse(batch.id);
        if !self.hub.is_watched(pulse) {
            return;
        }
        if change.pulse_reshaped {
            self.publish_whole_pulse(batch.clone(), audience());
        } else if !change.pulse.is_empty() {
            let rows = change.pulse.iter().cloned().map(|bucket| (Row::Pulse(bucket), audience())).collect();
            self.hub.publish(pulse, batch.rev, rows, &[]);
        }
    }

    /// The time buckets have another width: all are read anew, as the cells of a strip are.
    fn publish_whole_pulse(self: &Arc<Self>, batch: BatchRecord, audience: Audience) {
        let publisher = Arc::clone(self);
        self.loops.spawn(async move {
            match publisher.store.pulse(&batch).await {
                Ok((rev, buckets)) => {
                    let row = |bucket| (Row::Pulse(bucket), audience.clone());
                    let rows = buckets.into_iter().map(row).collect();
                    publisher.hub.replace(Topic::Pulse(batch.id), rev, rows, PULSE_BUCKETS_MAX);
                }
                Err(error) => publisher.loops.health().trouble("time buckets cannot be read", &error),
            }
        });
    }

    /// The cells have another width: all are read anew, and take the place of those that were.
    fn publish_whole_strip(self: &Arc<Self>, batch: BatchRecord, audience: Audience) {
        let publisher = Arc::clone(self);
        self.loops.spawn(async move {
            match publisher.store.strip(&batch).await {
                Ok((rev, cells)) => {
                    let rows = cells.into_iter().map(|cell| (Row::Cell(cell), audience.clone())).collect();
                    publisher.hub.replace(Topic::Strip(batch.id), rev, rows, STRIP_CELLS_MAX);
                }
                Err(error) => publisher.loops.health().trouble("a strip cannot be read", &error),
            }
        });
    }
}
