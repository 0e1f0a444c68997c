//! The socket of this tab: connects, tries again, watches for silence, and hands frames on.
//!
//! Owns the one WebSocket and its timers, in a thread-local: a tab is one thread. Called by the connection. Invariant:
//! one state machine; every callback carries the number of its try, and those of an earlier try do nothing. Frames
//! are handed on once per animation frame (at once in a hidden tab, which has none). Deliberately merges nothing.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use leptos::prelude::{request_animation_frame, set_interval, set_timeout};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{CloseEvent, Event, MessageEvent, VisibilityState, WebSocket};

use super::backoff::Backoff;
use super::connection::{ConnectionState, LiveClient};
use super::merge::Delta;
use crate::protocol::frame::SUBPROTOCOL_JSON;
use crate::protocol::{ClientFrame, CloseCode, Rev, ServerFrame, Timestamp, Topic};

/// How often state and silence are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A try that has brought no welcome by then has failed.
const CONNECT_MS_MAX: f64 = 10_000.0;
/// Interval of pings until the server says its own.
const PING_MS_DEFAULT: f64 = 20_000.0;
/// Silence in units of the ping interval after which the peer is taken for dead.
const SILENCE_PINGS_MAX: f64 = 2.5;
/// A ping so late makes the connection slow.
const SLOW_MS: f64 = 2_000.0;
/// Frames that may wait for an animation frame; one more and they are handed on at once.
const WAITING_MAX: usize = 256;
/// Time between two rounds of subscribes: a scrolled window asks often, and the server counts.
const ASK_MS_MIN: f64 = 60.0;
/// Updates a second of a hidden tab while something it shows is unfinished.
const HIDDEN_HZ: f64 = 0.2;
/// Updates a second of a visible tab: as many as the server gives.
const VISIBLE_HZ: f64 = 60.0;

thread_local! {
    static TAB: RefCell<Option<Tab>> = const { RefCell::new(None) };
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Under way since.
    Connecting(f64),
    /// Welcomed.
    Open,
    /// Until when.
    Waiting(f64),
    /// For good: not signed in, or not allowed.
    Stopped,
}

struct Tab {
    client: LiveClient,
    phase: Phase,
    wire: Option<Wire>,
    /// The wire before: its closures may be the ones that run now.
    retired: Option<Wire>,
    /// Number of the try.
    attempt: u64,
    backoff: Backoff,
    ping_ms: f64,
    frame_at: f64,
    /// Topics that the server was asked for on this wire.
    asked: HashSet<Topic>,
    /// Pace that the server was told on this wire.
    hz: f64,
    /// Bounded by [`WAITING_MAX`].
    waiting: Vec<(Topic, Delta)>,
    frame_asked: bool,
    ask_planned: bool,
    asked_at: f64,
    hidden: bool,
    was_open: bool,
}

struct Wire {
    socket: WebSocket,
    _open: Closure<dyn FnMut(Event)>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closed already, or about to be: either way there is nothing to do about it.
        let _closed = self.socket.close();
    }
}

/// Runs `act` on the tab, if it was started. Never called from within itself: signals and listeners are told outside.
fn with_tab<T>(act: impl FnOnce(&mut Tab) -> T) -> Option<T> {
    TAB.with(|tab| tab.try_borrow_mut().ok()?.as_mut().map(act))
}

fn now_ms() -> f64 {
    js_sys::Date::now()
}

fn timestamp() -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds since 1970 are whole and far below 2^53"
    )]
    Timestamp(now_ms() as i64)
}

fn is_hidden() -> bool {
    leptos::prelude::document().visibility_state() == VisibilityState::Hidden
}

