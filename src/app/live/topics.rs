//! Topics as signals: what pages and components hold.
//!
//! Every function observes its topic for as long as the owner of its caller lives.

use std::sync::{Arc, Mutex, PoisonError};

use leptos::prelude::*;

use super::feed::Feed;
use super::live_client::{LiveClient, use_live};
use super::observers::{Observation, TopicObserver};
use crate::client::fold::Listing;
use crate::client::live_row::LiveRow;
use crate::protocol::{
    Batch, BatchId, ErrorCode, Family, FamilyPage, ItemDetail, ItemLive, ItemPage, ItemRow, LogPart, Node,
    PulseBucket, Rev, Seq, Strip, StripCell, Topic,
};

/// One live row.
pub struct LiveOne<R: LiveRow> {
    /// The row; the last one that was there, once it is gone.
    pub row: Signal<R>,
    /// True once it is deleted, or no longer visible.
    pub gone: Signal<bool>,
}

impl<R: LiveRow> Copy for LiveOne<R> {}
impl<R: LiveRow> Clone for LiveOne<R> {
    fn clone(&self) -> Self {
        *self
    }
}

/// Live rows by key.
pub struct LiveRows<R: LiveRow> {
    /// Keys in order.
    pub order: Signal<Vec<R::Key>>,
    /// Rows of the topic that came above a pinned list and belong to it; always 0 for a whole one.
    pub unseen: Signal<usize>,
    /// Why these rows are not live, while they are not; [`LiveRows::retry`] tries again.
    pub refused: Signal<Option<ErrorCode>>,
    version: Signal<u64>,
    feed: StoredValue<Arc<Feed<R>>>,
    topic: StoredValue<Option<Topic>>,
    client: StoredValue<LiveClient>,
}

impl<R: LiveRow> Copy for LiveRows<R> {}
impl<R: LiveRow> Clone for LiveRows<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: LiveRow> LiveRows<R> {
    /// One row, if it is there: a signal of its own. Does not track the list.
    #[must_use]
    pub fn row(&self, key: &R::Key) -> Option<Signal<R>> {
        let feed = self.feed.try_get_value()?;
        Some(RwSignal::from(feed.row(key)?).into())
    }

    /// All rows in order; tracks every change of any.
    #[must_use]
    pub fn list(&self) -> Vec<R> {
        self.version.track();
        self.order.track();
        let Some(feed) = self.feed.try_get_value() else { return Vec::new() };
        let shown = feed.shown();
        shown.order().iter().filter_map(|key| shown.row(key).cloned()).collect()
    }

    /// The rows that `unseen` counts. Does not track.
    #[must_use]
    pub fn unseen_rows(&self) -> Vec<R> {
        let Some(feed) = self.feed.try_get_value() else { return Vec::new() };
        let shown = feed.shown();
        shown.unseen().filter(|row| (feed.belongs)(row)).cloned().collect()
    }

    /// Subscribes to the topic again.
    pub fn retry(&self) {
        if let (Some(client), Some(topic)) =
            (self.client.try_get_value(), self.topic.try_get_value().flatten())
        {
            client.resubscribe(topic);
        }
    }

    fn of(feed: &Arc<Feed<R>>) -> Self {
        Self {
            refused: RwSignal::from(feed.refused.clone()).into(),
            topic: StoredValue::new(None),
            client: StoredValue::new(use_live()),
            order: RwSignal::from(feed.order.clone()).into(),
            unseen: RwSignal::from(feed.unseen.clone()).into(),
            version: RwSignal::from(feed.version.clone()).into(),
            feed: StoredValue::new(Arc::clone(feed)),
        }
    }
}

/// Observes `topic` for as long as the owner lives, and another one when it changes; `moved` is called before.
/// In the browser only: an effect does not run while the server renders.
fn follow<R: LiveRow>(
    feed: Arc<Feed<R>>,
    topic: impl Fn() -> Topic + Send + Sync + 'static,
    moved: impl Fn(&Feed<R>, Topic) + Send + Sync + 'static,
) {
    let client = use_live();
    let leaving = client.clone();
    let observation = Arc::new(Mutex::new(None::<Observation>));
    let last = Arc::clone(&observation);
    Effect::new(move |_| {
        let topic = topic();
        let mut observation = observation.lock().unwrap_or_else(PoisonError::into_inner);
        if observation.is_some_and(|held| held.topic == topic) {
            return;
        }
        if let Some(old) = observation.take() {
            client.leave(old);
            moved(&feed, topic);
        }
        *observation = Some(client.join(topic, Arc::clone(&feed) as Arc<dyn TopicObserver>));
    });
    on_cleanup(move || {
        if let Some(old) = last.lock().unwrap_or_else(PoisonError::into_inner).take() {
            leaving.leave(old);
        }
    });
}

