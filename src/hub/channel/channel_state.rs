//! What the lock of a topic holds: rows, their order of change, and the frames of those who stand alike.
//!
//! Each key stands once in `log`, at its last change; what is no longer kept raises `floor`.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::{Due, Subscribers};
use crate::hub::Audience;
use crate::hub::WireFrame;
use crate::hub::finished_list::FinishedList;
use crate::hub::retained_row::RetainedRow;
use crate::protocol::{Codec, Key, Rev, Row, Topic};
use crate::store::Viewer;

/// Keys that left a topic and are remembered as such; beyond, the oldest is forgotten, and sessions that have not
/// been told of it get a snapshot. Not fewer than [`REPLACED_KEYS_MAX`], so that what replaces rows costs no snapshot.
const GONE_KEPT_MAX: usize = 1024;
/// Keys of which a topic whose rows are replaced may have rows.
pub(in crate::hub) const REPLACED_KEYS_MAX: u64 = GONE_KEPT_MAX as u64;

/// Frames of one topic that are kept for others who stand where they begin; beyond, the oldest is made anew when asked.
pub const SHARED_KEPT_MAX: usize = 16;
/// Bytes of those frames; beyond, the oldest go, but the newest stays: it is what most are about to be told.
pub const SHARED_BYTES_MAX: usize = 256 * 1024;

/// What the lock of a topic holds.
#[derive(Default)]
pub struct ChannelState {
    pub rev: Rev,
    /// Grows with every change of any row.
    pub version: u64,
    /// Up to here sessions may send; follows `version` at most once a tick.
    pub released: u64,
    pub released_at: Option<Instant>,
    /// True while the timer holds a release of this topic.
    pub waiting: bool,
    /// Who has been told less than this lacks something that is no longer here.
    pub floor: u64,
    pub rows: HashMap<Key, RetainedRow>,
    pub log: BTreeMap<u64, Key>,
    pub gone: usize,
    /// Revision of the last rows that were all there were: a row as old that is not among them was replaced.
    replaced: Rev,
    /// True while a session may show rows that were never here: it was answered by what its page showed.
    pub unread: bool,
    pub listed: FinishedList,
    pub subscribers: Subscribers,
    /// At most [`SHARED_KEPT_MAX`], newest last.
    pub shared: VecDeque<SharedFrames>,
}

/// A frame that others may need as well.
pub struct SharedFrames {
    pub codec: Codec,
    /// For whom: none = for every viewer.
    pub viewer: Option<Viewer>,
    pub from: u64,
    pub to: u64,
    pub frame: WireFrame,
}

/// All viewers to whom the same is visible are one.
pub fn class(viewer: &Viewer) -> Viewer {
    if viewer.sees_all { Viewer { name: String::new(), ..viewer.clone() } } else { viewer.clone() }
}

impl ChannelState {
    /// Takes a row, unless a newer one is there or it is of before all rows were replaced.
    pub fn put(&mut self, topic: Topic, row: Row, audience: Audience) {
        let key = row.key();
        let rev = row.rev();
        let held = self.rows.get(&key);
        if held.is_none() && rev <= self.replaced {
            return;
        }
        if held.is_some_and(|held| held.rev > rev) {
            return;
        }
        let differs = match held {
            Some(held) => match held.differs(&row, &audience) {
                None => return,
                differs => differs,
            },
            None => None,
        };
        let dropped = match (topic, &row) {
            (Topic::Batches, Row::Batch(batch)) => self.listed.take(batch, &audience),
            _ => None,
        };
        self.version += 1;
        let version = self.version;
        self.log.insert(version, key.clone());
        match (self.rows.get_mut(&key), differs) {
            (Some(held), Some(which)) => {
                self.log.remove(&held.version);
                self.gone -= usize::from(held.row.is_none());
                held.replace(version, row, audience, which);
            }
            _ => {
                self.rows.insert(key, RetainedRow::came(version, row, audience));
            }
        }
        if let Some(key) = dropped {
            self.forget(&key);
        }
    }