/// Opens the connection; a second call does nothing.
pub(super) fn start(client: &LiveClient) {
    let fresh = TAB.with(|tab| {
        let mut tab = tab.borrow_mut();
        if tab.is_some() {
            return false;
        }
        *tab = Some(Tab {
            client: client.clone(),
            phase: Phase::Waiting(0.0),
            wire: None,
            retired: None,
            attempt: 0,
            backoff: Backoff::default(),
            ping_ms: PING_MS_DEFAULT,
            frame_at: now_ms(),
            asked: HashSet::new(),
            hz: VISIBLE_HZ,
            waiting: Vec::new(),
            frame_asked: false,
            ask_planned: false,
            asked_at: 0.0,
            hidden: is_hidden(),
            was_open: false,
        });
        true
    });
    if fresh {
        listen();
        set_interval(look, LOOK_EVERY);
        connect();
    }
}

/// The browser's own news. These listeners live as long as the tab.
fn listen() {
    let window = leptos::prelude::window();
    let document = leptos::prelude::document();
    let back = Closure::<dyn FnMut(Event)>::new(|_| retry_now());
    let offline = Closure::<dyn FnMut(Event)>::new(|_| look());
    let visible = Closure::<dyn FnMut(Event)>::new(|_| visibility_changed());
    let added = [
        window.add_event_listener_with_callback("online", back.as_ref().unchecked_ref()),
        window.add_event_listener_with_callback("offline", offline.as_ref().unchecked_ref()),
        document.add_event_listener_with_callback("visibilitychange", visible.as_ref().unchecked_ref()),
    ];
    if added.iter().any(Result::is_err) {
        leptos::logging::warn!("the browser does not tell when it is online or visible");
    }
    back.forget();
    offline.forget();
    visible.forget();
}

/// Tries now, if it waits.
pub(super) fn retry_now() {
    let waits = with_tab(|tab| matches!(tab.phase, Phase::Waiting(_)));
    if waits == Some(true) {
        connect();
    }
}

/// Tells the server what is wanted, once for all that changes now.
pub(super) fn wanted_changed() {
    let plan = with_tab(|tab| {
        let planned = std::mem::replace(&mut tab.ask_planned, true);
        (!planned).then(|| (tab.asked_at + ASK_MS_MIN - now_ms()).clamp(0.0, ASK_MS_MIN))
    });
    if let Some(Some(ms)) = plan {
        set_timeout(ask, Duration::from_secs_f64(ms / 1_000.0));
    }
}

fn visibility_changed() {
    let hidden = is_hidden();
    with_tab(|tab| tab.hidden = hidden);
    if hidden {
        hand_on();
    } else {
        retry_now();
        look();
    }
    ask();
}

fn url() -> Option<String> {
    let location = leptos::prelude::window().location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    Some(format!("{scheme}://{}/live", location.host().ok()?))
}

fn connect() {
    let started = with_tab(|tab| {
        tab.attempt += 1;
        tab.retired = None;
        tab.wire = None;
        tab.asked.clear();
        tab.hz = VISIBLE_HZ;
        tab.phase = Phase::Connecting(now_ms());
        tab.wire = url().and_then(|url| Wire::open(&url, tab.attempt));
        tab.wire.is_some()
    });
    if started == Some(false) {
        lost(None);
    }
    look();
}

impl Wire {
    fn open(url: &str, attempt: u64) -> Option<Self> {
        let socket = WebSocket::new_with_str(url, SUBPROTOCOL_JSON).ok()?;
        let of_now = move || with_tab(|tab| tab.attempt == attempt && tab.wire.is_some()) == Some(true);
        let open = Closure::<dyn FnMut(Event)>::new(move |_| {
            if of_now() {
                ask();
            }
        });
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if of_now()
                && let Some(text) = event.data().as_string()
            {
                hear(&text);
            }
        });
        // `error` says no more than the `close` that always follows it: counting both would try twice.
        let close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            if of_now() {
                closed(event.code(), &event.reason());
            }
        });
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        Some(Self { socket, _open: open, _message: message, _close: close })
    }

    fn say(&self, frame: &ClientFrame) {
        if self.socket.ready_state() == WebSocket::OPEN
            && let Ok(text) = serde_json::to_string(frame)
            && self.socket.send_with_str(&text).is_err()
        {
            leptos::logging::warn!("a live frame could not be sent");
        }
    }
}

