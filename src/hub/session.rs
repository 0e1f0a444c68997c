//! One connection as the hub sees it: what it hears, and up to where it has been told.
//!
//! Owns the subscriptions of one connection. Called by the server's socket, from one task. Invariant: a subscription
//! costs a few words whatever happens while its connection is slow; it is told the newest or nothing. Deliberately
//! knows neither sockets nor who may hear what: the caller asks the service before it answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// How a subscribe is answered.
#[derive(Debug)]
pub enum Answer {
    /// With this.
    Frame(Bytes),
    /// Not yet: read the rows and answer with them.
    Again,
    /// Not at all: the topic is no longer heard.
    Unheard,
}

/// What is to be done for a session now.
#[derive(Debug, Default)]
pub struct Turn {
    /// Frames to write, in order.
    pub frames: Vec<Bytes>,
    /// Topics to read from the service and answer anew.
    pub ask: Vec<Topic>,
    /// When to look again though nothing wakes.
    pub next: Option<Instant>,
}

/// One connection. Dropping it ends its subscriptions.
pub struct Session {
    hub: Hub,
    id: u64,
    viewer: Viewer,
    codec: Codec,
    wake: Arc<Notify>,
    /// At most [`SUBSCRIPTIONS_MAX`].
    heard: HashMap<Topic, Heard>,
    pace: Pace,
}

struct Heard {
    channel: Arc<Channel>,
    /// Version of the channel up to which this session has been told; before the answer: from which it hears.
    seen: u64,
    answered: bool,
    told_at: Option<Instant>,
}

impl Hub {
    /// A new connection of `viewer`. Must be called on the runtime that the hub works on.
    #[must_use]
    pub fn session(&self, viewer: Viewer, codec: Codec) -> Session {
        let mut timer = self.timer();
        if !timer.as_ref().is_some_and(Timer::runs) {
            *timer = Some(Timer::start());
        }
        drop(timer);
        Session {
            hub: self.clone(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            viewer,
            codec,
            wake: Arc::new(Notify::new()),
            heard: HashMap::new(),
            pace: Pace::Tick,
        }
    }
}

impl Session {
    /// Registers for `topic`, before the store is read for the answer: so nothing is missed. Until
    /// [`Session::answer`], nothing is told. A topic that is heard already is answered anew.
    ///
    /// # Errors
    /// [`Refused::TooMany`].
    pub fn subscribe(&mut self, topic: Topic) -> Result<(), Refused> {
        if let Some(heard) = self.heard.get_mut(&topic) {
            heard.answered = false;
            return Ok(());
        }
        if self.heard.len() >= SUBSCRIPTIONS_MAX {
            return Err(Refused::TooMany);
        }
        let mut channels = self.hub.channels_mut();
        let channel = channels.open(topic);
        let seen = channel.join(self.id, &self.wake);
        drop(channels);
        self.heard.insert(topic, Heard { channel, seen, answered: false, told_at: None });
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
        let Some(heard) = self.heard.get_mut(&topic) else { return Answer::Unheard };
        let rev = || self.hub.topic_rev(topic, rev);
        let (viewer, codec, tick) = (&self.viewer, self.codec, self.hub.tick());
        let asked = Asked { since: heard.seen, known, viewer, codec, now, tick };
        match heard.channel.answer(asked, rev, rows) {
            Answered::Frame { frame, to, due } => {
                heard.seen = to;
                heard.answered = true;
                heard.told_at = None;
                self.hub.see_to(due, &heard.channel);
                Answer::Frame(frame)
            }
            Answered::Again => Answer::Again,
        }
    }

    /// Stops hearing `topic`: it was refused, or is no longer wanted.
    pub fn unsubscribe(&mut self, topic: Topic) {
        if self.heard.remove(&topic).is_some() {
            self.leave(&[topic]);
        }
    }

    /// True while `topic` is heard.
    #[must_use]
    pub fn hears(&self, topic: Topic) -> bool {
        self.heard.contains_key(&topic)
    }

    /// Asks for `hz` updates a second and topic; held to the tick, 0 = none.
    ///
    /// # Errors
    /// [`Refused::BadPace`].
    pub fn set_pace(&mut self, hz: f64) -> Result<(), Refused> {
        self.pace = Pace::from_hz(hz, self.hub.tick()).ok_or(Refused::BadPace)?;
        Ok(())
    }

    /// What is rung when something may be new.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// What to write now: at most one frame per topic and tick, and no more often than the pace.
    pub fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        let tick = self.hub.tick();
        let (every, early) = match self.pace {
            // Half a tick: releases keep the tick among themselves; this only holds back one that comes right after
            // a late write.
            Pace::Tick => (tick / 2, Early::No),
            Pace::Every(every) => (every, Early::Yes),
            Pace::Never => return turn,
        };
        for (topic, heard) in &mut self.heard {
            if !heard.answered || !heard.channel.has_news(heard.seen, early) {
                continue;
            }
            let due = heard.told_at.map_or(now, |at| at + every);
            if due > now {
                turn.next = Some(turn.next.map_or(due, |next| next.min(due)));
                continue;
            }
            match heard.channel.tell(heard.seen, &self.viewer, self.codec) {
                Told::Nothing => {}
                Told::Frame { frame, to } => {
                    heard.seen = to;
                    if let Some(frame) = frame {
                        heard.told_at = Some(now);
                        turn.frames.push(frame);
                    }
                }
                Told::Stale => {
                    heard.answered = false;
                    turn.ask.push(*topic);
                }
            }
        }
        turn
    }

    fn leave(&self, topics: &[Topic]) {
        let mut channels = self.hub.channels_mut();
        for topic in topics {
            if channels.by_topic.get(topic).is_some_and(|channel| channel.leave(self.id)) {
                channels.close(*topic);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let topics: Vec<Topic> = self.heard.keys().copied().collect();
        self.leave(&topics);
    }
}