    /// Takes note that a row has left.
    pub fn remove(&mut self, topic: Topic, key: &Key, rev: Rev) {
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
        self.version += 1;
        self.log.insert(self.version, key.clone());
        self.gone += 1;
        if let Some(old) = self.rows.insert(key.clone(), RetainedRow::left(self.version, rev, audience)) {
            self.log.remove(&old.version);
        }
        while self.gone > GONE_KEPT_MAX {
            let oldest =
                self.log.values().find(|key| self.rows.get(*key).is_some_and(|held| held.row.is_none()));
            let Some(oldest) = oldest.cloned() else { break };
            self.forget(&oldest);
        }
    }

    /// Takes `rows` as all there are of the keys `0..keys` at `rev`: the others are gone. Where later ones are here already,
    /// nothing of it is news.
    ///
    /// Only keys that some session may show are told as gone: those that are here, and all where a session shows what was
    /// never here.
    pub fn replace(&mut self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, keys: u64) {
        debug_assert!(keys <= REPLACED_KEYS_MAX, "a topic remembers that many keys as gone");
        if rev < self.replaced {
            return;
        }
        let came: HashSet<Key> = rows.iter().map(|(row, _audience)| row.key()).collect();
        for (row, audience) in rows {
            self.put(topic, row, audience);
        }
        let mut left: Vec<Key> = if std::mem::take(&mut self.unread) {
            (0..keys).map(Key::Number).collect()
        } else {
            self.rows
                .iter()
                .filter(|(_key, held)| held.row.is_some())
                .map(|(key, _held)| key.clone())
                .collect()
        };
        left.retain(|key| !came.contains(key));
        left.sort_unstable();
        for key in &left {
            self.remove(topic, key, rev);
        }
        self.replaced = rev;
    }

    /// Drops what is no longer kept: who has not been told of it by now needs a snapshot.
    fn forget(&mut self, key: &Key) {
        if let Some(old) = self.rows.remove(key) {
            self.log.remove(&old.version);
            self.gone -= usize::from(old.row.is_none());
            self.floor = self.floor.max(old.version);
        }
    }

    /// Releases what has changed, if the last release is a tick ago; else says when the timer must.
    pub fn due(&mut self, now: Instant, tick: Duration) -> Due {
        if self.version == self.released || self.waiting {
            return Due::Later;
        }
        match self.released_at.map(|at| at + tick) {
            Some(at) if at > now => {
                self.waiting = true;
                Due::At(at)
            }
            _ => {
                self.release(now);
                Due::Now
            }
        }
    }

    /// Lets sessions send all that has changed.
    pub fn release(&mut self, now: Instant) {
        self.released = self.version;
        self.released_at = Some(now);
        self.waiting = false;
        // Frames that end before this are for nobody any more.
        let released = self.released;
        self.shared.retain(|shared| shared.to >= released);
    }

    /// Takes `rows` as read, each unless a newer one was published; answers the keys of all that are there: of these,
    /// and of those that came since `since`, without those that left.
    pub fn merge(
        &mut self,
        topic: Topic,
        since: u64,
        rows: Vec<(Row, Audience)>,
        viewer: &Viewer,
    ) -> Vec<Key> {
        let mut keys = Vec::with_capacity(rows.len());
        let mut read = HashSet::with_capacity(rows.len());
        for (row, audience) in rows {
            let key = row.key();
            let newer = self
                .rows
                .get(&key)
                .is_some_and(|held| held.rev > row.rev() || (held.rev == row.rev() && held.version > since));
            if !newer {
                self.put(topic, row, audience);
            }
            if read.insert(key.clone()) {
                keys.push(key);
            }
        }
        let came = self.log.range(since + 1..).map(|(_, key)| key);
        keys.extend(came.filter(|key| !read.contains(*key)).cloned());
        keys.retain(|key| {
            self.rows
                .get(key)
                .is_some_and(|held| held.row.is_some() && (read.contains(key) || held.audience.takes(viewer)))
        });
        keys
    }
}
