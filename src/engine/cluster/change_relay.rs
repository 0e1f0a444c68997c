//! Between nodes: what one has committed, others show.
//!
//! Owns the hints that go out, those that come in, and what has been told of which batch. Started by the engine on
//! every node of a shared database. Invariant: a hint only makes a node look; what it tells, it has read, and what a
//! lost hint hid, the next compare finds. Deliberately knows no session: the hub says what is looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::engine::{Engine, Inner};
use crate::hub::Hub;
use crate::protocol::{BatchId, FamilyId, Key, NodeId, Rev, Topic};
use crate::store::{BatchChange, Since, StoreError};

/// Bytes of one hint at most; Postgres carries less than 8,000.
const HINT_BYTES_MAX: usize = 7_800;
/// How often all that moves is compared: what a lost hint hid.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// A connection for hints that was silent for so long is made anew: it may be dead without a sign.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Pause before the connection for hints is made again: doubles up to the second figure.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Batches that nobody looks at and that are read for their pace, per compare.
const UNWATCHED_MAX: usize = 32;

/// How soon others should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Items have moved.
    Usual,
    /// The batch hands nothing out any more: whoever holds items of it should ask.
    AtOnce,
}

/// What others said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    batches: BTreeMap<BatchId, Urgency>,
    /// More than fits into a hint.
    all: bool,
    any: bool,
}

/// What has been told of a batch.
#[derive(Default)]
struct Known {
    rev: Rev,
    cell_items: Option<u64>,
    families: Option<BTreeSet<FamilyId>>,
}

/// What goes out, what came in, what is known.
#[derive(Default)]
pub struct Outbox {
    out: Mutex<BTreeMap<BatchId, Urgency>>,
    heard: Mutex<Heard>,
    known: Mutex<HashMap<BatchId, Known>>,
    told: Notify,
    came: Notify,
}

impl Outbox {
    fn out(&self) -> MutexGuard<'_, BTreeMap<BatchId, Urgency>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<BatchId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node has committed: others are to look, and what it has told itself it need not read.
    pub fn note(&self, change: &BatchChange) {
        let batch = &change.batch;
        let urgency = if batch.state.hands_out() { Urgency::Usual } else { Urgency::AtOnce };
        let mut out = self.out();
        let noted = out.entry(batch.id).or_insert(urgency);
        *noted = urgency.max(*noted);
        drop(out);
        self.told.notify_one();
        if let Some(known) = self.known().get_mut(&batch.id)
            && known.rev + 1 == batch.rev
        {
            known.take(change);
        }
    }
}

impl Known {
    fn take(&mut self, change: &BatchChange) {
        self.rev = change.batch.rev;
        if self.cell_items.is_some() {
            self.cell_items = Some(change.batch.cell_items);
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
            families: hub
                .is_watched(Topic::Families(batch))
                .then(|| self.families.clone().unwrap_or_default()),
        }
    }
}

/// A hint: who gives it, and of which batches.
fn print_hint(node: &NodeId, out: &BTreeMap<BatchId, Urgency>) -> String {
    let mut text = node.0.clone();
    for (batch, urgency) in out {
        let mark = if *urgency == Urgency::AtOnce { "!" } else { "" };
        write!(text, " {batch}{mark}").expect("writing to a String cannot fail");
        if text.len() > HINT_BYTES_MAX {
            return format!("{} *", node.0);
        }
    }
    text
}

impl Heard {
    /// Takes a hint, unless it is the node's own; true where there is something to look at.
    fn take(&mut self, own: &NodeId, text: &str) -> bool {
        let mut words = text.split(' ');
        if words.next().is_none_or(|node| node == own.0) {
            return false;
        }
        self.any = true;
        for word in words {
            let (id, urgency) =
                word.strip_suffix('!').map_or((word, Urgency::Usual), |id| (id, Urgency::AtOnce));
            match id.parse() {
                Ok(batch) => {
                    let noted = self.batches.entry(batch).or_insert(urgency);
                    *noted = urgency.max(*noted);
                }
                // More than fits, or the words of a later version: look at all.
                Err(_form) => self.all = true,
            }
        }
        true
    }
}

/// Tells others of commits, at most once a tick, until the engine stops.
pub async fn tell_loop(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.relay.told.notified() => {}
            () = inner.stop.cancelled() => return,
        }
        let out = std::mem::take(&mut *inner.relay.out());
        if !out.is_empty()
            && let Err(error) = inner.store.hint(&print_hint(&inner.node(), &out)).await
        {
            // Nothing is lost by that: others compare every second.
            tracing::debug!(%error, "a hint to other nodes was lost");
        }
        tokio::select! {
            () = tokio::time::sleep(inner.hub.tick()) => {}
            () = inner.stop.cancelled() => return,
        }
    }
}

/// Listens to others until the engine stops; where the connection breaks, makes another.
pub async fn listen_loop(inner: Arc<Inner>) {
    let mut backoff = Backoff::new(AGAIN_FIRST, AGAIN_MAX);
    loop {
        let ended = tokio::select! {
            ended = listen(&inner, &mut backoff) => ended,
            () = inner.stop.cancelled() => return,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "hints of other nodes are not heard");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = inner.stop.cancelled() => return,
        }
    }
}

async fn listen(inner: &Inner, backoff: &mut Backoff) -> Result<(), StoreError> {
    let Some(mut hints) = inner.store.hints().await? else { return Ok(()) };
    backoff.reset();
    // What was said before it listened, nobody repeats.
    inner.relay.heard().all = true;
    inner.relay.came.notify_one();
    while let Ok(hint) = tokio::time::timeout(SILENCE_MAX, hints.next()).await {
        let Some(hint) = hint? else { return Ok(()) };
        if inner.relay.heard().take(&inner.node(), &hint) {
            inner.relay.came.notify_one();
        }
    }
    Ok(())
}

