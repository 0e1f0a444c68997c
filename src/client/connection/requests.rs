//! What to ask the server for on the open line, and how often.
//!
//! A visible tab wants all that its page shows. A hidden one wants what its title needs, rarely while that goes on, and
//! no updates afterwards.

use std::time::Duration;

use super::{ConnectionPhase, LiveConnection, LiveEffect, LiveEnvironment, elapsed, later};
use crate::client::subscriptions::{UNLIMITED_HZ, WantedTopics};
use crate::client::transport_choice::Transport;
use crate::protocol::Topic;

/// Time between two requests on a socket: a scrolled window asks often, and the server counts.
const REQUEST_EVERY_MIN: Duration = Duration::from_millis(60);
/// The same where asking means another HTTP request.
const HTTP_REQUEST_EVERY_MIN: Duration = Duration::from_millis(300);
/// Updates a second of a hidden tab while something it shows is unfinished.
const HIDDEN_HZ: f64 = 0.2;
/// Between two polls of a visible tab, and of a hidden one.
const POLL_EVERY: Duration = Duration::from_secs(2);
const POLL_HIDDEN_EVERY: Duration = Duration::from_secs(10);

impl LiveConnection {
    fn wanted(around: &dyn LiveEnvironment) -> WantedTopics {
        let mut topics = around.wanted_topics();
        let is_hidden = around.is_hidden();
        if is_hidden {
            topics.retain(|topic, _| is_title(*topic));
        }
        let hz = match (is_hidden, around.is_unfinished()) {
            (false, _) => UNLIMITED_HZ,
            (true, true) => HIDDEN_HZ,
            (true, false) => 0.0,
        };
        WantedTopics { topics, hz }
    }

    /// What is wanted, as the query of a request.
    pub(super) fn query(&mut self, around: &dyn LiveEnvironment) -> String {
        self.subscriptions.query(&Self::wanted(around))
    }

    /// Has what is wanted asked for soon, once for all that changes until then.
    pub(super) fn plan_request(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        if std::mem::replace(&mut self.is_request_planned, true) {
            return;
        }
        let every = match self.line {
            Some(Transport::Events | Transport::Poll) => HTTP_REQUEST_EVERY_MIN,
            Some(Transport::Socket | Transport::Page) | None => REQUEST_EVERY_MIN,
        };
        out.push(LiveEffect::RequestAfter(every.saturating_sub(elapsed(self.requested_at, around.now()))));
    }

    /// Asks for what is wanted, where the line does not bring it yet.
    pub(super) fn request(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        self.is_request_planned = false;
        self.requested_at = around.now();
        match self.line {
            Some(Transport::Socket) if self.is_socket_open => {
                let frames = self.subscriptions.request(&Self::wanted(around));
                out.extend(frames.into_iter().map(LiveEffect::Send));
            }
            Some(Transport::Events) if self.phase == ConnectionPhase::Open => {
                if !self.subscriptions.is_current(&Self::wanted(around)) {
                    self.reopen(around, out);
                }
            }
            // A poll that is under way is not disturbed: the next one asks for all.
            Some(Transport::Poll) if self.poll_at.is_some() => {
                if !self.subscriptions.is_current(&Self::wanted(around)) {
                    self.poll(around, out);
                }
            }
            Some(Transport::Socket | Transport::Events | Transport::Poll | Transport::Page) | None => {}
        }
    }

    /// Another stream, for what is wanted now. It is no loss of contact: the page stays live meanwhile.
    fn reopen(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        self.attempt += 1;
        self.close(out);
        self.open(around, out);
        self.poll_at = (self.line == Some(Transport::Poll)).then(|| around.now());
    }

    /// Asks once.
    pub(super) fn poll(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        self.poll_at = None;
        let query = self.query(around);
        out.push(LiveEffect::Poll { attempt: self.attempt, query });
    }

    pub(super) fn poll_answered(&mut self, around: &dyn LiveEnvironment) {
        if self.line == Some(Transport::Poll) {
            let every = if around.is_hidden() { POLL_HIDDEN_EVERY } else { POLL_EVERY };
            self.poll_at = Some(later(around.now(), every));
        }
    }

    /// The tab was hidden or shown. Where it listens to events, it polls while it is hidden.
    pub(super) fn change_visibility(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        if !around.is_hidden() {
            self.retry_now(around, out);
            self.tick(around, out);
        }
        if self.open_transport() == Some(Transport::Events) {
            self.reopen(around, out);
        }
        self.request(around, out);
    }
}

/// What a hidden tab still wants.
fn is_title(topic: Topic) -> bool {
    matches!(topic, Topic::Batch(_) | Topic::Progress(_) | Topic::Batches)
}