fn closed(code: u16, reason: &str) {
    let stopped = if code == CloseCode::NotSignedIn.number() {
        Some(ConnectionState::SignedOut)
    } else if code == CloseCode::NotAllowed.number() {
        Some(ConnectionState::NotAllowed)
    } else {
        None
    };
    let hint = if code == CloseCode::GoingAway.number() { reason.parse().ok() } else { None };
    match stopped {
        None => lost(hint),
        Some(state) => {
            let client = with_tab(|tab| {
                tab.phase = Phase::Stopped;
                tab.retired = tab.wire.take();
                tab.client.clone()
            });
            if let Some(client) = client {
                client.set_state(state);
                client.set_away(Some(timestamp()));
            }
        }
    }
}

/// Contact was lost, or a try has failed: waits, then tries again.
fn lost(hint_ms: Option<u32>) {
    let client = with_tab(|tab| {
        let delay = tab.backoff.next_ms(js_sys::Math::random(), hint_ms);
        tab.phase = Phase::Waiting(now_ms() + f64::from(delay));
        tab.retired = tab.wire.take();
        tab.client.clone()
    });
    if let Some(client) = client
        && client.since_away().is_none()
    {
        client.set_away(Some(timestamp()));
    }
    // Not at once, however short the delay: this may run inside the closure of the wire that `connect` drops.
    show();
}

/// What is due by time, and what the chip shows.
fn look() {
    enum Due {
        Nothing,
        Connect,
        Lost,
    }
    let due = with_tab(|tab| {
        let now = now_ms();
        match tab.phase {
            Phase::Waiting(until) if now >= until => Due::Connect,
            Phase::Connecting(since) if now - since > CONNECT_MS_MAX => Due::Lost,
            Phase::Open if now - tab.frame_at > SILENCE_PINGS_MAX * tab.ping_ms => Due::Lost,
            Phase::Waiting(_) | Phase::Connecting(_) | Phase::Open | Phase::Stopped => Due::Nothing,
        }
    });
    match due {
        Some(Due::Connect) => connect(),
        Some(Due::Lost) => lost(None),
        Some(Due::Nothing) => show(),
        None => {}
    }
}

fn show() {
    let Some((client, phase, was_open, frame_at, ping_ms)) =
        with_tab(|tab| (tab.client.clone(), tab.phase, tab.was_open, tab.frame_at, tab.ping_ms))
    else {
        return;
    };
    let now = now_ms();
    let whole = |ms: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, which is wanted"
        )]
        let whole = ms.max(0.0) as u32;
        whole
    };
    let online = leptos::prelude::window().navigator().on_line();
    let state = match phase {
        Phase::Stopped => return,
        Phase::Open => {
            let age = now - frame_at;
            // In steps: a chip that changes ten times a second is noise.
            let age_ms = if age < 1_000.0 { whole(age / 100.0) * 100 } else { whole(age / 1_000.0) * 1_000 };
            if age > ping_ms + SLOW_MS {
                ConnectionState::Slow { age_ms }
            } else {
                ConnectionState::Live { age_ms }
            }
        }
        Phase::Connecting(_) | Phase::Waiting(_) if !online => {
            let since = client.since_away().unwrap_or_else(timestamp);
            ConnectionState::Offline { since }
        }
        Phase::Connecting(_) if !was_open => ConnectionState::Connecting,
        Phase::Connecting(_) => ConnectionState::Reconnecting { seconds: 0 },
        Phase::Waiting(until) => {
            ConnectionState::Reconnecting { seconds: whole(((until - now) / 1_000.0).ceil()) }
        }
    };
    client.set_state(state);
}

