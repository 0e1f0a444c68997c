//! A topic with subscribers: the newest row per key, and which of them a session has not been sent.
//!
//! Each key stands once in `log`, at its last change, so what a session lacks is a stretch of `log`, however long it slept.
//! Nothing here awaits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::channel_state::{ChannelState, class};
use super::Audience;
use super::subscriber::Subscriber;
use super::wire_frame::WireFrame;
use crate::protocol::frame::rows_json;
use crate::protocol::{Codec, Key, Rev, Row, Topic, Whole, binary};
use crate::store::Viewer;

mod channel_state;
mod frames;

/// One topic.
pub struct Channel {
    /// Which one.
    pub topic: Topic,
    /// Its number on the wire of the binary codec: small, and used again once nobody hears the topic.
    pub number: u64,
    /// As in the state, to be looked at without its lock.
    version: AtomicU64,
    released: AtomicU64,
    /// True while it waits to be served.
    queued: AtomicBool,
    state: Mutex<ChannelState>,
}

/// The subscribers, shared with whoever wakes them, so that no lock of the topic is held meanwhile.
pub type Subscribers = Arc<Vec<Arc<Subscriber>>>;

/// Wakes all of them.
pub fn ring(subscribers: &[Arc<Subscriber>]) {
    subscribers.iter().for_each(|session| session.ring());
}

/// What a session is told of a topic.
#[derive(Debug)]
pub enum SessionUpdate {
    /// It knows all.
    Nothing,
    /// This, after which it stands at `to`; without a frame, nothing of it was for this viewer.
    Frame {
        /// The update.
        frame: Option<WireFrame>,
        /// Version to send from next.
        to: u64,
    },
    /// It has missed too much: it needs a snapshot.
    Stale,
}

