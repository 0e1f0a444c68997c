//! One connection, as its own task holds it: what it wants to receive, and how that is answered.
//!
//! A topic is registered before the store is read for its answer, and nothing of it is sent until then. Who may listen to
//! what is not checked here: the caller asks the service before it answers.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::channel::{SnapshotAnswer, SnapshotRequest};
use super::pace::Pace;
use super::release_timer::ReleaseTimer;
use super::subscriber::{Outlet, Subscriber};
use super::wire_frame::WireFrame;
use super::{Audience, Hub};
use crate::protocol::limits::SUBSCRIPTIONS_MAX;
use crate::protocol::{Codec, Rev, Row, Topic};
use crate::store::Viewer;

/// Why a session did not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// One subscription too many.
    #[error("a connection holds at most {SUBSCRIPTIONS_MAX} subscriptions")]
    TooMany,
    /// No number of updates a second.
    #[error("a pace is a number of updates a second, 0 or more")]
    BadPace,
}

/// How a subscribe is answered.
#[derive(Debug)]
pub enum SubscribeAnswer {
    /// With this; it has left already where the session has an outlet.
    Frame(WireFrame),
    /// Not yet: read the rows and answer with them.
    Again,
    /// Not at all: the topic is no longer subscribed to.
    Unheard,
}

/// What is to be done for a session now.
#[derive(Debug, Default)]
pub struct Turn {
    /// Frames to write, in order; none where the session has an outlet.
    pub frames: Vec<WireFrame>,
    /// Topics to read from the service and answer anew.
    pub ask: Vec<Topic>,
    /// When to look again though nothing wakes.
    pub next: Option<Instant>,
}

/// One connection. Dropping it ends its subscriptions.
pub struct Session {
    hub: Hub,
    subscriber: Arc<Subscriber>,
}

impl Hub {
    /// A new connection of `viewer`, without an outlet: its task writes what its turns give. Must be called on the
    /// runtime that the hub works on.
    #[must_use]
    pub fn session(&self, viewer: Viewer, codec: Codec) -> Session {
        self.session_to(viewer, codec, None)
    }

    /// A new connection of `viewer` whose frames leave by `outlet`. Must be called on the runtime that the hub works on.
    #[must_use]
    pub fn session_to(&self, viewer: Viewer, codec: Codec, outlet: Option<Arc<dyn Outlet>>) -> Session {
        let mut timer = self.timer();
        if !timer.as_ref().is_some_and(ReleaseTimer::runs) {
            *timer = Some(ReleaseTimer::start(Arc::clone(&self.inner.tempo)));
        }
        drop(timer);
        let tempo = Arc::clone(&self.inner.tempo);
        Session { hub: self.clone(), subscriber: Arc::new(Subscriber::new(viewer, codec, tempo, outlet)) }
    }
}

impl Session {
    /// Registers for `topic`, before the store is read for the answer: so nothing is missed. Until
    /// [`Session::answer`], nothing is told. A topic that is position already is answered anew.
    ///
    /// # Errors
    /// [`Refused::TooMany`].
    pub fn subscribe(&mut self, topic: Topic) -> Result<(), Refused> {
        let mut state = self.subscriber.state();
        if let Some(position) = state.of(topic) {
            position.answered = false;
            return Ok(());
        }
        if state.positions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Refused::TooMany);
        }
        let mut channels = self.hub.channels_mut();
        let channel = channels.open(topic);
        let seen = channel.join(&self.subscriber);
        drop(channels);
        state.add_channel(channel, seen);
        Ok(())
    }

    /// Answers a subscribe: with a snapshot of `rows` as read at `rev` after [`Session::subscribe`], or with an update
    /// without rows where the page is up to date: `known` equals `rev`, and `rows` may be none.
    pub fn answer(
        &mut self,
        topic: Topic,
        known: Option<Rev>,
        rev: Rev,
        rows: Option<Vec<(Row, Audience)>>,
    ) -> SubscribeAnswer {
        self.answer_at(topic, known, rev, rows, Instant::now())
    }

    pub(super) fn answer_at(
        &mut self,
        topic: Topic,
        known: Option<Rev>,
        rev: Rev,
        rows: Option<Vec<(Row, Audience)>>,
        now: Instant,
    ) -> SubscribeAnswer {
        let mut state = self.subscriber.state();
        let Some(position) = state.of(topic) else { return SubscribeAnswer::Unheard };
        let rev = || self.hub.topic_rev(topic, rev);
        let (viewer, codec) = (&self.subscriber.viewer, self.subscriber.codec);
        let tick = self.subscriber.tempo.tick();
        let asked = SnapshotRequest { since: position.seen, known, viewer, codec, now, tick };
        match position.channel.answer(asked, rev, rows) {
            SnapshotAnswer::Frame { frame, to, due } => {
                position.seen = to;
                position.answered = true;
                position.sent_at = None;
                let channel = Arc::clone(&position.channel);
                // Before the state is given back: no update may leave ahead of its answer.
                if let Some(outlet) = &self.subscriber.outlet {
                    outlet.send(std::slice::from_ref(&frame));
                }
                drop(state);
                self.hub.schedule(due, &channel);
                SubscribeAnswer::Frame(frame)
            }
            SnapshotAnswer::Again => SubscribeAnswer::Again,
        }
    }

    /// Stops hearing `topic`: it was refused, or is no longer wanted.
    pub fn unsubscribe(&mut self, topic: Topic) {
        let mut state = self.subscriber.state();
        let Some(at) = state.positions.iter().position(|position| position.channel.topic == topic) else {
            return;
        };
        state.positions.swap_remove(at);
        drop(state);
        self.leave(&[topic]);
    }

    /// True while `topic` is position.
    #[must_use]
    pub fn is_subscribed(&self, topic: Topic) -> bool {
        self.subscriber.state().of(topic).is_some()
    }

    /// Asks for `hz` updates a second and topic; held to the tick, 0 = none.
    ///
    /// # Errors
    /// [`Refused::BadPace`].
    pub fn set_pace(&mut self, hz: f64) -> Result<(), Refused> {
        let pace = Pace::from_hz(hz, self.subscriber.tempo.shortest()).ok_or(Refused::BadPace)?;
        self.subscriber.state().pace = pace;
        Ok(())
    }

    /// What is rung when something may be new.
    #[must_use]
    pub fn wake_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.subscriber.wake_signal)
    }

    /// What to write now: at most one frame per topic and tick, and no more often than the pace. With an outlet it is
    /// sent, unless that is full: then there is nothing to do until there is room.
    pub fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        let mut state = self.subscriber.state();
        match &self.subscriber.outlet {
            Some(outlet) if outlet.is_full() => return turn,
            Some(outlet) => {
                let begun = Instant::now();
                turn.next = state.collect(&self.subscriber, now, &mut turn.frames);
                if !turn.frames.is_empty() {
                    outlet.send(&turn.frames);
                    self.subscriber.tempo.spent(begun, Instant::now());
                }
                turn.frames.clear();
            }
            None => turn.next = state.collect(&self.subscriber, now, &mut turn.frames),
        }
        turn.ask = std::mem::take(&mut state.ask);
        turn
    }

    fn leave(&self, topics: &[Topic]) {
        let mut channels = self.hub.channels_mut();
        for topic in topics {
            if channels.by_topic.get(topic).is_some_and(|channel| channel.leave(self.subscriber.id())) {
                channels.close(*topic);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let position = std::mem::take(&mut self.subscriber.state().positions);
        let topics: Vec<Topic> = position.iter().map(|position| position.channel.topic).collect();
        self.leave(&topics);
    }
}