fn one<R: LiveRow>(topic: Topic, rev: Rev, initial: R) -> LiveOne<R> {
    let key = initial.key();
    let feed = Feed::new(rev, vec![initial.clone()], Listing::Whole);
    let row = feed.row(&key).unwrap_or_else(|| ArcRwSignal::new(initial));
    let gone = RwSignal::from(feed.gone.clone()).into();
    follow(feed, move || topic, |_, _| ());
    LiveOne { row: RwSignal::from(row).into(), gone }
}

fn many<R: LiveRow>(topic: Topic, rev: Rev, initial: Vec<R>) -> LiveRows<R> {
    observe(topic, Feed::new(rev, initial, Listing::Whole))
}

fn observe<R: LiveRow>(topic: Topic, feed: Arc<Feed<R>>) -> LiveRows<R> {
    let rows = LiveRows::of(&feed);
    rows.topic.set_value(Some(topic));
    follow(feed, move || topic, |_, _| ());
    rows
}

/// One batch.
#[must_use]
pub fn use_batch(initial: Batch) -> LiveOne<Batch> {
    one(Topic::Batch(initial.id), initial.rev, initial)
}

/// How far one batch is, for whoever may see no more of it.
#[must_use]
pub fn use_progress(initial: Batch) -> LiveOne<Batch> {
    one(Topic::Progress(initial.id), initial.rev, initial)
}

/// One item with its attempts and log.
#[must_use]
pub fn use_item(batch: BatchId, initial: ItemDetail) -> LiveOne<ItemLive> {
    let ItemDetail { row, history, started_at, log } = initial;
    // Where in the whole log its kept part begins, the answer says: a snapshot.
    let initial = ItemLive { row, history, started_at, log: LogPart { from: 0, text: log } };
    // The row's revision is older than the batch's: without one, the answer is a snapshot.
    one(Topic::Item { batch, seq: initial.row.seq }, 0, initial)
}

/// The batches of the topic, newest first: all unfinished and the newest finished.
#[must_use]
pub fn use_batches(initial: Vec<Batch>) -> LiveRows<Batch> {
    many(Topic::Batches, 0, initial)
}

/// These batches in this order, kept true; newer ones of which `belongs` says that the list would show them are only
/// counted, in `unseen`.
#[must_use]
pub fn use_listed_batches(
    initial: Vec<Batch>,
    belongs: impl Fn(&Batch) -> bool + Send + Sync + 'static,
) -> LiveRows<Batch> {
    observe(Topic::Batches, Feed::counting(0, initial, Listing::Pinned, belongs))
}

/// The items of a window (both ends included, at most 500), which may move.
#[must_use]
pub fn use_window(batch: BatchId, window: Signal<(Seq, Seq)>, initial: ItemPage) -> LiveRows<ItemRow> {
    let feed = Feed::new(initial.rev, initial.items, Listing::Whole);
    let rows = LiveRows::of(&feed);
    let topic = move || {
        let (from, to) = window.get();
        let topic = Topic::Items { batch, from, to };
        rows.topic.set_value(Some(topic));
        topic
    };
    follow(feed, topic, |feed, topic| {
        if let Topic::Items { from, to, .. } = topic {
            feed.change(|shown| {
                shown.forget_rev();
                shown.retain(|seq| (from..=to).contains(seq))
            });
        }
    });
    rows
}

/// Failures by cause, in the order in which they came.
#[must_use]
pub fn use_families(batch: BatchId, initial: FamilyPage) -> LiveRows<Family> {
    many(Topic::Families(batch), initial.rev, initial.families)
}

/// The nodes.
#[must_use]
pub fn use_nodes(initial: Vec<Node>) -> LiveRows<Node> {
    many(Topic::Nodes, 0, initial)
}

/// The strip's cells.
#[must_use]
pub fn use_strip(batch: BatchId, initial: Strip) -> LiveRows<StripCell> {
    many(Topic::Strip(batch), initial.rev, initial.cells)
}

/// The time buckets.
#[must_use]
pub fn use_pulse(batch: BatchId, initial: (Rev, Vec<PulseBucket>)) -> LiveRows<PulseBucket> {
    let (rev, buckets) = initial;
    many(Topic::Pulse(batch), rev, buckets)
}
