//! One connection as the hub sees it: what it hears, and up to where it has been told.
//!
//! Owns the subscriptions of one connection. Called by the connection's own task, and by the herald where many hear the
//! same: then frames go straight to the outlet, and no task is woken for them. Invariant: a subscription costs a few
//! words whatever happens while its connection is slow; it is told the newest or nothing. Deliberately knows neither
//! sockets nor who may hear what: the caller asks the service before it answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::{Pace, Timer};
use super::topics::{Answered, Asked, Channel, Early, Told};
use super::{Audience, Hub};
use crate::protocol::limits::SUBSCRIPTIONS_MAX;
use crate::protocol::{Codec, Rev, Row, Topic};
use crate::store::Viewer;

static NEXT: AtomicU64 = AtomicU64::new(1);

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

/// Where frames leave for the client, from whatever task.
pub trait Outlet: Send + Sync {
    /// True while something waits to leave: then a session makes no new frames.
    fn is_full(&self) -> bool;
    /// Puts frames behind what waits.
    fn put(&self, frames: &[Bytes]);
    /// Sends what waits, in order, as far as there is room. Never blocks.
    fn flush(&self);

    /// Puts and flushes.
    fn send(&self, frames: &[Bytes]) {
        self.put(frames);
        self.flush();
    }
}

/// How a subscribe is answered.
#[derive(Debug)]
pub enum Answer {
    /// With this; it has left already where the session has an outlet.
    Frame(Bytes),
    /// Not yet: read the rows and answer with them.
    Again,
    /// Not at all: the topic is no longer heard.
    Unheard,
}

/// What is to be done for a session now.
#[derive(Debug, Default)]
pub struct Turn {
    /// Frames to write, in order; none where the session has an outlet.
    pub frames: Vec<Bytes>,
    /// Topics to read from the service and answer anew.
    pub ask: Vec<Topic>,
    /// When to look again though nothing wakes.
    pub next: Option<Instant>,
}

/// One connection. Dropping it ends its subscriptions.
pub struct Session {
    hub: Hub,
    core: Arc<Core>,
}

/// What the connection's task and the herald share of a session.
pub struct Core {
    id: u64,
    viewer: Viewer,
    codec: Codec,
    tick: Duration,
    bell: Arc<Notify>,
    outlet: Option<Arc<dyn Outlet>>,
    state: Mutex<State>,
}

struct State {
    /// At most [`SUBSCRIPTIONS_MAX`], one a topic. Mostly one or two: a list is smaller than a map, and quicker.
    heard: Vec<Heard>,
    pace: Pace,
    /// Topics that fell behind, for the connection's task to read. Bounded by what is heard.
    ask: Vec<Topic>,
}

struct Heard {
    channel: Arc<Channel>,
    /// Version of the channel up to which this session has been told; before the answer: from which it hears.
    seen: u64,
    answered: bool,
    told_at: Option<Instant>,
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
        if !timer.as_ref().is_some_and(Timer::runs) {
            *timer = Some(Timer::start());
        }
        drop(timer);
        let core = Core {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            viewer,
            codec,
            tick: self.tick(),
            bell: Arc::new(Notify::new()),
            outlet,
            state: Mutex::new(State { heard: Vec::new(), pace: Pace::Tick, ask: Vec::new() }),
        };
        Session { hub: self.clone(), core: Arc::new(core) }
    }
}

impl Session {
    /// Registers for `topic`, before the store is read for the answer: so nothing is missed. Until
    /// [`Session::answer`], nothing is told. A topic that is heard already is answered anew.
    ///
    /// # Errors
    /// [`Refused::TooMany`].
    pub fn subscribe(&mut self, topic: Topic) -> Result<(), Refused> {
        let mut state = self.core.state();
        if let Some(heard) = state.of(topic) {
            heard.answered = false;
            return Ok(());
        }
        if state.heard.len() >= SUBSCRIPTIONS_MAX {
            return Err(Refused::TooMany);
        }
        let mut channels = self.hub.channels_mut();
        let channel = channels.open(topic);
        let seen = channel.join(&self.core);
        drop(channels);
        if state.heard.is_empty() {
            state.heard.reserve_exact(1);
        }
        state.heard.push(Heard { channel, seen, answered: false, told_at: None });
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
    ) -> Answer {
        self.answer_at(topic, known, rev, rows, Instant::now())
    }

