//! The connection of a tab, as the pages see it: its state, and the desk where topics are asked for.
//!
//! Owns who listens to which topic. Called by the root component (`provide`), the chip and the topics; the tab
//! reads the desk. Invariant: a topic is wanted exactly while somebody listens. Deliberately knows no browser:
//! the same code stands still while the server renders.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leptos::prelude::*;

use super::tab;
use crate::client::fold::Delta;
use crate::protocol::{ErrorCode, Rev, Timestamp, Topic};

/// What the chip shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The first try is under way.
    Connecting,
    /// Frames come.
    Live {
        /// Since the last frame, in milliseconds; told once a second.
        age_ms: u32,
    },
    /// Connected, but a frame is overdue.
    Slow {
        /// Since the last frame, in milliseconds.
        age_ms: u32,
    },
    /// Contact was lost; the next try comes by itself.
    Reconnecting {
        /// Seconds until then; 0: the try is under way.
        seconds: u32,
    },
    /// The browser has no network.
    Offline {
        /// When contact was lost.
        since: Timestamp,
    },
    /// The login has ended: the page must be signed in anew.
    SignedOut,
    /// Signed in, but not allowed here.
    NotAllowed,
}

/// Somebody who listens to a topic.
pub trait Listener: Send + Sync {
    /// Revision that is shown, if it is known.
    fn rev(&self) -> Option<Rev>;
    /// True while something shown goes on changing by itself.
    fn unfinished(&self) -> bool;
    /// What a frame says. False where it does not fit what is shown: then the topic is asked for anew.
    fn take(&self, delta: Delta) -> bool;
    /// The topic cannot be had.
    fn refuse(&self, code: ErrorCode);
}

/// A listener and its number.
type Seat = (u64, Arc<dyn Listener>);

/// Who listens to what. Bounded by what the page mounts.
#[derive(Default)]
pub struct Desk {
    listeners: HashMap<Topic, Vec<Seat>>,
    /// Topics to ask for anew although they are subscribed: a new listener has come.
    refresh: HashSet<Topic>,
    next: u64,
}

impl Desk {
    /// Topics that are listened to, with the revision from which all of their listeners can go on.
    pub fn wanted(&self) -> HashMap<Topic, Option<Rev>> {
        self.listeners
            .iter()
            .map(|(topic, listeners)| {
                let revs = listeners.iter().map(|(_, listener)| listener.rev());
                (*topic, revs.min().flatten())
            })
            .collect()
    }

    /// Topics to ask for anew, once.
    pub fn take_refresh(&mut self) -> HashSet<Topic> {
        std::mem::take(&mut self.refresh)
    }

    /// Has `topic` asked for anew.
    pub fn ask_anew(&mut self, topic: Topic) {
        if self.listeners.contains_key(&topic) {
            self.refresh.insert(topic);
        }
    }

    /// How many listen.
    pub fn count(&self) -> usize {
        self.listeners.values().map(Vec::len).sum()
    }

    /// Who listens to `topic`.
    pub fn listeners(&self, topic: Topic) -> Vec<Arc<dyn Listener>> {
        self.listeners.get(&topic).into_iter().flatten().map(|(_, listener)| Arc::clone(listener)).collect()
    }

    /// True while anything shown goes on changing by itself.
    pub fn unfinished(&self) -> bool {
        self.listeners.values().flatten().any(|(_, listener)| listener.unfinished())
    }
}

/// The connection of this tab. Cheap to clone; one per application.
#[derive(Clone)]
pub struct LiveClient {
    state: ArcRwSignal<ConnectionState>,
    away: ArcRwSignal<Option<Timestamp>>,
    newer: ArcRwSignal<bool>,
    desk: Arc<Mutex<Desk>>,
}

impl LiveClient {
    /// Puts the client into the context of the root component, and opens the connection once that stands in a
    /// browser.
    pub fn provide() -> Self {
        let client = Self::detached();
        provide_context(client.clone());
        let starting = client.clone();
        Effect::new(move |_| tab::start(&starting));
        client
    }

    /// A client that never connects: for a page outside the application.
    pub fn detached() -> Self {
        Self {
            state: ArcRwSignal::new(ConnectionState::Connecting),
            away: ArcRwSignal::new(None),
            newer: ArcRwSignal::new(false),
            desk: Arc::new(Mutex::new(Desk::default())),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> Signal<ConnectionState> {
        RwSignal::from(self.state.clone()).into()
    }

    /// Since when there is no contact; none while there is.
    #[must_use]
    pub fn away(&self) -> Signal<Option<Timestamp>> {
        RwSignal::from(self.away.clone()).into()
    }

    /// True where the server is newer than this page, which was not renewed by itself.
    #[must_use]
    pub fn newer(&self) -> Signal<bool> {
        RwSignal::from(self.newer.clone()).into()
    }

    /// Says that the server is newer than this page.
    pub fn set_newer(&self) {
        if !self.newer.get_untracked() {
            self.newer.set(true);
        }
    }

    /// Reads the page anew.
    pub fn reload(&self) {
        tab::reload();
    }

    /// Asks for `topic` anew: what could not be had before may be there now.
    pub fn ask_anew(&self, topic: Topic) {
        self.desk().ask_anew(topic);
        tab::wanted_changed();
    }

    /// Tries now, if it waits.
    pub fn retry_now(&self) {
        tab::retry_now();
    }

    /// As [`LiveClient::away`], now.
    #[must_use]
    pub fn since_away(&self) -> Option<Timestamp> {
        self.away.get_untracked()
    }

    /// Says how it stands; told only where that differs.
    pub fn set_state(&self, state: ConnectionState) {
        if self.state.get_untracked() != state {
            self.state.set(state);
        }
    }

    /// Says since when there is no contact; told only where that differs.
    pub fn set_away(&self, since: Option<Timestamp>) {
        if self.away.get_untracked() != since {
            self.away.set(since);
        }
    }

    /// Never held while a signal is set or a listener is called: both may come back here.
    pub fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens until [`LiveClient::leave`].
    pub fn join(&self, topic: Topic, listener: Arc<dyn Listener>) -> (Topic, u64) {
        let mut desk = self.desk();
        desk.next += 1;
        let id = desk.next;
        desk.listeners.entry(topic).or_default().push((id, listener));
        desk.refresh.insert(topic);
        drop(desk);
        tab::wanted_changed();
        (topic, id)
    }

    /// Stops listening.
    pub fn leave(&self, (topic, id): (Topic, u64)) {
        let mut desk = self.desk();
        if let Some(listeners) = desk.listeners.get_mut(&topic) {
            listeners.retain(|(held, _)| *held != id);
            if listeners.is_empty() {
                desk.listeners.remove(&topic);
            }
        }
        drop(desk);
        tab::wanted_changed();
    }
}

/// The connection of this tab; one that never connects where no root has provided it.
#[must_use]
pub fn use_live() -> LiveClient {
    use_context::<LiveClient>().unwrap_or_else(LiveClient::detached)
}
