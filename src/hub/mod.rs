//! Who is sent what: topics, sessions, pace.
//!
//! ```text
//! channel          a topic with subscribers: the newest row per key, and frames shared by all who stand alike
//! retained_row     one such row, and what of it changed when      finished_list   ends that the topic `batches` shows
//! session          one connection, as its task holds it           subscriber      the same, as a channel sees it
//! pace, tempo      how often a session wants updates, and how long the tick is
//! release_timer    one release per topic and tick                 broadcaster     sends where there are many subscribers
//! wire_frame       a message with its WebSocket head, made once for all connections
//! ```
//!
//! The engine publishes what is committed, the service makes snapshots, the server holds sessions. Memory is bounded by the
//! rows that somebody sees, whatever the speed of publishers and subscribers; nobody waits for a slow one; `rev` never goes back
//! on a topic. No table is queried here, and no socket is known but as an [`Outlet`].

mod broadcaster;
mod channel;
mod finished_list;
mod pace;
mod release_timer;
mod retained_row;
mod session;
mod subscriber;
mod tempo;
mod wire_frame;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use self::channel::{Channel, Due};
pub use self::subscriber::Outlet;
use crate::protocol::{BatchId, Key, Rev, Row, Seq, Topic};
use crate::store::Viewer;
use release_timer::ReleaseTimer;
pub use session::{Refused, Session, SubscribeAnswer, Turn};
use tempo::Tempo;
pub use wire_frame::WireFrame;

/// Longest tick, where nobody says otherwise.
pub const TICK_DEFAULT: Duration = Duration::from_millis(100);

/// Sessions of a topic whose tasks are woken to send; where there are more, the broadcaster sends for all of them:
/// waking a task costs as much as the write that it is woken for.
const RUNG_MAX: usize = 32;

/// Who may receive a row of the topic `batches`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Every signed-in caller.
    Everyone,
    /// This owner, and whoever sees all.
    Owner(String),
    /// Whoever may see this task.
    Task(String),
}

impl Audience {
    /// True where `viewer` may see what is for it.
    #[must_use]
    pub fn takes(&self, viewer: &Viewer) -> bool {
        match self {
            Self::Everyone => true,
            Self::Owner(owner) => viewer.sees_all || *owner == viewer.name,
            Self::Task(task) => !viewer.hidden_tasks.contains(task),
        }
    }
}

/// The hub. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// What somebody looks at in one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// Windows of items, both ends included.
    pub windows: Vec<(Seq, Seq)>,
    /// Single items.
    pub items: Vec<Seq>,
}

struct Inner {
    tempo: Arc<Tempo>,
    /// Topics that somebody hears, and no others.
    channels: RwLock<Channels>,
    /// Last revision given on the topics that belong to no batch.
    clock_rev: AtomicU64,
    timer: Mutex<Option<ReleaseTimer>>,
    /// Tasks that not everybody sees, from the start on.
    restricted_tasks: OnceLock<BTreeSet<String>>,
}

/// The topics that somebody hears, each with a number of its own.
#[derive(Default)]
struct Channels {
    by_topic: HashMap<Topic, Arc<Channel>>,
    /// Numbers that were given back: the smallest is used first, so that numbers stay as few as topics.
    free: BinaryHeap<Reverse<u64>>,
}

impl Channels {
    /// The channel of `topic`, made where there is none.
    fn open(&mut self, topic: Topic) -> Arc<Channel> {
        let Self { by_topic, free } = self;
        let fresh = by_topic.len() as u64;
        let channel = by_topic.entry(topic).or_insert_with(|| {
            let number = free.pop().map_or(fresh, |Reverse(number)| number);
            Channel::new(topic, number)
        });
        Arc::clone(channel)
    }

    /// Forgets the channel of `topic`, which nobody hears any more.
    fn close(&mut self, topic: Topic) {
        if let Some(channel) = self.by_topic.remove(&topic) {
            self.free.push(Reverse(channel.number));
        }
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(TICK_DEFAULT)
    }
}

