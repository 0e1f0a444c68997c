//! The feed of windows and single items: what somebody looks at, read from the store once a tick.
//!
//! Reads the watched windows whose batch has moved, and lays progress over running items. At most one read per window and
//! tick, whatever the number of items that end or of people who look; the hub's tick never waits for it. Nothing is kept
//! that nobody looks at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::dispatch::{Dispatcher, Slot};
use super::liveness::Liveness;
use super::supervisor::Loops;
use crate::fault::Loop;
use crate::hub::{Audience, Hub, LookedAt};
use crate::protocol::limits::WINDOW_ITEMS_MAX;
use crate::protocol::{
    BatchId, ItemLive, ItemProgress, ItemRow, ItemState, LogPart, Rev, Row, Seq, Timestamp, Topic,
};
use crate::store::{BatchRecord, ProgressRecord, SeqRange, Store, StoreError};
use crate::tasks::WorkCell;

/// Batches that are read at once.
const READS_MAX: usize = 4;
/// A batch that has finished is looked at this often: only a retry or a rename moves it.
const FINISHED_EVERY: Duration = Duration::from_secs(1);
/// Other nodes are told so often what is looked at here.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// An item with a log of so many bytes is told less often.
const LOG_LONG_BYTES: usize = 8 * 1024;
/// How often, then.
const LOG_LONG_EVERY: Duration = Duration::from_millis(500);

/// Feeds the hub with the rows of watched windows and items.
pub struct WindowFeed {
    pub store: Store,
    pub hub: Hub,
    pub dispatcher: Arc<Dispatcher>,
    pub liveness: Arc<Liveness>,
}

/// The cell of an item that runs in one of the slots of `dispatcher` now.
pub fn work_cell(dispatcher: &Dispatcher, batch: BatchId, seq: Seq) -> Option<Arc<WorkCell>> {
    dispatcher.slots.iter().find_map(|slot: &Slot| slot.cell(batch, seq))
}

/// When that item was taken up.
pub fn started_at(dispatcher: &Dispatcher, batch: BatchId, seq: Seq) -> Option<Timestamp> {
    dispatcher.slots.iter().find(|slot| slot.item() == Some((batch, seq)))?.started_at()
}

impl WindowFeed {
    /// Feeds until the loops stop.
    pub fn start(self, loops: &Loops) {
        let (feed, stop) = (Arc::new(self), loops.stop_token());
        loops.keep(Loop::WindowFeed, move || {
            let (feed, stop) = (Arc::clone(&feed), stop.clone());
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = feed.run() => {}
                }
            }
        });
    }

    /// Begins with nothing in hand: what it published before, it publishes once more.
    async fn run(&self) {
        let mut views = Views::default();
        let mut ticks = interval(self.hub.tick());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.round(&mut views, Instant::now()).await;
        }
    }
}

/// What is looked at, by batch. Bounded by the subscriptions of all connections.
#[derive(Default)]
struct Views {
    batches: HashMap<BatchId, View>,
}

/// What is looked at of one batch.
#[derive(Default)]
struct View {
    /// Not before.
    due: Option<Instant>,
    /// When other nodes were last told that this is looked at.
    watched_at: Option<Instant>,
    /// How far items are that run on other nodes.
    elsewhere: HashMap<Seq, ProgressRecord>,
    windows: HashMap<(Seq, Seq), WindowView>,
    items: HashMap<Seq, ItemView>,
}

/// What was published of a single item.
#[derive(Default)]
struct ItemView {
    reports: u64,
    /// Not before: a long log does not go out at every tick.
    due: Option<Instant>,
}

/// Running rows of one window as last read, so that progress alone costs no read: at most a window's rows.
#[derive(Default)]
struct WindowView {
    /// As of which revision; 0: never read.
    rev: Rev,
    running: BTreeMap<Seq, (ItemRow, u64)>,
}