fn hear(text: &str) {
    let Ok(frame) = ServerFrame::from_json(text) else {
        leptos::logging::warn!("a live frame could not be read; the page may be older than the server");
        return;
    };
    with_tab(|tab| tab.frame_at = now_ms());
    match frame {
        #[expect(clippy::cast_precision_loss, reason = "an interval in milliseconds")]
        ServerFrame::Welcome { ping_ms, .. } => {
            let client = with_tab(|tab| {
                tab.phase = Phase::Open;
                tab.was_open = true;
                tab.backoff.reset();
                tab.ping_ms = (ping_ms as f64).max(1_000.0);
                tab.client.clone()
            });
            if let Some(client) = client {
                client.set_away(None);
            }
            ask();
            show();
        }
        ServerFrame::Ping => {
            with_tab(|tab| tab.say(&ClientFrame::Pong {}));
        }
        ServerFrame::Snapshot { topic, rev, rows } => keep(topic, Delta::Snapshot { rev, rows }),
        ServerFrame::Update { topic, rev, rows, gone } => keep(topic, Delta::Update { rev, rows, gone }),
        ServerFrame::Error { topic, code, .. } => {
            let Ok(topic) = topic.parse::<Topic>() else { return };
            let listeners = with_tab(|tab| tab.client.desk().listeners(topic)).unwrap_or_default();
            for listener in listeners {
                listener.refuse(code);
            }
        }
    }
}

/// Keeps a frame for the next animation frame.
fn keep(topic: Topic, delta: Delta) {
    let (now, plan) = with_tab(|tab| {
        tab.waiting.push((topic, delta));
        let now = tab.hidden || tab.waiting.len() > WAITING_MAX;
        (now, !now && !std::mem::replace(&mut tab.frame_asked, true))
    })
    .unwrap_or_default();
    if now {
        hand_on();
        ask();
    } else if plan {
        request_animation_frame(hand_on);
    }
}

/// Hands frames on to who listens.
fn hand_on() {
    let work = with_tab(|tab| {
        tab.frame_asked = false;
        let waiting = std::mem::take(&mut tab.waiting);
        let desk = tab.client.desk();
        waiting.into_iter().map(|(topic, delta)| (desk.listeners(topic), delta)).collect::<Vec<_>>()
    });
    for (mut listeners, delta) in work.unwrap_or_default() {
        let last = listeners.pop();
        for listener in listeners {
            listener.take(delta.clone());
        }
        if let Some(listener) = last {
            listener.take(delta);
        }
    }
}

/// Tells the server what changed in what is wanted, and how fast.
fn ask() {
    with_tab(Tab::ask);
}

impl Tab {
    fn say(&self, frame: &ClientFrame) {
        if let Some(wire) = &self.wire {
            wire.say(frame);
        }
    }

    fn ask(&mut self) {
        self.ask_planned = false;
        self.asked_at = now_ms();
        let open = self.wire.as_ref().is_some_and(|wire| wire.socket.ready_state() == WebSocket::OPEN);
        if !open {
            return;
        }
        let (wanted, refresh, unfinished) = {
            let mut desk = self.client.desk();
            (desk.wanted(), desk.take_refresh(), desk.unfinished())
        };
        let hz = match (self.hidden, unfinished) {
            (false, _) => VISIBLE_HZ,
            (true, true) => HIDDEN_HZ,
            (true, false) => 0.0,
        };
        #[expect(clippy::float_cmp, reason = "one of three constants")]
        if self.hz != hz {
            self.hz = hz;
            self.say(&ClientFrame::Pace { hz });
        }
        let wanted: Vec<(Topic, Option<Rev>)> =
            wanted.into_iter().filter(|(topic, _)| !self.hidden || !is_detail(*topic)).collect();
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
    }
}

/// What a hidden tab does without.
fn is_detail(topic: Topic) -> bool {
    matches!(topic, Topic::Items { .. } | Topic::Item { .. })
}
