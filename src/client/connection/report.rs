//! What people are shown of the connection.

use std::time::Duration;

use super::{ConnectionPhase, LiveConnection, LiveEffect, LiveEnvironment, RefusalReason, elapsed};
use crate::protocol::Timestamp;

/// A ping so late makes the connection slow.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// How the connection stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The first attempt is under way.
    Connecting,
    /// Frames come.
    Live {
        /// Since the last frame, in milliseconds: in steps of 100 below a second, of 1,000 above.
        age_ms: u32,
    },
    /// Connected, but a frame is overdue.
    Slow {
        /// Since the last frame, in milliseconds, in the same steps.
        age_ms: u32,
    },
    /// Contact was lost; the next attempt comes by itself.
    Reconnecting {
        /// Seconds until then, rounded up; 0: it is under way.
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

impl From<RefusalReason> for ConnectionState {
    fn from(reason: RefusalReason) -> Self {
        match reason {
            RefusalReason::SignedOut => Self::SignedOut,
            RefusalReason::NotAllowed => Self::NotAllowed,
        }
    }
}

impl LiveConnection {
    /// Shows how it stands now.
    pub(super) fn report(&self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        let now = around.now();
        out.push(LiveEffect::ShowState(match self.phase {
            // Said once and for all when it stopped.
            ConnectionPhase::Stopped => return,
            // While the socket is only looked at, what is shown is as old as it is.
            ConnectionPhase::Connecting(_) | ConnectionPhase::Waiting(_)
                if self.choice.is_climbing() && self.was_open =>
            {
                self.age(now)
            }
            ConnectionPhase::Open => self.age(now),
            ConnectionPhase::Connecting(_) | ConnectionPhase::Waiting(_) if !around.is_online() => {
                ConnectionState::Offline { since: self.away.unwrap_or(now) }
            }
            ConnectionPhase::Connecting(_) if !self.was_open => ConnectionState::Connecting,
            ConnectionPhase::Connecting(_) => ConnectionState::Reconnecting { seconds: 0 },
            ConnectionPhase::Waiting(until) => {
                let seconds = until.ms_since(now).div_ceil(1_000);
                ConnectionState::Reconnecting { seconds: u32::try_from(seconds).unwrap_or(u32::MAX) }
            }
        }));
    }

    fn age(&self, now: Timestamp) -> ConnectionState {
        let age = elapsed(self.frame_at, now);
        let age_ms = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
        // In steps: a figure that changes ten times a second is noise.
        let age_ms = if age_ms < 1_000 { age_ms / 100 * 100 } else { age_ms / 1_000 * 1_000 };
        if age > self.ping + SLOW_AFTER || self.is_answer_late(now) {
            ConnectionState::Slow { age_ms }
        } else {
            ConnectionState::Live { age_ms }
        }
    }
}