impl Channel {
    /// A topic that nobody hears yet.
    pub fn new(topic: Topic, number: u64) -> Arc<Self> {
        let (version, released) = (AtomicU64::new(0), AtomicU64::new(0));
        let queued = AtomicBool::new(false);
        Arc::new(Self { topic, number, version, released, queued, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, ChannelState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how far the state is to those who look without its lock. Called before that is given back.
    fn show(&self, state: &ChannelState) {
        self.version.store(state.version, Ordering::Release);
        self.released.store(state.released, Ordering::Release);
    }

    /// Adds a session; answers the version from which it hears.
    pub fn join(&self, session: &Arc<Subscriber>) -> u64 {
        let mut state = self.state();
        Arc::make_mut(&mut state.subscribers).push(Arc::clone(session));
        state.version
    }

    /// Removes a session; true if nobody is left.
    pub fn leave(&self, session: u64) -> bool {
        let mut state = self.state();
        Arc::make_mut(&mut state.subscribers).retain(|held| held.id() != session);
        state.subscribers.is_empty()
    }

    /// Takes rows. `rev` is asked under the lock, so that revisions are in the order of changes.
    pub fn publish(
        &self,
        rev: impl FnOnce() -> Rev,
        rows: Vec<(Row, Audience)>,
        gone: &[Key],
        now: Instant,
        tick: Duration,
    ) -> Due {
        let mut state = self.state();
        let rev = rev();
        state.rev = state.rev.max(rev);
        for (row, audience) in rows {
            state.put(self.topic, row, audience);
        }
        for key in gone {
            state.remove(self.topic, key, rev);
        }
        let due = state.due(now, tick);
        self.show(&state);
        due
    }

    /// Takes rows in place of all that are there of the keys `0..keys`.
    pub fn replace(
        &self,
        rev: Rev,
        rows: Vec<(Row, Audience)>,
        keys: u64,
        now: Instant,
        tick: Duration,
    ) -> Due {
        let mut state = self.state();
        state.rev = state.rev.max(rev);
        state.replace(self.topic, rev, rows, keys);
        let due = state.due(now, tick);
        self.show(&state);
        due
    }

    /// Lets sessions send what has changed; answers whom to wake.
    pub fn release(&self, now: Instant) -> Subscribers {
        let mut state = self.state();
        state.release(now);
        self.show(&state);
        Arc::clone(&state.subscribers)
    }

    /// Notes that it waits to be served; false where it does already.
    pub fn queue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Notes that it is being served.
    pub fn unqueue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Who is woken when something is told.
    pub fn subscribers(&self) -> Subscribers {
        Arc::clone(&self.state().subscribers)
    }

    /// True where a session that stands at `seen` has something to receive: at the tick, or (`early`) before it.
    pub fn has_changes(&self, seen: u64, early: Early) -> bool {
        let at = match early {
            Early::No => &self.released,
            Early::Yes => &self.version,
        };
        at.load(Ordering::Acquire) > seen
    }

    /// What `viewer`, who stands at `seen`, lacks.
    pub fn changes_since(&self, seen: u64, viewer: &Viewer, codec: Codec) -> SessionUpdate {
        let mut state = self.state();
        if seen < state.floor {
            return SessionUpdate::Stale;
        }
        let released = state.released;
        let alike = state.shared.iter().rev().find(|shared| {
            shared.from == seen
                && shared.to >= released
                && shared.codec == codec
                && shared.viewer.as_ref().is_none_or(|of| *of == class(viewer))
        });
        if let Some(shared) = alike {
            return SessionUpdate::Frame { frame: Some(shared.frame.clone()), to: shared.to };
        }
        state.changes_since(self, seen, viewer, codec)
    }

    /// The answer to a subscribe: `rows` as read from the store after `since`, with what was published meanwhile.
    /// `known`: what the page shows already. The rows are kept as if published: so a later publish of the same says
    /// nothing, and others who lack them are sent them now.
    pub fn answer(
        &self,
        asked: SnapshotRequest<'_>,
        rev: impl FnOnce() -> Rev,
        rows: Option<Vec<(Row, Audience)>>,
    ) -> SnapshotAnswer {
        let SnapshotRequest { since, known, viewer, codec, now, tick } = asked;
        let mut state = self.state();
        let rev = rev();
        let Some(rows) = rows else {
            if rev < state.rev {
                return SnapshotAnswer::Again;
            }
            state.rev = rev;
            state.unread = true;
            return SnapshotAnswer::Frame { frame: self.current(codec, rev), to: since, due: Due::Later };
        };
        state.rev = state.rev.max(rev);
        let keys = state.merge(self.topic, since, rows, viewer);
        let to = state.version;
        if state.subscribers.len() == 1 {
            // Nobody else lacks these rows, and an answer is no update: the next change still goes at once.
            state.released = to;
        }
        let frame = if known == Some(state.rev) {
            self.current(codec, state.rev)
        } else {
            state.snapshot(self, &keys, codec)
        };
        let due = state.due(now, tick);
        self.show(&state);
        SnapshotAnswer::Frame { frame, to, due }
    }

    /// The answer to a page that shows all there is.
    fn current(&self, codec: Codec, rev: Rev) -> WireFrame {
        match codec {
            Codec::Json => {
                WireFrame::new(codec, rows_json::<&str>(Whole::Update, self.topic, rev, &[], &[]).as_bytes())
            }
            Codec::Binary => WireFrame::new(codec, &binary::current(self.topic, self.number, rev)),
        }
    }

    /// Revision up to which sessions of this topic have been answered or told; 0: none has been.
    pub fn rev(&self) -> Rev {
        self.state().rev
    }
}

/// A subscribe that is to be answered.
#[derive(Clone, Copy)]
pub struct SnapshotRequest<'a> {
    /// Version of the channel when it came.
    pub since: u64,
    /// What the page shows already.
    pub known: Option<Rev>,
    /// Who asks.
    pub viewer: &'a Viewer,
    /// How the answer stands on the wire.
    pub codec: Codec,
    /// The time.
    pub now: Instant,
    /// Shortest time between two releases.
    pub tick: Duration,
}

/// When sessions are sent a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now: wake them.
    Now,
    /// At this time: the timer must release then.
    At(Instant),
    /// There is nothing new, or the timer knows of it.
    Later,
}

/// How a subscribe was answered.
#[derive(Debug)]
pub enum SnapshotAnswer {
    /// By this, after which the session stands at `to`.
    Frame {
        /// Snapshot, or an update without rows.
        frame: WireFrame,
        /// Version to send from next.
        to: u64,
        /// When others must be told of what this answer brought up.
        due: Due,
    },
    /// Not yet: the topic has moved on since the page was found up to date. Its rows must be read.
    Again,
}

/// Whether a session waits for the tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// It keeps the tick.
    No,
    /// It has a slower pace of its own.
    Yes,
}
