//! One topic that somebody hears: the newest row per key, and which of them a session has not been told.
//!
//! Owns rows, their order of change (`version`, local to the channel) and the frame that all share who are up to
//! date. Called by the hub (publish), the timer (release) and sessions (answer, frame). Invariant: each key stands
//! once in `log`, at its last change, so what a session lacks is a stretch of `log`, however long it slept.
//! Deliberately knows no connection; nothing here awaits.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Audience;
use super::listed::{KEPT_MAX, Listed};
use crate::protocol::frame::rows_json;
use crate::protocol::limits::LISTED_BATCHES_MAX;
use crate::protocol::{Key, Rev, Row, Topic, Whole};
use crate::store::Viewer;

/// Keys that left a topic and are remembered as such; beyond, the oldest is forgotten, and sessions that have not
/// been told of it get a snapshot.
const GONE_KEPT_MAX: usize = 1024;

/// One topic.
pub struct Channel {
    /// Which one.
    pub topic: Topic,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rev: Rev,
    /// Grows with every change of any row.
    version: u64,
    /// Up to here sessions may tell; follows `version` at most once a tick.
    released: u64,
    released_at: Option<Instant>,
    /// True while the timer holds a release of this topic.
    waiting: bool,
    /// Who has been told less than this lacks something that is no longer here.
    floor: u64,
    rows: HashMap<Key, Held>,
    log: BTreeMap<u64, Key>,
    gone: usize,
    listed: Listed,
    listeners: Vec<(u64, Arc<Notify>)>,
    shared: Option<Shared>,
}

struct Held {
    version: u64,
    rev: Rev,
    /// None: gone.
    row: Option<Row>,
    /// Its JSON, made when first told. A second encoding would stand beside it.
    json: Option<Arc<str>>,
    audience: Audience,
}

struct Shared {
    from: u64,
    to: u64,
    frame: Bytes,
}

/// What a session is told of a topic.
#[derive(Debug)]
pub enum Told {
    /// It knows all.
    Nothing,
    /// This, after which it stands at `to`; without a frame, nothing of it was for this viewer.
    Frame {
        /// The update.
        frame: Option<Bytes>,
        /// Version to tell from next.
        to: u64,
    },
    /// It has missed too much: it needs a snapshot.
    Stale,
}

fn visible(audience: &Audience, viewer: &Viewer) -> bool {
    match audience {
        Audience::Everyone => true,
        Audience::Owner(owner) => viewer.sees_all || *owner == viewer.name,
    }
}

impl Held {
    fn json(&mut self) -> Option<Arc<str>> {
        let row = self.row.as_ref()?;
        Some(Arc::clone(self.json.get_or_insert_with(|| row.to_json().into())))
    }

    fn ended(&self) -> bool {
        matches!(&self.row, Some(Row::Batch(batch)) if batch.state.is_finished())
    }
}