impl Hub {
    /// A hub that releases at most one update per topic and tick. The tick follows what sending costs, and is `longest`
    /// at most.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                tempo: Arc::new(Tempo::new(longest)),
                channels: RwLock::default(),
                clock_rev: AtomicU64::new(0),
                timer: Mutex::new(None),
                restricted_tasks: OnceLock::new(),
            }),
        }
    }

    /// Says which tasks not everybody sees. Only the first call counts: it comes before anybody listens.
    pub fn restrict_tasks(&self, tasks: BTreeSet<String>) {
        let _first = self.inner.restricted_tasks.set(tasks);
    }

    /// Who may receive a batch of `task` in the topic `batches`; `private_of` is its owner where it is private.
    #[must_use]
    pub fn audience(&self, task: &str, private_of: Option<&str>) -> Audience {
        match private_of {
            Some(owner) => Audience::Owner(owner.to_owned()),
            None if self.inner.restricted_tasks.get().is_some_and(|tasks| tasks.contains(task)) => {
                Audience::Task(task.to_owned())
            }
            None => Audience::Everyone,
        }
    }

    /// The longest that a tick may be: the shortest time between two updates of one topic under load. What feeds the hub
    /// keeps to this.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.inner.tempo.longest()
    }

    /// Takes rows of `topic` as of `rev`. Costs nothing where nobody listens. Never blocks, never awaits.
    ///
    /// Per key the newest row wins, by its own `rev`; an equal one replaces, for what is only indicative (percent,
    /// rate) changes without a commit. `rev` is ignored on `batches` and `nodes`, which count by the clock.
    pub fn publish(&self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, gone: &[Key]) {
        self.publish_at(topic, rev, rows, gone, Instant::now());
    }

    fn publish_at(&self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, gone: &[Key], now: Instant) {
        let Some(channel) = self.channel(topic) else { return };
        let due = channel.publish(|| self.topic_rev(topic, rev), rows, gone, now, self.inner.tempo.tick());
        self.schedule(due, &channel);
    }

    /// Takes `rows` as all that `topic`, one of a batch, has of the keys `0..keys` as of `rev`: rows of other keys among
    /// them are gone. For rows that are cut anew, all at once, as the cells of a strip are. Costs nothing where nobody
    /// listens; nobody who does needs to read the topic again for it. At most 1,024 keys.
    ///
    /// A row that was written before and comes late is known to be old, even where no row has its key any more.
    pub fn replace(&self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, keys: u64) {
        self.replace_at(topic, rev, rows, keys, Instant::now());
    }

    fn replace_at(&self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, keys: u64, now: Instant) {
        let Some(channel) = self.channel(topic) else { return };
        let due = channel.replace(rev, rows, keys, now, self.inner.tempo.tick());
        self.schedule(due, &channel);
    }

    /// Wakes who is to be woken: a few at once, many are served by the broadcaster, so that no publisher spends its
    /// time on them.
    fn schedule(&self, due: Due, channel: &Arc<Channel>) {
        match due {
            Due::Later => {}
            Due::At(at) => self.with_timer(|timer| timer.release_at(at, channel)),
            Due::Now => {
                let subscribers = channel.subscribers();
                self.with_timer(|timer| timer.wake(channel, &subscribers));
            }
        }
    }

    /// True where somebody listens to `topic`.
    #[must_use]
    pub fn is_watched(&self, topic: Topic) -> bool {
        self.channels().by_topic.contains_key(&topic)
    }

    /// Revision up to which `topic` has been told to somebody; 0: nobody has been answered.
    #[must_use]
    pub fn published_rev(&self, topic: Topic) -> Rev {
        self.channel(topic).map_or(0, |channel| channel.rev())
    }

    /// Windows of items of `batch` that somebody listens to, both ends included, in order.
    #[must_use]
    pub fn windows(&self, batch: BatchId) -> Vec<(Seq, Seq)> {
        let mut windows: Vec<_> = self
            .channels()
            .by_topic
            .keys()
            .filter_map(|topic| match *topic {
                Topic::Items { batch: of, from, to } if of == batch => Some((from, to)),
                _ => None,
            })
            .collect();
        windows.sort_unstable();
        windows
    }

    /// All windows and single items that somebody listens to, by batch, in one pass.
    #[must_use]
    pub fn looked_at(&self) -> HashMap<BatchId, LookedAt> {
        let mut looked: HashMap<BatchId, LookedAt> = HashMap::new();
        for topic in self.channels().by_topic.keys() {
            match *topic {
                Topic::Items { batch, from, to } => {
                    looked.entry(batch).or_default().windows.push((from, to));
                }
                Topic::Item { batch, seq } => looked.entry(batch).or_default().items.push(seq),
                Topic::Batches
                | Topic::Batch(_)
                | Topic::Progress(_)
                | Topic::Strip(_)
                | Topic::Families(_)
                | Topic::Pulse(_)
                | Topic::Nodes => {}
            }
        }
        looked
    }

    /// Batches of which somebody listens to anything.
    #[must_use]
    pub fn subscribed_batches(&self) -> BTreeSet<BatchId> {
        self.channels().by_topic.keys().filter_map(|topic| topic.batch()).collect()
    }

    /// Batches of which somebody listens to windows, items, strip or families.
    #[must_use]
    pub fn watched_batches(&self) -> Vec<BatchId> {
        let batches: BTreeSet<BatchId> = self
            .channels()
            .by_topic
            .keys()
            .filter(|topic| !matches!(topic, Topic::Batch(_) | Topic::Progress(_)))
            .filter_map(|topic| topic.batch())
            .collect();
        batches.into_iter().collect()
    }

    /// Revision for a publish or snapshot of `topic`: the batch's, or by the clock where it belongs to none.
    fn topic_rev(&self, topic: Topic, rev: Rev) -> Rev {
        if topic.batch().is_some() {
            return rev;
        }
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let clock = u64::try_from(clock).unwrap_or(0);
        let next = |last: u64| (last + 1).max(clock);
        let last =
            self.inner.clock_rev.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_else(|last| last))
    }

    /// There is a timer wherever there was a session, and without one nobody hears.
    fn with_timer(&self, act: impl FnOnce(&ReleaseTimer)) {
        if let Some(timer) = self.timer().as_ref() {
            act(timer);
        }
    }

    fn channel(&self, topic: Topic) -> Option<Arc<Channel>> {
        self.channels().by_topic.get(&topic).cloned()
    }

    fn channels(&self) -> std::sync::RwLockReadGuard<'_, Channels> {
        self.inner.channels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn channels_mut(&self) -> std::sync::RwLockWriteGuard<'_, Channels> {
        self.inner.channels.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn timer(&self) -> MutexGuard<'_, Option<ReleaseTimer>> {
        self.inner.timer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