    pub(super) fn answer_at(
        &mut self,
        topic: Topic,
        known: Option<Rev>,
        rev: Rev,
        rows: Option<Vec<(Row, Audience)>>,
        now: Instant,
    ) -> Answer {
        let mut state = self.core.state();
        let Some(heard) = state.of(topic) else { return Answer::Unheard };
        let rev = || self.hub.topic_rev(topic, rev);
        let (viewer, codec, tick) = (&self.core.viewer, self.core.codec, self.core.tick);
        let asked = Asked { since: heard.seen, known, viewer, codec, now, tick };
        match heard.channel.answer(asked, rev, rows) {
            Answered::Frame { frame, to, due } => {
                heard.seen = to;
                heard.answered = true;
                heard.told_at = None;
                let channel = Arc::clone(&heard.channel);
                // Before the state is given back: no update may leave ahead of its answer.
                if let Some(outlet) = &self.core.outlet {
                    outlet.send(std::slice::from_ref(&frame));
                }
                drop(state);
                self.hub.see_to(due, &channel);
                Answer::Frame(frame)
            }
            Answered::Again => Answer::Again,
        }
    }

    /// Stops hearing `topic`: it was refused, or is no longer wanted.
    pub fn unsubscribe(&mut self, topic: Topic) {
        let mut state = self.core.state();
        let Some(at) = state.heard.iter().position(|heard| heard.channel.topic == topic) else { return };
        state.heard.swap_remove(at);
        drop(state);
        self.leave(&[topic]);
    }

    /// True while `topic` is heard.
    #[must_use]
    pub fn hears(&self, topic: Topic) -> bool {
        self.core.state().of(topic).is_some()
    }

    /// Asks for `hz` updates a second and topic; held to the tick, 0 = none.
    ///
    /// # Errors
    /// [`Refused::BadPace`].
    pub fn set_pace(&mut self, hz: f64) -> Result<(), Refused> {
        let pace = Pace::from_hz(hz, self.core.tick).ok_or(Refused::BadPace)?;
        self.core.state().pace = pace;
        Ok(())
    }

    /// What is rung when something may be new.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.core.bell)
    }

    /// What to write now: at most one frame per topic and tick, and no more often than the pace. With an outlet it is
    /// sent, unless that is full: then there is nothing to do until there is room.
    pub fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        let mut state = self.core.state();
        match &self.core.outlet {
            Some(outlet) if outlet.is_full() => return turn,
            Some(outlet) => {
                turn.next = state.tell(&self.core, now, &mut turn.frames);
                outlet.send(&turn.frames);
                turn.frames.clear();
            }
            None => turn.next = state.tell(&self.core, now, &mut turn.frames),
        }
        turn.ask = std::mem::take(&mut state.ask);
        turn
    }

    fn leave(&self, topics: &[Topic]) {
        let mut channels = self.hub.channels_mut();
        for topic in topics {
            if channels.by_topic.get(topic).is_some_and(|channel| channel.leave(self.core.id)) {
                channels.close(*topic);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let heard = std::mem::take(&mut self.core.state().heard);
        let topics: Vec<Topic> = heard.iter().map(|heard| heard.channel.topic).collect();
        self.leave(&topics);
    }
}

impl Core {
    /// Its number, by which it leaves.
    pub fn id(&self) -> u64 {
        self.id
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the connection's task.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// True while its outlet takes nothing new.
    pub fn is_full(&self) -> bool {
        self.outlet.as_ref().is_some_and(|outlet| outlet.is_full())
    }

    /// Puts what is due into the outlet of a session that keeps the tick and has room; any other is woken, or waits for
    /// room by itself. True where there is something to [`Core::flush`]. `frames` is room to work in.
    pub fn prepare(&self, now: Instant, frames: &mut Vec<Bytes>) -> bool {
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
        let next = state.tell(self, now, frames);
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

impl State {
    fn of(&mut self, topic: Topic) -> Option<&mut Heard> {
        self.heard.iter_mut().find(|heard| heard.channel.topic == topic)
    }

    /// Appends what is due; answers when to look again.
    fn tell(&mut self, core: &Core, now: Instant, frames: &mut Vec<Bytes>) -> Option<Instant> {
        let (every, early) = match self.pace {
            // Half a tick: releases keep the tick among themselves; this only holds back one that comes right after
            // a late write.
            Pace::Tick => (core.tick / 2, Early::No),
            Pace::Every(every) => (every, Early::Yes),
            Pace::Never => return None,
        };
        let mut next: Option<Instant> = None;
        for heard in &mut self.heard {
            if !heard.answered || !heard.channel.has_news(heard.seen, early) {
                continue;
            }
            let due = heard.told_at.map_or(now, |at| at + every);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            match heard.channel.tell(heard.seen, &core.viewer, core.codec) {
                Told::Nothing => {}
                Told::Frame { frame, to } => {
                    heard.seen = to;
                    if let Some(frame) = frame {
                        heard.told_at = Some(now);
                        frames.push(frame);
                    }
                }
                Told::Stale => {
                    heard.answered = false;
                    self.ask.push(heard.channel.topic);
                }
            }
        }
        next
    }
}
