//! Topics out: what is wanted, and how often.
//!
//! Owns what the server is told of it on this line. Called whenever a listener comes or goes, or the tab is hidden or
//! shown. Invariant: the server hears of exactly what somebody listens to; a hidden tab asks for what its title needs,
//! rarely while that goes on, and not at all afterwards. Deliberately knows no row.

use std::collections::HashSet;
use std::time::Duration;

use leptos::prelude::set_timeout;

use super::{Line, Phase, Tab, VISIBLE_HZ, connection_state, now_ms, poll, with_tab};
use crate::client::transport_choice::Way;
use crate::protocol::{ClientFrame, Codec, Rev, Topic};

/// Time between two rounds of subscribes: a scrolled window asks often, and the server counts.
const ASK_MS_MIN: f64 = 60.0;
/// The same where asking means another request.
const ASK_REQUEST_MS_MIN: f64 = 300.0;
/// Updates a second of a hidden tab while something it shows is unfinished.
const HIDDEN_HZ: f64 = 0.2;

/// Tells the server what is wanted, once for all that changes now.
pub(in crate::app::live) fn wanted_changed() {
    let plan = with_tab(|tab| {
        let planned = std::mem::replace(&mut tab.ask_planned, true);
        let least = match tab.line {
            Some(Line::Events(_) | Line::Poll) => ASK_REQUEST_MS_MIN,
            Some(Line::Socket(_) | Line::Page) | None => ASK_MS_MIN,
        };
        (!planned).then(|| (tab.asked_at + least - now_ms()).clamp(0.0, least))
    });
    if let Some(Some(ms)) = plan {
        set_timeout(ask, Duration::from_secs_f64(ms / 1_000.0));
    }
}

/// Tells the server what changed in what is wanted, and how fast.
pub fn ask() {
    enum By {
        Nothing,
        Again,
        Poll,
    }
    let by = with_tab(|tab| {
        tab.ask_planned = false;
        tab.asked_at = now_ms();
        match &tab.line {
            Some(Line::Socket(wire)) if wire.is_open() => {
                tab.ask_by_socket();
                By::Nothing
            }
            Some(Line::Events(_)) if tab.phase == Phase::Open && tab.wants_anew() => By::Again,
            Some(Line::Poll) if tab.poll_at.is_some() && tab.wants_anew() => By::Poll,
            Some(_) | None => By::Nothing,
        }
    });
    match by {
        Some(By::Again) => again(),
        Some(By::Poll) => poll::poll(),
        Some(By::Nothing) | None => {}
    }
}

/// The tab was hidden or shown. Where it listens to events, it polls while it is hidden.
pub fn visibility_changed() {
    let by_events = with_tab(|tab| tab.phase == Phase::Open && tab.ways.now() == Way::Events);
    if by_events == Some(true) {
        again();
    }
    ask();
}

/// Another stream, for what is wanted now. It is no loss of contact: the page stays live meanwhile.
fn again() {
    let opened = with_tab(|tab| {
        tab.attempt += 1;
        tab.retired = tab.line.take();
        tab.line = tab.open();
        tab.poll_at = matches!(tab.line, Some(Line::Poll)).then(now_ms);
        tab.line.is_some()
    });
    if opened == Some(false) {
        connection_state::lost(None);
    }
}

/// What a hidden tab does without.
fn is_title(topic: Topic) -> bool {
    matches!(topic, Topic::Batch(_) | Topic::Batches)
}

impl Tab {
    /// The codec that the server has chosen for this line.
    pub fn spoken(&self) -> Codec {
        if let Some(Line::Socket(wire)) = &self.line { wire.codec() } else { Codec::Json }
    }

    pub fn say(&self, frame: &ClientFrame) {
        if let Some(Line::Socket(wire)) = &self.line {
            wire.say(frame, self.codec);
        }
    }

    fn wanted(&self) -> Vec<(Topic, Option<Rev>)> {
        let wanted = self.client.desk().wanted();
        wanted.into_iter().filter(|(topic, _)| !self.hidden || is_title(*topic)).collect()
    }

    fn wanted_hz(&self) -> f64 {
        match (self.hidden, self.client.desk().unfinished()) {
            (false, _) => VISIBLE_HZ,
            (true, true) => HIDDEN_HZ,
            (true, false) => 0.0,
        }
    }

    fn ask_by_socket(&mut self) {
        let hz = self.wanted_hz();
        #[expect(clippy::float_cmp, reason = "one of three constants")]
        if self.hz != hz {
            self.hz = hz;
            self.say(&ClientFrame::Pace { hz });
        }
        let (wanted, refresh) = (self.wanted(), self.client.desk().take_refresh());
        let leaving: Vec<Topic> =
            self.asked.iter().copied().filter(|held| wanted.iter().all(|(topic, _)| topic != held)).collect();
        for topic in leaving {
            self.asked.remove(&topic);
            self.say(&ClientFrame::Unsubscribe { topic: topic.to_string() });
        }
        for (topic, rev) in wanted {
            let fresh = self.asked.insert(topic);
            if fresh || refresh.contains(&topic) {
                self.say(&ClientFrame::Subscribe { topic: topic.to_string(), rev });
            }
        }
        self.mark();
    }

    /// True where the present request does not cover what is wanted.
    fn wants_anew(&self) -> bool {
        let refresh = self.client.desk().take_refresh();
        let wanted: HashSet<Topic> = self.wanted().into_iter().map(|(topic, _)| topic).collect();
        #[expect(clippy::float_cmp, reason = "one of three constants")]
        let other_pace = self.hz != self.wanted_hz();
        other_pace || wanted != self.asked || refresh.iter().any(|topic| wanted.contains(topic))
    }

    /// What is wanted, as the query of a fallback, and its topics. None wanted: an empty name, which is skipped.
    pub fn wanted_query(&mut self) -> (String, HashSet<Topic>) {
        self.hz = self.wanted_hz();
        self.client.desk().take_refresh();
        let wanted = self.wanted();
        let mut query = format!("hz={}", self.hz);
        for (topic, rev) in &wanted {
            query.push_str(&format!("&topic={topic}"));
            if let Some(rev) = rev {
                query.push_str(&format!("&rev={rev}"));
            }
        }
        if wanted.is_empty() {
            query.push_str("&topic=");
        }
        (query, wanted.into_iter().map(|(topic, _)| topic).collect())
    }
}
