//! A line on which nothing comes: nothing to tell, or no contact?
//!
//! Pings come rarely. While something on the page goes on, a visible tab does not wait for them: it asks for one row again, and the
//! answer, whatever it says, is proof of contact.

use std::time::Duration;

use super::{ConnectionPhase, LiveConnection, LiveEffect, LiveEnvironment, elapsed};
use crate::client::transport_choice::Transport;
use crate::protocol::{Timestamp, Topic};

/// Silence after which it asks.
const ASK_AFTER: Duration = Duration::from_secs(5);
/// An answer that is not there by then makes the connection slow.
const ANSWER_SLOW: Duration = Duration::from_secs(3);
/// An answer that is not there by then does not come: contact is lost.
const ANSWER_MAX: Duration = Duration::from_secs(12);

impl LiveConnection {
    /// Asks for a row where the line is silent and something goes on.
    pub(super) fn break_silence(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        let now = around.now();
        let is_due = self.phase == ConnectionPhase::Open
            && self.line == Some(Transport::Socket)
            && self.asked_at.is_none()
            && elapsed(self.frame_at, now) > ASK_AFTER
            && !around.is_hidden()
            && around.is_unfinished();
        // Of the topics with one row: others may answer with many.
        let topic = is_due.then(|| {
            let wanted = around.wanted_topics();
            wanted.into_keys().find(|topic| matches!(topic, Topic::Batch(_) | Topic::Progress(_)))
        });
        if let Some(topic) = topic.flatten() {
            self.asked_at = Some(now);
            self.subscriptions.mark_stale(topic);
            self.plan_request(around, out);
        }
    }

    /// True where an answer is overdue.
    pub(super) fn is_answer_late(&self, now: Timestamp) -> bool {
        self.asked_at.is_some_and(|at| elapsed(at, now) > ANSWER_SLOW)
    }

    /// True where no answer will come.
    pub(super) fn is_answer_lost(&self, now: Timestamp) -> bool {
        self.asked_at.is_some_and(|at| elapsed(at, now) > ANSWER_MAX)
    }
}