impl Channel {
    /// A topic that nobody hears yet.
    pub fn new(topic: Topic) -> Arc<Self> {
        Arc::new(Self { topic, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session; answers the version from which it hears.
    pub fn join(&self, session: u64, wake: &Arc<Notify>) -> u64 {
        let mut state = self.state();
        state.listeners.push((session, Arc::clone(wake)));
        state.version
    }

    /// Removes a session; true if nobody is left.
    pub fn leave(&self, session: u64) -> bool {
        let mut state = self.state();
        state.listeners.retain(|(held, _)| *held != session);
        state.listeners.is_empty()
    }

    /// Takes rows; answers when this topic must be released, if that is neither now nor awaited already. `rev` is
    /// asked under the lock, so that revisions are in the order of changes.
    pub fn publish(
        &self,
        rev: impl FnOnce() -> Rev,
        rows: Vec<(Row, Audience)>,
        gone: &[Key],
        now: Instant,
        tick: Duration,
    ) -> Option<Instant> {
        let mut state = self.state();
        let rev = rev();
        state.rev = state.rev.max(rev);
        for (row, audience) in rows {
            state.put(self.topic, row, audience);
        }
        for key in gone {
            state.remove(self.topic, key, rev);
        }
        state.due(now, tick)
    }

    /// Lets sessions tell what has changed.
    pub fn release(&self, now: Instant) {
        self.state().release(now);
    }

    /// True where a session that stands at `seen` has something to hear: at the tick, or (`early`) before it.
    pub fn has_news(&self, seen: u64, early: Early) -> bool {
        let state = self.state();
        match early {
            Early::No => state.released > seen,
            Early::Yes => state.version > seen,
        }
    }

    /// What `viewer`, who stands at `seen`, lacks.
    pub fn tell(&self, seen: u64, viewer: &Viewer) -> Told {
        let mut state = self.state();
        if seen < state.floor {
            return Told::Stale;
        }
        if let Some(shared) = &state.shared
            && shared.from == seen
            && shared.to >= state.released
        {
            return Told::Frame { frame: Some(shared.frame.clone()), to: shared.to };
        }
        state.tell(self.topic, seen, viewer)
    }

    /// The answer to a subscribe: `rows` as read from the store after `since`, with what was published meanwhile.
    /// `known`: what the page shows already. The rows are kept as if published: so a later publish of the same says
    /// nothing, and others who lack them hear of them now.
    pub fn answer(
        &self,
        since: u64,
        known: Option<Rev>,
        rev: impl FnOnce() -> Rev,
        rows: Option<Vec<(Row, Audience)>>,
        viewer: &Viewer,
        now: Instant,
        tick: Duration,
    ) -> Answered {
        let mut state = self.state();
        let rev = rev();
        let Some(rows) = rows else {
            if rev < state.rev {
                return Answered::Again;
            }
            state.rev = rev;
            let text = rows_json::<&str>(Whole::Update, self.topic, rev, &[], &[]);
            return Answered::Frame { frame: Bytes::from(text), to: since, release_at: None };
        };
        state.rev = state.rev.max(rev);
        let texts = state.merge(self.topic, since, rows, viewer);
        let to = state.version;
        if state.listeners.len() == 1 {
            // Nobody else lacks these rows, and an answer is no update: the next change still goes at once.
            state.released = to;
        }
        let text = if known == Some(state.rev) {
            rows_json::<&str>(Whole::Update, self.topic, state.rev, &[], &[])
        } else {
            rows_json(Whole::Snapshot, self.topic, state.rev, &texts, &[])
        };
        Answered::Frame { frame: Bytes::from(text), to, release_at: state.due(now, tick) }
    }

    /// Revision up to which sessions of this topic have been answered or told; 0: none has been.
    pub fn rev(&self) -> Rev {
        self.state().rev
    }
}

/// How a subscribe was answered.
#[derive(Debug)]
pub enum Answered {
    /// By this, after which the session stands at `to`.
    Frame {
        /// Snapshot, or an update without rows.
        frame: Bytes,
        /// Version to tell from next.
        to: u64,
        /// When others must be told of what this answer brought up.
        release_at: Option<Instant>,
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

impl State {
    fn put(&mut self, topic: Topic, row: Row, audience: Audience) {
        let key = row.key();
        let rev = row.rev();
        if let Some(held) = self.rows.get(&key) {
            if held.rev > rev {
                return;
            }
            if held.row.as_ref() == Some(&row) && held.audience == audience {
                return;
            }
        }
        let dropped = match (topic, &row) {
            (Topic::Batches, Row::Batch(batch)) => self.listed.take(batch, &audience),
            _ => None,
        };
        self.set(key, Held { version: 0, rev, row: Some(row), json: None, audience });
        if let Some(key) = dropped {
            self.forget(&key);
        }
    }

    fn remove(&mut self, topic: Topic, key: &Key, rev: Rev) {
        if topic == Topic::Batches {
            self.listed.forget(key);
        }
        let held = self.rows.get(key);
        if held.is_some_and(|held| held.row.is_none()) {
            return;
        }
        let audience = held.map_or(Audience::Everyone, |held| held.audience.clone());
        // Keys of the topics that belong to no batch never come back; those of a batch count by its revision.
        let rev = if topic.batch().is_some() { rev } else { Rev::MAX };
        if held.is_some_and(|held| held.rev > rev) {
            return;
        }
        self.set(key.clone(), Held { version: 0, rev, row: None, json: None, audience });
        while self.gone > GONE_KEPT_MAX {
            let oldest =
                self.log.values().find(|key| self.rows.get(*key).is_some_and(|held| held.row.is_none()));
            let Some(oldest) = oldest.cloned() else { break };
            self.forget(&oldest);
        }
    }

    fn set(&mut self, key: Key, mut held: Held) {
        self.version += 1;
        held.version = self.version;
        self.log.insert(self.version, key.clone());
        self.gone += usize::from(held.row.is_none());
        if let Some(old) = self.rows.insert(key, held) {
            self.log.remove(&old.version);
            self.gone -= usize::from(old.row.is_none());
        }
    }

    /// Drops what is no longer kept: who has not been told of it by now needs a snapshot.
    fn forget(&mut self, key: &Key) {
        if let Some(old) = self.rows.remove(key) {
            self.log.remove(&old.version);
            self.gone -= usize::from(old.row.is_none());
            self.floor = self.floor.max(old.version);
        }
    }

    /// Releases what has changed, if the last release is a tick ago; else answers when the timer must.
    fn due(&mut self, now: Instant, tick: Duration) -> Option<Instant> {
        if self.version == self.released || self.waiting {
            return None;
        }
        match self.released_at.map(|at| at + tick) {
            Some(at) if at > now => {
                self.waiting = true;
                Some(at)
            }
            _ => {
                self.release(now);
                None
            }
        }
    }

    fn release(&mut self, now: Instant) {
        self.released = self.version;
        self.released_at = Some(now);
        self.waiting = false;
        for (_, wake) in &self.listeners {
            wake.notify_one();
        }
    }

    fn tell(&mut self, topic: Topic, seen: u64, viewer: &Viewer) -> Told {
        let to = self.version;
        let keys: Vec<Key> = self.log.range(seen + 1..).map(|(_, key)| key.clone()).collect();
        if keys.is_empty() {
            return if to > seen { Told::Frame { frame: None, to } } else { Told::Nothing };
        }
        let ends = keys.iter().filter(|key| self.rows.get(*key).is_some_and(Held::ended)).count();
        if ends > KEPT_MAX - LISTED_BATCHES_MAX {
            return Told::Stale;
        }
        let mut gone = if ends > 0 { self.listed.beyond(viewer, ends) } else { Vec::new() };
        let mut uniform = ends == 0 || self.listed.is_uniform();
        let mut texts = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(held) = self.rows.get_mut(&key) else { continue };
            uniform &= held.audience == Audience::Everyone;
            if !visible(&held.audience, viewer) || gone.contains(&key) {
                continue;
            }
            match held.json() {
                Some(json) => texts.push(json),
                None => gone.push(key),
            }
        }
        if texts.is_empty() && gone.is_empty() {
            return Told::Frame { frame: None, to };
        }
        let frame = Bytes::from(rows_json(Whole::Update, topic, self.rev, &texts, &gone));
        if uniform {
            self.shared = Some(Shared { from: seen, to, frame: frame.clone() });
        }
        Told::Frame { frame: Some(frame), to }
    }

    /// `rows` as read, each replaced by a newer one that was published; with those that came, without those that
    /// left since `since`.
    fn merge(
        &mut self,
        topic: Topic,
        since: u64,
        rows: Vec<(Row, Audience)>,
        viewer: &Viewer,
    ) -> Vec<Arc<str>> {
        let mut texts = Vec::with_capacity(rows.len());
        let mut read = std::collections::HashSet::with_capacity(rows.len());
        for (row, audience) in rows {
            let key = row.key();
            let held = self.rows.get(&key);
            let newer = held
                .is_some_and(|held| held.rev > row.rev() || (held.rev == row.rev() && held.version > since));
            if !newer {
                self.put(topic, row, audience);
            }
            texts.extend(self.rows.get_mut(&key).and_then(Held::json));
            read.insert(key);
        }
        let came: Vec<Key> = self.log.range(since + 1..).map(|(_, key)| key.clone()).collect();
        for key in came.into_iter().filter(|key| !read.contains(key)) {
            if let Some(held) = self.rows.get_mut(&key)
                && visible(&held.audience, viewer)
            {
                texts.extend(held.json());
            }
        }
        texts
    }
}
