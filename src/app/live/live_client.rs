//! The connection of a tab, as pages see it.
//!
//! The same code stands still while the server renders: signals keep their initial values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leptos::prelude::*;

use super::observers::{Observation, TopicObserver, TopicObservers};
use super::queue::{TabEvent, raise, raise_live};
use crate::client::connection::{ConnectionState, LiveEvent};
use crate::protocol::{Timestamp, Topic};

/// The connection of this tab. Cheap to clone; one per application.
#[derive(Clone)]
pub struct LiveClient {
    state: ArcRwSignal<ConnectionState>,
    away: ArcRwSignal<Option<Timestamp>>,
    newer: ArcRwSignal<bool>,
    observers: Arc<Mutex<TopicObservers>>,
}

impl LiveClient {
    /// A client that is not connected: [`super::provide_live_client`] connects it.
    pub fn detached() -> Self {
        Self {
            state: ArcRwSignal::new(ConnectionState::Connecting),
            away: ArcRwSignal::new(None),
            newer: ArcRwSignal::new(false),
            observers: Arc::default(),
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

    /// True where the server is newer than this page, which was not reloaded by itself.
    #[must_use]
    pub fn newer(&self) -> Signal<bool> {
        RwSignal::from(self.newer.clone()).into()
    }

    /// The server is newer than this page.
    pub fn set_newer(&self) {
        if !self.newer.get_untracked() {
            self.newer.set(true);
        }
    }

    /// Reloads the page.
    pub fn reload(&self) {
        raise(TabEvent::ReloadWanted);
    }

    /// Subscribes to `topic` again: what could not be had before may be there now.
    pub fn resubscribe(&self, topic: Topic) {
        raise_live(LiveEvent::Resubscribe(topic));
    }

    /// Tries now, if it waits.
    pub fn retry_now(&self) {
        raise_live(LiveEvent::RetryNow);
    }

    /// Sets how it stands; signals only where that differs.
    pub fn set_state(&self, state: ConnectionState) {
        if self.state.get_untracked() != state {
            self.state.set(state);
        }
    }

    /// Sets since when there is no contact; signals only where that differs.
    pub fn set_away(&self, since: Option<Timestamp>) {
        if self.away.get_untracked() != since {
            self.away.set(since);
        }
    }

    /// Who reads what. Never held while a signal is set or an observer is called: both may come back here.
    pub fn observers(&self) -> MutexGuard<'_, TopicObservers> {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Observes `topic` until [`LiveClient::leave`]. The topic is subscribed to again where it was already: the new
    /// observer may show less of it than the others.
    pub fn join(&self, topic: Topic, observer: Arc<dyn TopicObserver>) -> Observation {
        let observation = self.observers().add(topic, observer);
        raise_live(LiveEvent::Resubscribe(topic));
        observation
    }

    /// Stops observing.
    pub fn leave(&self, observation: Observation) {
        self.observers().remove(observation);
        raise_live(LiveEvent::WantedChanged);
    }
}

/// The connection of this tab; one that never connects where no root has provided it.
#[must_use]
pub fn use_live() -> LiveClient {
    use_context::<LiveClient>().unwrap_or_else(LiveClient::detached)
}
