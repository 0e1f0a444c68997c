//! When to connect, when to give up, when to try another way, and what the chip shows of it.
//!
//! Owns the state machine. Called by the tab's timer, by the lines when they open or break, and by the button "now".
//! Invariant: whatever happens, another try follows by itself, but where the server has said that none may. Deliberately
//! reads no frame.

use leptos::prelude::window;

use super::events::Events;
use super::websocket::Wire;
use super::{Line, Phase, Tab, VISIBLE_HZ, now_ms, poll, reload, subscribe, timestamp, with_tab};
use crate::app::live::subscriptions::ConnectionState;
use crate::client::transport_choice::Way;
use crate::protocol::CloseCode;

/// A try that has brought no welcome by then has failed.
const CONNECT_MS_MAX: f64 = 10_000.0;
/// The same, while another way works.
const CLIMB_MS_MAX: f64 = 3_000.0;
/// Silence in units of the ping interval after which the peer is taken for dead.
const SILENCE_PINGS_MAX: f64 = 2.5;
/// A ping so late makes the connection slow.
const SLOW_MS: f64 = 2_000.0;
/// A connection that held so long was a good one: the next delay starts small again.
const STABLE_MS: f64 = 30_000.0;

/// Tries now, if it waits.
pub(in crate::app::live) fn retry_now() {
    let waits = with_tab(|tab| matches!(tab.phase, Phase::Waiting(_)));
    if waits == Some(true) {
        connect();
    }
}

pub fn connect() {
    enum Opened {
        Nothing,
        Stream,
        Poll,
        Page,
    }
    let opened = with_tab(|tab| {
        tab.attempt += 1;
        tab.retired = None;
        tab.line = None;
        tab.asked.clear();
        tab.hz = VISIBLE_HZ;
        tab.channels = crate::protocol::binary::Channels::default();
        tab.poll_at = None;
        tab.phase = Phase::Connecting(now_ms());
        tab.line = tab.open();
        match &tab.line {
            None => Opened::Nothing,
            Some(Line::Socket(_) | Line::Events(_)) => Opened::Stream,
            Some(Line::Poll) => Opened::Poll,
            Some(Line::Page) => Opened::Page,
        }
    });
    match opened {
        Some(Opened::Nothing) => lost(None),
        Some(Opened::Poll) => poll::poll(),
        Some(Opened::Page) => {
            with_tab(|tab| tab.phase = Phase::Waiting(now_ms() + reload::PAGE_MS));
        }
        Some(Opened::Stream) | None => {}
    }
    look();
}

impl Tab {
    /// Begins a line of the present way; none where the browser does not even try.
    pub fn open(&mut self) -> Option<Line> {
        match self.ways.now() {
            Way::Socket => Wire::open(self.attempt).map(Line::Socket),
            // Streams are few: a browser holds six connections to a server, for all of its tabs.
            Way::Events if self.hidden => Some(Line::Poll),
            Way::Events => {
                let (query, topics) = self.wanted_query();
                self.asked = topics;
                Events::open(&query, self.attempt).map(Line::Events)
            }
            Way::Poll => Some(Line::Poll),
            Way::Page => Some(Line::Page),
        }
    }
}

/// The line has brought its first frame.
pub fn opened(ping_ms: f64) {
    let client = with_tab(|tab| {
        if tab.phase != Phase::Open {
            tab.opened_at = now_ms();
        }
        tab.phase = Phase::Open;
        tab.was_open = true;
        tab.ways.opened();
        tab.climb_at = tab.ways.climb_ms().map(|ms| now_ms() + ms);
        tab.ping_ms = ping_ms.max(1_000.0);
        if tab.ways.now() == Way::Socket {
            reload::forget_way();
        }
        tab.client.clone()
    });
    if let Some(client) = client {
        client.set_away(None);
    }
    subscribe::ask();
    show();
}

/// The socket was closed with a code.
pub fn closed(code: u16, reason: &str) {
    if code == CloseCode::NotSignedIn.number() {
        stopped(ConnectionState::SignedOut);
    } else if code == CloseCode::NotAllowed.number() {
        stopped(ConnectionState::NotAllowed);
    } else {
        let hint = if code == CloseCode::GoingAway.number() { reason.parse().ok() } else { None };
        lost(hint);
    }
}

/// The server has said that no try will do.
pub fn stopped(state: ConnectionState) {
    let client = with_tab(|tab| {
        tab.phase = Phase::Stopped;
        tab.retired = tab.line.take();
        tab.client.clone()
    });
    if let Some(client) = client {
        client.set_state(state);
        client.set_away(Some(timestamp()));
    }
}