impl WindowFeed {
    async fn round(&self, views: &mut Views, now: Instant) {
        let mut before = std::mem::take(&mut views.batches);
        let due: Vec<(BatchId, LookedAt, View)> = self
            .hub
            .looked_at()
            .into_iter()
            .map(|(batch, looked)| (batch, looked, before.remove(&batch).unwrap_or_default()))
            .collect();
        views.batches = stream::iter(due)
            .map(|(batch, looked, view)| async move { (batch, self.look(batch, &looked, view, now).await) })
            .buffer_unordered(READS_MAX)
            .collect()
            .await;
    }

    async fn look(&self, id: BatchId, looked: &LookedAt, mut view: View, now: Instant) -> View {
        if view.due.is_some_and(|due| due > now) {
            return view;
        }
        view.due = None;
        match self.store.batch(id).await {
            Ok(batch) => {
                if batch.state.is_finished() {
                    view.due = Some(now + FINISHED_EVERY);
                }
                if let Err(error) = self.feed(&batch, looked, &mut view, now).await {
                    tracing::warn!(%error, batch = %id, "a watched window could not be read");
                    view.due = Some(now + FINISHED_EVERY);
                }
            }
            // Deleted: its own topic says so.
            Err(StoreError::NotFound(_)) => view.due = Some(now + FINISHED_EVERY),
            Err(error) => {
                tracing::warn!(%error, batch = %id, "a watched batch could not be read");
                view.due = Some(now + FINISHED_EVERY);
            }
        }
        view
    }

    async fn feed(
        &self,
        batch: &BatchRecord,
        looked: &LookedAt,
        view: &mut View,
        now: Instant,
    ) -> Result<(), StoreError> {
        self.exchange_progress(batch, looked, view, now).await?;
        let View { windows, items, elsewhere, .. } = view;
        windows.retain(|window, _| looked.windows.contains(window));
        for (from, to) in &looked.windows {
            if to - from < WINDOW_ITEMS_MAX {
                let window = windows.entry((*from, *to)).or_default();
                self.feed_window(batch, *from, *to, window, elsewhere).await?;
            }
        }
        items.retain(|seq, _| looked.items.contains(seq));
        for seq in &looked.items {
            self.feed_item(batch, *seq, items.entry(*seq).or_default(), elsewhere, now).await?;
        }
        Ok(())
    }

    /// Tells other nodes what is looked at, and reads how far it is there.
    async fn exchange_progress(
        &self,
        batch: &BatchRecord,
        looked: &LookedAt,
        view: &mut View,
        now: Instant,
    ) -> Result<(), StoreError> {
        view.elsewhere.clear();
        if !self.store.is_shared() || batch.running == 0 {
            return Ok(());
        }
        let windows = looked.windows.iter().filter(|(from, to)| to - from < WINDOW_ITEMS_MAX);
        let windows = windows.map(|(from, to)| SeqRange { first: *from, last: *to });
        let ranges: Vec<SeqRange> = windows.chain(looked.items.iter().copied().map(SeqRange::one)).collect();
        if view.watched_at.is_none_or(|at| now - at >= WATCH_EVERY) {
            view.watched_at = Some(now);
            for range in &ranges {
                self.store.watch(&self.liveness.node(), batch.key, *range).await?;
            }
        }
        for range in ranges {
            let found = self.store.remote_progress(batch.key, range).await?;
            view.elsewhere.extend(
                found.into_iter().map(|progress_elsewhere| (progress_elsewhere.seq, progress_elsewhere)),
            );
        }
        Ok(())
    }

