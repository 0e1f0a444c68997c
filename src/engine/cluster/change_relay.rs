//! The relay of changes: what one node of a shared database has committed, the others publish.
//!
//! A node that has committed sends a hint; a hint only makes the others read. What a lost hint hid, the next comparison
//! finds. The hub says what is looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::hints::{Received, Urgency, print_hint};
use crate::backoff::Backoff;
use crate::engine::dispatch::Dispatcher;
use crate::engine::flow::CommitObserver;
use crate::engine::liveness::Liveness;
use crate::engine::publisher::Publisher;
use crate::engine::supervisor::Loops;
use crate::hub::Hub;
use crate::protocol::{BatchId, FamilyId, Key, Rev, Topic};
use crate::store::{BatchChange, Since, Store, StoreError};

/// How often all that moves is compared: what a lost hint hid.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// A connection for hints that was silent for so long is made anew: it may be dead without a sign.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Pause before the connection for hints is made again: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Batches that nobody looks at and that are read for their pace, per compare.
const UNWATCHED_MAX: usize = 32;

/// What has been published of a batch.
#[derive(Default)]
struct Published {
    rev: Rev,
    cell_items: Option<u64>,
    pulse_ms: Option<u64>,
    families: Option<BTreeSet<FamilyId>>,
}

/// Hints that go out and come in, and what has been published of which batch.
#[derive(Default)]
pub struct Outbox {
    out: Mutex<BTreeMap<BatchId, Urgency>>,
    received: Mutex<Received>,
    published: Mutex<HashMap<BatchId, Published>>,
    /// Wakes the loop that sends.
    committed: Notify,
    /// Wakes the loop that reads.
    came: Notify,
}

impl Outbox {
    fn out(&self) -> MutexGuard<'_, BTreeMap<BatchId, Urgency>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> MutexGuard<'_, HashMap<BatchId, Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommitObserver for Outbox {
    /// The others are to read, and what this node has published itself it need not read.
    fn committed(&self, change: &BatchChange) {
        let batch = &change.batch;
        let urgency = if batch.state.hands_out() { Urgency::Usual } else { Urgency::AtOnce };
        let mut out = self.out();
        let known = out.entry(batch.id).or_insert(urgency);
        *known = urgency.max(*known);
        drop(out);
        self.committed.notify_one();
        if let Some(published) = self.published().get_mut(&batch.id)
            && published.rev + 1 == batch.rev
        {
            published.add(change);
        }
    }
}

impl Published {
    fn add(&mut self, change: &BatchChange) {
        self.rev = change.batch.rev;
        if self.cell_items.is_some() {
            self.cell_items = Some(change.batch.cell_items);
        }
        if self.pulse_ms.is_some() {
            self.pulse_ms = Some(change.batch.pulse_ms);
        }
        if let Some(shown) = &mut self.families {
            for family in &change.families {
                if family.count > 0 {
                    shown.insert(family.id.clone());
                } else {
                    shown.remove(&family.id);
                }
            }
        }
    }

