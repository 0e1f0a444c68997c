//! Topics as signals: what pages and components hold.
//!
//! Owns the signals of what is shown and their registration with the connection. Called by pages and components,
//! under their owner. Invariant: one row's change touches that row's signal only; the list of keys changes only when
//! rows come, go or move. Deliberately knows no layout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leptos::prelude::*;

use super::subscriptions::{Listener, LiveClient, use_live};
use crate::client::fold::{Changes, Delta, Listing, Shown};
use crate::client::live_row::LiveRow;
use crate::protocol::{
    Batch, BatchId, ErrorCode, Family, FamilyPage, ItemDetail, ItemLive, ItemPage, ItemRow, LogPart, Node,
    Rev, Seq, StripCell, Topic,
};

/// The signals of one topic, and what is shown of it.
struct Feed<R: LiveRow> {
    shown: Mutex<Shown<R>>,
    /// Made when somebody looks at the row; goes with it.
    rows: Mutex<HashMap<R::Key, ArcRwSignal<R>>>,
    order: ArcRwSignal<Vec<R::Key>>,
    version: ArcRwSignal<u64>,
    unseen: ArcRwSignal<usize>,
    gone: ArcRwSignal<bool>,
    /// Why the topic cannot be had, while it cannot.
    refused: ArcRwSignal<Option<ErrorCode>>,
    /// Which rows that are not listed would be, were the list read now.
    belongs: Box<dyn Fn(&R) -> bool + Send + Sync>,
}

impl<R: LiveRow> Feed<R> {
    fn new(rev: Rev, initial: Vec<R>, listing: Listing) -> Arc<Self> {
        Self::counting(rev, initial, listing, |_| true)
    }

    fn counting(
        rev: Rev,
        initial: Vec<R>,
        listing: Listing,
        belongs: impl Fn(&R) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        let shown = Shown::new(rev, initial, listing);
        let order = ArcRwSignal::new(shown.order().to_vec());
        Arc::new(Self {
            shown: Mutex::new(shown),
            rows: Mutex::default(),
            order,
            version: ArcRwSignal::new(0),
            unseen: ArcRwSignal::new(0),
            gone: ArcRwSignal::new(false),
            refused: ArcRwSignal::new(None),
            belongs: Box::new(belongs),
        })
    }

    fn shown(&self) -> MutexGuard<'_, Shown<R>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<R::Key, ArcRwSignal<R>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self, key: &R::Key) -> Option<ArcRwSignal<R>> {
        let row = self.shown().row(key)?.clone();
        Some(self.rows().entry(key.clone()).or_insert_with(|| ArcRwSignal::new(row)).clone())
    }

    /// Folds with `fold`, then tells the signals: no lock is held while one is set. False where what came did not fit.
    fn change(&self, fold: impl FnOnce(&mut Shown<R>) -> Changes<R::Key>) -> bool {
        let mut shown = self.shown();
        let changes = fold(&mut shown);
        let mut told = Vec::new();
        {
            let mut rows = self.rows();
            for key in &changes.removed {
                rows.remove(key);
            }
            for key in &changes.touched {
                if let (Some(signal), Some(row)) = (rows.get(key), shown.row(key)) {
                    told.push((signal.clone(), row.clone()));
                }
            }
        }
        let order = changes.reordered.then(|| shown.order().to_vec());
        let unseen = shown.unseen().filter(|row| (self.belongs)(row)).count();
        drop(shown);
        for (signal, row) in told {
            signal.set(row);
        }
        if let Some(order) = order
            && self.order.with_untracked(|held| *held != order)
        {
            self.order.set(order);
        }
        if self.unseen.get_untracked() != unseen {
            self.unseen.set(unseen);
        }
        if !changes.removed.is_empty() {
            self.gone.set(true);
        }
        if !(changes.touched.is_empty() && changes.removed.is_empty()) {
            self.version.update(|version| *version += 1);
        }
        !changes.torn
    }
}

impl<R: LiveRow> Listener for Feed<R> {
    fn rev(&self) -> Option<Rev> {
        Some(self.shown().rev()).filter(|rev| *rev > 0)
    }

    fn unfinished(&self) -> bool {
        self.shown().unfinished()
    }

    fn take(&self, delta: Delta) -> bool {
        if self.refused.get_untracked().is_some() {
            self.refused.set(None);
        }
        self.change(|shown| shown.apply(delta))
    }

    fn refuse(&self, code: ErrorCode) {
        if code == ErrorCode::NotFound {
            self.gone.set(true);
        } else {
            self.refused.set(Some(code));
        }
    }
}

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
    /// Why these rows are not live, while they are not; [`LiveRows::retry`] asks anew.
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

    /// Asks for the topic anew.
    pub fn retry(&self) {
        if let (Some(client), Some(topic)) =
            (self.client.try_get_value(), self.topic.try_get_value().flatten())
        {
            client.ask_anew(topic);
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

/// Listens to `topic` for as long as the owner lives, and to another one when it changes; `moved` is told before.
/// In the browser only: an effect does not run while the server renders.
fn follow<R: LiveRow>(
    feed: Arc<Feed<R>>,
    topic: impl Fn() -> Topic + Send + Sync + 'static,
    moved: impl Fn(&Feed<R>, Topic) + Send + Sync + 'static,
) {
    let client = use_live();
    let leaving = client.clone();
    let ticket = Arc::new(Mutex::new(None::<(Topic, u64)>));
    let last = Arc::clone(&ticket);
    Effect::new(move |_| {
        let topic = topic();
        let mut ticket = ticket.lock().unwrap_or_else(PoisonError::into_inner);
        if ticket.is_some_and(|(held, _)| held == topic) {
            return;
        }
        if let Some(old) = ticket.take() {
            client.leave(old);
            moved(&feed, topic);
        }
        *ticket = Some(client.join(topic, Arc::clone(&feed) as Arc<dyn Listener>));
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
    listen(topic, Feed::new(rev, initial, Listing::Whole))
}

fn listen<R: LiveRow>(topic: Topic, feed: Arc<Feed<R>>) -> LiveRows<R> {
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

/// One item with its attempts and log.
#[must_use]
pub fn use_item(batch: BatchId, initial: ItemDetail) -> LiveOne<ItemLive> {
    let ItemDetail { row, history, log } = initial;
    // Where in the whole log its kept part begins, the answer says: a snapshot.
    let initial = ItemLive { row, history, log: LogPart { from: 0, text: log } };
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
    listen(Topic::Batches, Feed::counting(0, initial, Listing::Pinned, belongs))
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
pub fn use_strip(batch: BatchId, initial: (Rev, Vec<StripCell>)) -> LiveRows<StripCell> {
    let (rev, cells) = initial;
    many(Topic::Strip(batch), rev, cells)
}