/// Looks at what others have changed, when they say so and every second, until the engine stops.
pub async fn hear_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let mut compared: Option<Instant> = None;
    loop {
        let heard = std::mem::take(&mut *inner.relay.heard());
        if heard.any {
            inner.desk.nudge.notify_one();
        }
        let urgent = heard.batches.iter().filter(|(_, urgency)| **urgency == Urgency::AtOnce);
        let asks: BTreeSet<BatchId> = urgent.map(|(batch, _)| *batch).collect();
        if !asks.is_empty() {
            inner.desk.ask_about(&asks);
        }
        let due = heard.all || compared.is_none_or(|at| at.elapsed() >= COMPARE_INTERVAL);
        let looked = if due {
            let first = compared.is_none();
            compared = Some(Instant::now());
            compare(&engine, heard, first).await
        } else {
            let list = inner.hub.is_watched(Topic::Batches);
            let watched = inner.hub.heard_batches();
            let batches = heard.batches.into_keys().filter(|batch| list || watched.contains(batch));
            look(&engine, batches.collect()).await
        };
        if let Err(error) = looked {
            inner.trouble("what other nodes do cannot be read", &error);
        }
        tokio::select! {
            () = tokio::time::sleep(inner.hub.tick()) => {}
            () = inner.stop.cancelled() => return,
        }
        tokio::select! {
            () = inner.relay.came.notified() => {}
            () = tokio::time::sleep(COMPARE_INTERVAL) => {}
            () = inner.stop.cancelled() => return,
        }
    }
}

/// Compares all that moves or is looked at with what is known, and reads what differs.
async fn compare(engine: &Engine, heard: Heard, first: bool) -> Result<(), StoreError> {
    let inner = &engine.inner;
    let watched = inner.hub.heard_batches();
    let list = inner.hub.is_watched(Topic::Batches);
    let asked: Vec<BatchId> = watched.iter().copied().collect();
    let standings = inner.store.standings(&asked).await?;
    let mut differs: BTreeSet<BatchId> =
        heard.batches.into_keys().filter(|batch| list || watched.contains(batch)).collect();
    let mut unwatched = 0;
    {
        let mut known = inner.relay.known();
        let here: BTreeSet<BatchId> = standings.iter().map(|standing| standing.batch).collect();
        // What is no longer here and was looked at has been deleted and swept.
        differs.extend(watched.iter().filter(|batch| !here.contains(batch) && known.contains_key(batch)));
        known.retain(|batch, _| here.contains(batch) || watched.contains(batch));
        for standing in standings {
            let is_watched = watched.contains(&standing.batch);
            if first && standing.finished && !is_watched {
                known.insert(standing.batch, Known { rev: standing.rev, ..Known::default() });
                continue;
            }
            if known.get(&standing.batch).is_some_and(|known| known.rev >= standing.rev) {
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
    look(engine, differs).await
}

/// Reads what has changed of batches, and tells it here.
async fn look(engine: &Engine, batches: BTreeSet<BatchId>) -> Result<(), StoreError> {
    let inner = &engine.inner;
    for batch in batches {
        let since = inner.relay.known().get(&batch).unwrap_or(&Known::default()).since(batch, &inner.hub);
        match inner.store.changes_since(batch, &since).await {
            Ok(None) => {}
            Ok(Some(change)) => {
                engine.publish_heard(&change);
                let mut known = inner.relay.known();
                let known = known.entry(batch).or_default();
                known.cell_items = since.cell_items;
                known.families = since.families;
                // Commits of this node may have gone on meanwhile: then the next look reads once more.
                known.take(&change);
            }
            Err(StoreError::NotFound(_)) => {
                let known = inner.relay.known().remove(&batch);
                let rev = known.map_or(0, |known| known.rev) + 1;
                let key = Key::Text(batch.to_string());
                inner.hub.publish(Topic::Batch(batch), rev, Vec::new(), std::slice::from_ref(&key));
                inner.hub.publish(Topic::Batches, engine.list_rev(), Vec::new(), &[key]);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u128) -> BatchId {
        BatchId::from_u128(number)
    }

    #[test]
    fn hints_say_which_and_how_soon() {
        let (here, there) = (NodeId("a-1".into()), NodeId("b-2".into()));
        let out = BTreeMap::from([(batch(1), Urgency::Usual), (batch(2), Urgency::AtOnce)]);
        let text = print_hint(&there, &out);
        let mut heard = Heard::default();
        assert!(heard.take(&here, &text) && !heard.all);
        assert!(heard.take(&here, &print_hint(&there, &BTreeMap::from([(batch(1), Urgency::AtOnce)]))));
        assert_eq!(heard.batches, BTreeMap::from([(batch(1), Urgency::AtOnce), (batch(2), Urgency::AtOnce)]));
        assert!(!Heard::default().take(&there, &text), "a node needs no hint of its own");
    }

    #[test]
    fn more_than_fits_is_all() {
        let (here, there) = (NodeId("a-1".into()), NodeId("b-2".into()));
        let text = print_hint(&there, &(0..1_000).map(|at| (batch(at), Urgency::Usual)).collect());
        assert!(text.len() < 8_000);
        let mut heard = Heard::default();
        assert!(heard.take(&here, &text) && heard.all && heard.batches.is_empty());
    }
}