/// Contact was lost, or a try has failed: waits, then tries again.
pub fn lost(hint_ms: Option<u32>) {
    let told = with_tab(|tab| {
        let now = now_ms();
        let climbing = tab.ways.is_climbing();
        let asks = match tab.phase {
            Phase::Connecting(_) => tab.ways.failed(),
            Phase::Open => {
                if now - tab.opened_at >= STABLE_MS {
                    tab.backoff.reset();
                }
                false
            }
            Phase::Waiting(_) | Phase::Stopped => false,
        };
        // The way before works: there is nothing to wait for.
        let delay = if climbing { 0 } else { tab.backoff.next_ms(js_sys::Math::random(), hint_ms) };
        tab.phase = Phase::Waiting(now + f64::from(delay));
        tab.retired = tab.line.take();
        tab.asked.clear();
        (tab.client.clone(), climbing, asks.then_some(tab.attempt))
    });
    let Some((client, climbing, asks)) = told else { return };
    if !climbing && client.since_away().is_none() {
        client.set_away(Some(timestamp()));
    }
    if let Some(attempt) = asks {
        poll::ask_whether_the_server_answers(attempt);
    }
    // Not at once, however short the delay: this may run inside the closure of the line that `connect` drops.
    show();
}

/// The server answers by HTTP, although the try `attempt` did not open.
pub fn server_answers(attempt: u64) {
    with_tab(|tab| {
        if tab.attempt == attempt && matches!(tab.phase, Phase::Waiting(_)) {
            tab.ways.server_answers();
            // The delays are for a server that is away, and this one is not.
            tab.backoff.reset();
            tab.phase = Phase::Waiting(now_ms());
        }
    });
    look();
}

/// What is due by time, and what the chip shows.
pub fn look() {
    enum Due {
        Nothing,
        Connect,
        Lost,
        Climb,
        Poll,
        Page,
    }
    let due = with_tab(|tab| {
        let now = now_ms();
        let patience = if tab.ways.is_climbing() { CLIMB_MS_MAX } else { CONNECT_MS_MAX };
        match tab.phase {
            Phase::Waiting(until) if now >= until => {
                if matches!(tab.line, Some(Line::Page)) {
                    Due::Page
                } else {
                    Due::Connect
                }
            }
            Phase::Connecting(since) if now - since > patience => Due::Lost,
            Phase::Open if now - tab.frame_at > SILENCE_PINGS_MAX * tab.ping_ms => Due::Lost,
            Phase::Open if !tab.hidden && tab.climb_at.is_some_and(|at| now >= at) => Due::Climb,
            Phase::Open if tab.poll_at.is_some_and(|at| now >= at) => Due::Poll,
            Phase::Waiting(_) | Phase::Connecting(_) | Phase::Open | Phase::Stopped => Due::Nothing,
        }
    });
    match due {
        Some(Due::Connect) => connect(),
        Some(Due::Lost) => lost(None),
        Some(Due::Climb) => {
            with_tab(|tab| tab.ways.climb());
            connect();
        }
        Some(Due::Poll) => poll::poll(),
        Some(Due::Page) => reload::page(),
        Some(Due::Nothing) => show(),
        None => {}
    }
}

fn whole(ms: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and casts from float saturate"
    )]
    let whole = ms.max(0.0) as u32;
    whole
}

/// Tells the chip how it stands.
fn show() {
    let told = with_tab(|tab| {
        tab.mark();
        (tab.client.clone(), tab.state(now_ms()))
    });
    if let Some((client, Some(state))) = told {
        client.set_state(state);
    }
}

impl Tab {
    fn state(&self, now: f64) -> Option<ConnectionState> {
        let online = window().navigator().on_line();
        let climbing = self.ways.is_climbing();
        Some(match self.phase {
            Phase::Stopped => return None,
            // While the socket is only looked at, what is shown is as old as it is.
            Phase::Connecting(_) | Phase::Waiting(_) if climbing && self.was_open => self.age(now),
            Phase::Open => self.age(now),
            Phase::Connecting(_) | Phase::Waiting(_) if !online => {
                let since = self.client.since_away().unwrap_or_else(timestamp);
                ConnectionState::Offline { since }
            }
            Phase::Connecting(_) if !self.was_open => ConnectionState::Connecting,
            Phase::Connecting(_) => ConnectionState::Reconnecting { seconds: 0 },
            Phase::Waiting(until) => {
                ConnectionState::Reconnecting { seconds: whole(((until - now) / 1_000.0).ceil()) }
            }
        })
    }

    fn age(&self, now: f64) -> ConnectionState {
        let age = now - self.frame_at;
        // In steps: a chip that changes ten times a second is noise.
        let age_ms = if age < 1_000.0 { whole(age / 100.0) * 100 } else { whole(age / 1_000.0) * 1_000 };
        if age > self.ping_ms + SLOW_MS {
            ConnectionState::Slow { age_ms }
        } else {
            ConnectionState::Live { age_ms }
        }
    }
}