    /// What to read since, for what is looked at now.
    fn since(&self, batch: BatchId, hub: &Hub) -> Since {
        Since {
            rev: self.rev,
            cell_items: hub.is_watched(Topic::Strip(batch)).then(|| self.cell_items.unwrap_or(0)),
            pulse_ms: hub.is_watched(Topic::Pulse(batch)).then(|| self.pulse_ms.unwrap_or(0)),
            families: hub
                .is_watched(Topic::Families(batch))
                .then(|| self.families.clone().unwrap_or_default()),
        }
    }
}

/// The loops that relay.
pub struct ChangeRelay {
    pub store: Store,
    pub hub: Hub,
    pub outbox: Arc<Outbox>,
    pub publisher: Arc<Publisher>,
    pub dispatcher: Arc<Dispatcher>,
    pub liveness: Arc<Liveness>,
    pub loops: Loops,
}

impl ChangeRelay {
    /// Sends hints of commits, at most once a tick, until the engine stops.
    pub async fn send_loop(self: Arc<Self>) {
        let stop = self.loops.stop_token();
        loop {
            tokio::select! {
                () = self.outbox.committed.notified() => {}
                () = stop.cancelled() => return,
            }
            let out = std::mem::take(&mut *self.outbox.out());
            if !out.is_empty()
                && let Err(error) = self.store.hint(&print_hint(&self.liveness.node(), &out)).await
            {
                // Nothing is lost by that: others compare every second.
                tracing::debug!(%error, "a hint to other nodes was lost");
            }
            tokio::select! {
                () = tokio::time::sleep(self.hub.tick()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Receives hints of others until the engine stops; where the connection breaks, makes another.
    pub async fn receive_loop(self: Arc<Self>) {
        let stop = self.loops.stop_token();
        let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
        loop {
            let ended = tokio::select! {
                ended = self.receive(&mut backoff) => ended,
                () = stop.cancelled() => return,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "hints of other nodes do not arrive");
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn receive(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let Some(mut hints) = self.store.hints().await? else { return Ok(()) };
        backoff.reset();
        // What was sent before this connection was there, nobody repeats.
        self.outbox.received().all = true;
        self.outbox.came.notify_one();
        while let Ok(hint) = tokio::time::timeout(SILENCE_MAX, hints.next()).await {
            let Some(hint) = hint? else { return Ok(()) };
            if self.outbox.received().add(&self.liveness.node(), &hint) {
                self.outbox.came.notify_one();
            }
        }
        Ok(())
    }

    /// Reads what others have changed, when they say so and every second, until the engine stops.
    pub async fn read_loop(self: Arc<Self>) {
        let stop = self.loops.stop_token();
        let mut compared: Option<Instant> = None;
        loop {
            let received = std::mem::take(&mut *self.outbox.received());
            if received.any {
                self.dispatcher.work_arrived();
            }
            let urgent = received.batches.iter().filter(|(_, urgency)| **urgency == Urgency::AtOnce);
            let urgent: BTreeSet<BatchId> = urgent.map(|(batch, _)| *batch).collect();
            if !urgent.is_empty() {
                self.dispatcher.report_soon(&urgent);
            }
            let due = received.all || compared.is_none_or(|at| at.elapsed() >= COMPARE_INTERVAL);
            let read = if due {
                let first = compared.is_none();
                compared = Some(Instant::now());
                self.compare(received, first).await
            } else {
                let list = self.hub.is_watched(Topic::Batches);
                let watched = self.hub.subscribed_batches();
                let batches = received.batches.into_keys().filter(|batch| list || watched.contains(batch));
                self.read(batches.collect()).await
            };
            if let Err(error) = read {
                self.loops.health().trouble("what other nodes do cannot be read", &error);
            }
            tokio::select! {
                () = tokio::time::sleep(self.hub.tick()) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.outbox.came.notified() => {}
                () = tokio::time::sleep(COMPARE_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Compares all that moves or is looked at with what was published, and reads what differs.
    async fn compare(&self, received: Received, first: bool) -> Result<(), StoreError> {
        let watched = self.hub.subscribed_batches();
        let list = self.hub.is_watched(Topic::Batches);
        let asked: Vec<BatchId> = watched.iter().copied().collect();
        let standings = self.store.standings(&asked).await?;
        let mut differs: BTreeSet<BatchId> =
            received.batches.into_keys().filter(|batch| list || watched.contains(batch)).collect();
        let mut unwatched = 0;
        {
            let mut published = self.outbox.published();
            let here: BTreeSet<BatchId> = standings.iter().map(|standing| standing.batch).collect();
            // What is no longer here and was looked at has been deleted and swept.
            differs.extend(
                watched.iter().filter(|batch| !here.contains(batch) && published.contains_key(batch)),
            );
            published.retain(|batch, _| here.contains(batch) || watched.contains(batch));
            for standing in standings {
                let is_watched = watched.contains(&standing.batch);
                if first && standing.finished && !is_watched {
                    let known = Published { rev: standing.rev, ..Published::default() };
                    published.insert(standing.batch, known);
                    continue;
                }
                if published.get(&standing.batch).is_some_and(|known| known.rev >= standing.rev) {
                    continue;
                }
                if !is_watched && !list {
                    unwatched += 1;
                    if unwatched > UNWATCHED_MAX {
                        continue;
                    }
                }
                differs.insert(standing.batch);
            }
        }
        self.read(differs).await
    }

    /// Reads what has changed of batches, and publishes it here.
    async fn read(&self, batches: BTreeSet<BatchId>) -> Result<(), StoreError> {
        for batch in batches {
            let since = {
                let published = self.outbox.published();
                published.get(&batch).unwrap_or(&Published::default()).since(batch, &self.hub)
            };
            match self.store.changes_since(batch, &since).await {
                Ok(None) => {}
                Ok(Some(change)) => {
                    self.publisher.publish_read(&change);
                    let mut published = self.outbox.published();
                    let known = published.entry(batch).or_default();
                    known.cell_items = since.cell_items;
                    known.pulse_ms = since.pulse_ms;
                    known.families = since.families;
                    // Commits of this node may have gone on meanwhile: then the next read catches up.
                    known.add(&change);
                }
                Err(StoreError::NotFound(_)) => {
                    let known = self.outbox.published().remove(&batch);
                    let rev = known.map_or(0, |known| known.rev) + 1;
                    let key = Key::Text(batch.to_string());
                    for topic in [Topic::Batch(batch), Topic::Progress(batch)] {
                        self.hub.publish(topic, rev, Vec::new(), std::slice::from_ref(&key));
                    }
                    self.hub.publish(Topic::Batches, self.publisher.list_rev(), Vec::new(), &[key]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
