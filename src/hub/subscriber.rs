//! One connection as the hub sees it: its subscriptions, and how much of each it has been sent.
//!
//! Its session uses it, and so does the broadcaster where a topic has many subscribers: then frames go straight to the outlet and
//! no task is woken. A subscription costs a few words whatever happens while its connection is slow: it is sent the newest
//! state or nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::channel::{Channel, Early, SessionUpdate};
use super::pace::Pace;
use super::tempo::Tempo;
use super::wire_frame::WireFrame;
use crate::protocol::{Codec, Topic};
use crate::store::Viewer;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Bytes of updates that a session makes in one turn, up to one frame more; the topics that are left come in the next,
/// before those that have had theirs.
const TURN_BYTES_MAX: usize = 256 * 1024;

/// Subscriptions for which there is room from the start: those of a page of one batch.
const HEARD_AT_FIRST: usize = 4;

/// Where frames leave for the client, from whatever task.
pub trait Outlet: Send + Sync {
    /// True while something waits to leave: then a session makes no new frames.
    fn is_full(&self) -> bool;
    /// Puts frames behind what waits.
    fn put(&self, frames: &[WireFrame]);
    /// Sends what waits, in order, as far as there is room. Never blocks.
    fn flush(&self);

    /// Puts and flushes.
    fn send(&self, frames: &[WireFrame]) {
        self.put(frames);
        self.flush();
    }
}

/// What the connection's task and the broadcaster share of a session.
pub struct Subscriber {
    id: u64,
    pub viewer: Viewer,
    pub codec: Codec,
    pub tempo: Arc<Tempo>,
    pub wake_signal: Arc<Notify>,
    pub outlet: Option<Arc<dyn Outlet>>,
    state: Mutex<SubscriberState>,
}

/// What it hears, and how.
pub struct SubscriberState {
    /// One a topic; at most [`SUBSCRIPTIONS_MAX`](crate::protocol::limits::SUBSCRIPTIONS_MAX). Mostly a few: a list
    /// is smaller than a map.
    pub positions: Vec<ChannelPosition>,
    pub pace: Pace,
    /// Topics that fell behind, for the connection's task to read. Bounded by its subscriptions.
    pub ask: Vec<Topic>,
    /// Where the next turn begins: after the topic that filled the last one.
    begin: usize,
}

/// One subscription.
pub struct ChannelPosition {
    pub channel: Arc<Channel>,
    /// Version of the channel up to which this session has been told; before the answer: from which it hears.
    pub seen: u64,
    pub answered: bool,
    pub sent_at: Option<Instant>,
}

impl Subscriber {
    /// One that hears nothing yet.
    pub fn new(viewer: Viewer, codec: Codec, tempo: Arc<Tempo>, outlet: Option<Arc<dyn Outlet>>) -> Self {
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            viewer,
            codec,
            tempo,
            wake_signal: Arc::new(Notify::new()),
            outlet,
            state: Mutex::new(SubscriberState {
                positions: Vec::with_capacity(HEARD_AT_FIRST),
                pace: Pace::Tick,
                ask: Vec::new(),
                begin: 0,
            }),
        }
    }

    /// Its number, by which it leaves.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn state(&self) -> MutexGuard<'_, SubscriberState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the connection's task.
    pub fn ring(&self) {
        self.wake_signal.notify_one();
    }

    /// True while its outlet takes nothing new.
    pub fn is_full(&self) -> bool {
        self.outlet.as_ref().is_some_and(|outlet| outlet.is_full())
    }

    /// Puts what is due into the outlet of a session that keeps the tick and has room; any other is woken, or waits for
    /// room by itself. True where there is something to [`Subscriber::flush`]. `frames` is room to work in.
    pub fn prepare(&self, now: Instant, frames: &mut Vec<WireFrame>) -> bool {
        let Some(outlet) = &self.outlet else {
            self.ring();
            return false;
        };
        let mut state = self.state();
        if state.pace != Pace::Tick {
            self.ring();
            return false;
        }
        if outlet.is_full() {
            return false;
        }
        frames.clear();
        let next = state.collect(self, now, frames);
        // Before the state is given back: no answer may leave ahead of an update that is older.
        outlet.put(frames);
        if next.is_some() || !state.ask.is_empty() {
            self.ring();
        }
        !frames.is_empty()
    }

    /// Sends what was prepared. What there is no room for is the connection's own business from here on.
    pub fn flush(&self) {
        if let Some(outlet) = &self.outlet {
            outlet.flush();
            if outlet.is_full() {
                self.ring();
            }
        }
    }
}

impl SubscriberState {
    /// The subscription to `topic`.
    pub fn of(&mut self, topic: Topic) -> Option<&mut ChannelPosition> {
        self.positions.iter_mut().find(|position| position.channel.topic == topic)
    }

    /// Hears `channel` from `seen` on. Nothing of it is told before the answer.
    pub fn add_channel(&mut self, channel: Arc<Channel>, seen: u64) {
        self.positions.push(ChannelPosition { channel, seen, answered: false, sent_at: None });
    }

    /// Appends what is due, up to [`TURN_BYTES_MAX`]; answers when to look again.
    pub fn collect(
        &mut self,
        subscriber: &Subscriber,
        now: Instant,
        frames: &mut Vec<WireFrame>,
    ) -> Option<Instant> {
        let (every, early) = match self.pace {
            // Half a tick: releases keep the tick among themselves; this only holds back one that comes right after
            // a late write.
            Pace::Tick => (subscriber.tempo.tick() / 2, Early::No),
            Pace::Every(every) => (every.max(subscriber.tempo.tick()), Early::Yes),
            Pace::Never => return None,
        };
        let mut next: Option<Instant> = None;
        let (count, mut bytes) = (self.positions.len(), 0);
        let begin = if self.begin < count { self.begin } else { 0 };
        for at in (begin..count).chain(0..begin) {
            if bytes >= TURN_BYTES_MAX {
                self.begin = at;
                return Some(now);
            }
            let positions = &mut self.positions[at];
            if !positions.answered || !positions.channel.has_changes(positions.seen, early) {
                continue;
            }
            let due = positions.sent_at.map_or(now, |at| at + every);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            match positions.channel.changes_since(positions.seen, &subscriber.viewer, subscriber.codec) {
                SessionUpdate::Nothing => {}
                SessionUpdate::Frame { frame, to } => {
                    positions.seen = to;
                    if let Some(frame) = frame {
                        positions.sent_at = Some(now);
                        bytes += frame.bytes();
                        frames.push(frame);
                    }
                }
                SessionUpdate::Stale => {
                    positions.answered = false;
                    self.ask.push(positions.channel.topic);
                }
            }
        }
        next
    }
}