    async fn feed_window(
        &self,
        batch: &BatchRecord,
        from: Seq,
        to: Seq,
        window: &mut WindowView,
        elsewhere: &HashMap<Seq, ProgressRecord>,
    ) -> Result<(), StoreError> {
        let topic = Topic::Items { batch: batch.id, from, to };
        let told = self.hub.published_rev(topic);
        if told == 0 {
            return Ok(());
        }
        // The hub drops what it is told twice: rows that have not changed go nowhere. What others were answered may
        // have moved the topic on, and still this must learn which items run.
        if batch.rev > told || batch.rev > window.rev {
            let list = self.store.window(batch, from, to).await?;
            window.rev = list.rev;
            window.running.clear();
            let mut rows = Vec::with_capacity(list.items.len());
            for item in list.items {
                let mut row = item.row;
                row.shorten();
                if row.state == ItemState::Running {
                    let reports = self.lay_progress(batch.id, &mut row, elsewhere).unwrap_or(0);
                    window.running.insert(row.seq, (row.clone(), reports));
                }
                rows.push((Row::Item(Box::new(row)), Audience::Everyone));
            }
            self.hub.publish(topic, list.rev, rows, &[]);
            return Ok(());
        }
        let mut rows = Vec::new();
        for (row, told) in window.running.values_mut() {
            if let Some(reports) = self.lay_progress(batch.id, row, elsewhere)
                && reports != *told
            {
                *told = reports;
                rows.push((Row::Item(Box::new(row.clone())), Audience::Everyone));
            }
        }
        if !rows.is_empty() {
            self.hub.publish(topic, window.rev, rows, &[]);
        }
        Ok(())
    }

    /// The row keeps the revision of its committed state: progress is only indicative.
    fn lay_progress(
        &self,
        batch: BatchId,
        row: &mut ItemRow,
        elsewhere: &HashMap<Seq, ProgressRecord>,
    ) -> Option<u64> {
        let Some(cell) = work_cell(&self.dispatcher, batch, row.seq) else {
            let progress_elsewhere = elsewhere.get(&row.seq)?;
            row.progress.clone_from(&progress_elsewhere.progress);
            return Some(progress_elsewhere.reports);
        };
        let reports = cell.reports();
        row.progress = cell.progress().map(|(fraction, note)| ItemProgress::new(fraction, note));
        Some(reports)
    }

    async fn feed_item(
        &self,
        batch: &BatchRecord,
        seq: Seq,
        sent: &mut ItemView,
        elsewhere: &HashMap<Seq, ProgressRecord>,
        now: Instant,
    ) -> Result<(), StoreError> {
        let topic = Topic::Item { batch: batch.id, seq };
        let published_rev = self.hub.published_rev(topic);
        if published_rev == 0 || sent.due.is_some_and(|due| due > now) {
            return Ok(());
        }
        let cell = work_cell(&self.dispatcher, batch.id, seq);
        let progress_elsewhere = elsewhere.get(&seq);
        let reports = match (&cell, progress_elsewhere) {
            (Some(cell), _) => cell.reports(),
            (None, progress_elsewhere) => {
                progress_elsewhere.map_or(0, |progress_elsewhere| progress_elsewhere.reports)
            }
        };
        if batch.rev <= published_rev && reports == sent.reports {
            return Ok(());
        }
        let item = match self.store.item(batch, seq).await {
            Ok(item) => item,
            Err(StoreError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let (mut row, mut log) = (item.row, LogPart { from: 0, text: item.log });
        let started_at = (row.state == ItemState::Running).then(|| {
            let here = started_at(&self.dispatcher, batch.id, seq);
            here.or_else(|| progress_elsewhere.and_then(|elsewhere| elsewhere.started_at))
        });
        if row.state == ItemState::Running && self.lay_progress(batch.id, &mut row, elsewhere).is_some() {
            let elsewhere = progress_elsewhere
                .and_then(|progress_elsewhere| progress_elsewhere.log.clone())
                .map(|text| (0, text));
            if let Some((from, text)) = cell.map(|cell| cell.log()).or(elsewhere) {
                log = LogPart { from, text };
            }
        }
        sent.reports = reports;
        sent.due = (log.text.len() > LOG_LONG_BYTES).then(|| now + LOG_LONG_EVERY);
        let item = ItemLive { row, history: item.history, started_at: started_at.flatten(), log };
        self.hub.publish(topic, batch.rev, vec![(Row::ItemLive(Box::new(item)), Audience::Everyone)], &[]);
        Ok(())
    }
}
