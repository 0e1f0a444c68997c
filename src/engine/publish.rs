//! Committed rows, to whoever listens.
//!
//! Decides which topics a change concerns. Called after each commit: only what is committed is published, and nothing is
//! built where nobody listens.

use std::sync::atomic::Ordering;

use super::Engine;
use crate::hub::Audience;
use crate::protocol::{Batch, Key, Rev, Row, Topic};
use crate::store::{BatchChange, BatchRecord, STRIP_CELLS_MAX};

impl Engine {
    /// Rate and time left of a batch, as everybody sees it.
    #[must_use]
    pub fn wire(&self, batch: &BatchRecord) -> Batch {
        let (rate, eta) = self.inner.estimates().of(batch, self.inner.store.steady());
        batch.to_wire(rate, eta)
    }

    /// A revision for the topics `batches` and `nodes`: grows with every call, over restarts too.
    #[must_use]
    pub fn list_rev(&self) -> Rev {
        let now = u64::try_from(self.inner.store.now().0).unwrap_or(0);
        let next = |last: u64| Some((last + 1).max(now));
        match self.inner.list_rev.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) | Err(last) => (last + 1).max(now),
        }
    }

    /// Publishes what a commit of this node changed: batch, families and strip to their topics, and a hint to others.
    pub fn publish(&self, change: &BatchChange) {
        if self.inner.store.is_shared() {
            self.inner.relay.note(change);
        }
        self.publish_heard(change);
    }

    /// Publishes what was read of another node's commits.
    pub(super) fn publish_heard(&self, change: &BatchChange) {
        let inner = &self.inner;
        let batch = &change.batch;
        inner.estimates().note(batch, inner.store.steady());
        let audience = || {
            if batch.options.private { Audience::Owner(batch.owner.clone()) } else { Audience::Everyone }
        };
        let key = Key::Text(batch.id.to_string());
        let (one, all) = (Topic::Batch(batch.id), Topic::Batches);
        if batch.deleted {
            inner.hub.publish(one, batch.rev, Vec::new(), std::slice::from_ref(&key));
            inner.hub.publish(all, self.list_rev(), Vec::new(), &[key]);
            return;
        }
        for topic in [one, all].into_iter().filter(|topic| inner.hub.is_watched(*topic)) {
            let row = Row::Batch(Box::new(self.wire(batch)));
            let rev = if topic == all { self.list_rev() } else { batch.rev };
            inner.hub.publish(topic, rev, vec![(row, audience())], &[]);
        }
        let families = Topic::Families(batch.id);
        if !change.families.is_empty() && inner.hub.is_watched(families) {
            let (here, gone): (Vec<_>, Vec<_>) =
                change.families.iter().cloned().partition(|family| family.count > 0);
            let gone: Vec<Key> = gone.into_iter().map(|family| Key::Text(family.id.0)).collect();
            let rows = here.into_iter().map(|family| (Row::Family(family), audience())).collect();
            inner.hub.publish(families, batch.rev, rows, &gone);
        }
        let strip = Topic::Strip(batch.id);
        if inner.hub.is_watched(strip) {
            if change.strip_reshaped {
                self.publish_whole_strip(batch.clone(), audience());
            } else if !change.cells.is_empty() {
                let rows = change.cells.iter().cloned().map(|cell| (Row::Cell(cell), audience())).collect();
                inner.hub.publish(strip, batch.rev, rows, &[]);
            }
        }
    }

    /// The cells have another width: all are read anew, and take the place of those that were.
    fn publish_whole_strip(&self, batch: BatchRecord, audience: Audience) {
        let engine = self.clone();
        self.inner.loops.spawn(async move {
            match engine.inner.store.strip(&batch).await {
                Ok((rev, cells)) => {
                    let rows = cells.into_iter().map(|cell| (Row::Cell(cell), audience.clone())).collect();
                    engine.inner.hub.replace(Topic::Strip(batch.id), rev, rows, STRIP_CELLS_MAX);
                }
                Err(error) => engine.inner.trouble("a strip cannot be read", &error),
            }
        });
    }
}
