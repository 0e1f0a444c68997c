//! When to connect, when to give up, and when to try another transport.

use std::time::Duration;

use super::{ConnectionPhase, LiveConnection, LiveEffect, LiveEnvironment, RefusalReason, elapsed, later};
use crate::client::reconnect::reconnect_delay;
use crate::client::transport_choice::Transport;
use crate::protocol::{CloseCode, Timestamp};

/// An attempt that has brought no welcome by then has failed.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The same while another transport works.
const CLIMB_CONNECT_MAX: Duration = Duration::from_secs(3);
/// Shortest interval of pings that is believed.
const PING_MIN: Duration = Duration::from_secs(1);
/// Silence, in intervals of pings, after which the server is taken for dead.
const SILENCE_PINGS_MAX: f64 = 2.5;
/// A connection that held so long was a good one: the next delay starts small again.
const STABLE: Duration = Duration::from_secs(30);
/// Between two reloads of the page, where nothing else gets through.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

impl LiveConnection {
    /// Begins the next attempt.
    pub(super) fn connect(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        self.attempt += 1;
        self.close(out);
        self.poll_at = None;
        self.phase = ConnectionPhase::Connecting(around.now());
        self.open(around, out);
        match self.line {
            Some(Transport::Poll) => self.poll(around, out),
            Some(Transport::Page) => self.phase = ConnectionPhase::Waiting(later(around.now(), RELOAD_EVERY)),
            Some(Transport::Socket | Transport::Events) | None => {}
        }
        self.report(around, out);
    }

    /// Opens a line of the chosen transport.
    pub(super) fn open(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        let attempt = self.attempt;
        self.line = Some(match self.choice.now() {
            Transport::Socket => {
                out.push(LiveEffect::OpenSocket { attempt });
                Transport::Socket
            }
            // Streams are few: a browser holds six connections to a server, for all of its tabs.
            Transport::Events if around.is_hidden() => Transport::Poll,
            Transport::Events => {
                let query = self.query(around);
                out.push(LiveEffect::OpenEvents { attempt, query });
                Transport::Events
            }
            lesser @ (Transport::Poll | Transport::Page) => lesser,
        });
    }

    /// Lets go of what is open. The server forgets with it what was subscribed.
    pub(super) fn close(&mut self, out: &mut Vec<LiveEffect>) {
        if self.line.take().is_some() {
            out.push(LiveEffect::Close);
        }
        self.is_socket_open = false;
        self.asked_at = None;
        self.subscriptions.reset();
    }

    pub(super) fn retry_now(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        if matches!(self.phase, ConnectionPhase::Waiting(_)) {
            self.connect(around, out);
        }
    }

    /// The welcome has come.
    pub(super) fn opened(&mut self, ping: Duration, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        let now = around.now();
        if self.phase != ConnectionPhase::Open {
            self.opened_at = now;
        }
        self.phase = ConnectionPhase::Open;
        self.was_open = true;
        self.choice.opened();
        self.climb_at = self.choice.climb_after().map(|after| later(now, after));
        self.ping = ping.max(PING_MIN);
        if self.choice.now() == Transport::Socket {
            out.push(LiveEffect::ForgetTransport);
        }
        self.set_away(None, out);
        self.request(around, out);
        self.report(around, out);
    }

    /// The socket was closed with a code, which says whether another try is welcome.
    pub(super) fn closed(
        &mut self,
        code: u16,
        reason: &str,
        around: &dyn LiveEnvironment,
        out: &mut Vec<LiveEffect>,
    ) {
        if code == CloseCode::NotSignedIn.number() {
            self.stop(RefusalReason::SignedOut, around, out);
        } else if code == CloseCode::NotAllowed.number() {
            self.stop(RefusalReason::NotAllowed, around, out);
        } else {
            let hint = if code == CloseCode::GoingAway.number() { reason.parse().ok() } else { None };
            self.lost(hint, around, out);
        }
    }

    /// No try will do.
    pub(super) fn stop(
        &mut self,
        reason: RefusalReason,
        around: &dyn LiveEnvironment,
        out: &mut Vec<LiveEffect>,
    ) {
        self.phase = ConnectionPhase::Stopped;
        self.close(out);
        out.push(LiveEffect::ShowState(reason.into()));
        self.set_away(Some(around.now()), out);
    }

    /// Contact was lost, or an attempt has failed: waits, then tries again.
    pub(super) fn lost(
        &mut self,
        hint_ms: Option<u32>,
        around: &dyn LiveEnvironment,
        out: &mut Vec<LiveEffect>,
    ) {
        let now = around.now();
        let is_climbing = self.choice.is_climbing();
        let probes = match self.phase {
            ConnectionPhase::Connecting(_) => self.choice.failed(),
            ConnectionPhase::Open => {
                if elapsed(self.opened_at, now) >= STABLE {
                    self.backoff.reset();
                }
                false
            }
            ConnectionPhase::Waiting(_) | ConnectionPhase::Stopped => false,
        };
        // While it climbs, the transport before works: there is nothing to wait for.
        let delay = if is_climbing {
            Duration::ZERO
        } else {
            reconnect_delay(&mut self.backoff, around.random(), hint_ms)
        };
        self.phase = ConnectionPhase::Waiting(later(now, delay));
        self.close(out);
        if !is_climbing && self.away.is_none() {
            self.set_away(Some(now), out);
        }
        if probes {
            out.push(LiveEffect::ProbeServer { attempt: self.attempt });
        }
        // The next tick tries again, however short the delay.
        self.report(around, out);
    }

    /// The server answers by HTTP, although `attempt` did not open.
    pub(super) fn server_answers(
        &mut self,
        attempt: u64,
        around: &dyn LiveEnvironment,
        out: &mut Vec<LiveEffect>,
    ) {
        if self.attempt == attempt && matches!(self.phase, ConnectionPhase::Waiting(_)) {
            self.choice.server_answers();
            // The delays are for a server that is away, and this one is not.
            self.backoff.reset();
            self.connect(around, out);
        }
    }

    /// What is due by time.
    pub(super) fn tick(&mut self, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        let now = around.now();
        let connect_max = if self.choice.is_climbing() { CLIMB_CONNECT_MAX } else { CONNECT_MAX };
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
        match self.phase {
            ConnectionPhase::Waiting(until) if now >= until => {
                if self.line == Some(Transport::Page) {
                    self.phase = ConnectionPhase::Waiting(later(now, RELOAD_EVERY));
                    if around.is_unfinished() {
                        out.push(LiveEffect::ReloadPage);
                    }
                } else {
                    self.connect(around, out);
                }
            }
            ConnectionPhase::Connecting(since) if elapsed(since, now) > connect_max => {
                self.lost(None, around, out);
            }
            ConnectionPhase::Open
                if elapsed(self.frame_at, now) > self.ping.mul_f64(SILENCE_PINGS_MAX)
                    || self.is_answer_lost(now) =>
            {
                self.lost(None, around, out);
            }
            ConnectionPhase::Open if is_due(self.climb_at) && !around.is_hidden() => {
                self.choice.climb();
                self.connect(around, out);
            }
            ConnectionPhase::Open if is_due(self.poll_at) => self.poll(around, out),
            ConnectionPhase::Waiting(_)
            | ConnectionPhase::Connecting(_)
            | ConnectionPhase::Open
            | ConnectionPhase::Stopped => {
                self.break_silence(around, out);
                self.report(around, out);
            }
        }
    }

    fn set_away(&mut self, away: Option<Timestamp>, out: &mut Vec<LiveEffect>) {
        self.away = away;
        out.push(LiveEffect::ShowAway(away));
    }
}
