//! The live side of this tab: connects, tries again, watches for silence, and hands frames on.
//!
//! ```text
//! course  when to connect, give up, try another way     wire    the WebSocket
//! hear    frames in, handed on once a frame             events  Server-Sent Events
//! ask     topics out                                    poll    asking again and again
//! renew   reading the page itself anew
//! ```
//! Owns the one line of this tab and its timers, in a thread-local: a tab is one thread. Called by the connection.
//! Invariant: one state machine; every callback carries the number of its try, and those of an earlier try do nothing.
//! Deliberately merges nothing.

mod connection_state;
mod events;
mod poll;
mod receive;
mod reload;
mod subscribe;
mod websocket;

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use leptos::prelude::{document, set_interval, window};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, VisibilityState};

use self::events::Events;
use self::websocket::Wire;
use super::subscriptions::LiveClient;
use crate::client::backoff::Backoff;
use crate::client::fold::Delta;
use crate::client::transport_choice::Ways;
use crate::protocol::binary::Channels;
use crate::protocol::{Codec, Timestamp, Topic};

pub(super) use self::connection_state::retry_now;
pub(super) use self::reload::reload;
pub(super) use self::subscribe::wanted_changed;

/// How often state and silence are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Interval of pings until the server says its own.
const PING_MS_DEFAULT: f64 = 20_000.0;
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

/// What frames come by.
enum Line {
    Socket(Wire),
    #[expect(dead_code, reason = "held to be closed when it is dropped")]
    Events(Events),
    Poll,
    Page,
}

struct Tab {
    client: LiveClient,
    phase: Phase,
    ways: Ways,
    line: Option<Line>,
    /// The line before: its closures may be the ones that run now.
    retired: Option<Line>,
    /// Number of the try.
    attempt: u64,
    backoff: Backoff,
    opened_at: f64,
    /// When to look whether the socket opens by now.
    climb_at: Option<f64>,
    ping_ms: f64,
    frame_at: f64,
    /// What the channels of this line are, and how it speaks.
    channels: Channels,
    codec: Codec,
    /// Topics that the server was asked for on this line.
    asked: HashSet<Topic>,
    /// Pace that the server was told on this line.
    hz: f64,
    /// When the next poll is due; none while one is under way.
    poll_at: Option<f64>,
    /// Bounded by [`self::receive::WAITING_MAX`].
    waiting: Vec<(Topic, Delta)>,
    frame_asked: bool,
    ask_planned: bool,
    asked_at: f64,
    hidden: bool,
    was_open: bool,
    /// What the document says of this tab.
    marked: String,
}

/// Runs `act` on the tab, if it was started. Never called from within itself: signals and listeners are told outside.
fn with_tab<T>(act: impl FnOnce(&mut Tab) -> T) -> Option<T> {
    TAB.with(|tab| tab.try_borrow_mut().ok()?.as_mut().map(act))
}

/// True while `attempt` is the present try.
fn is_now(attempt: u64) -> bool {
    with_tab(|tab| tab.attempt == attempt && tab.line.is_some()) == Some(true)
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
    document().visibility_state() == VisibilityState::Hidden
}

/// Opens the connection; a second call does nothing.
pub(super) fn start(client: &LiveClient) {
    let fresh = TAB.with(|tab| {
        let mut tab = tab.borrow_mut();
        if tab.is_some() {
            return false;
        }
        *tab = Some(Tab::new(client.clone()));
        true
    });
    if fresh {
        listen();
        set_interval(self::connection_state::look, LOOK_EVERY);
        self::connection_state::connect();
    }
}

impl Tab {
    fn new(client: LiveClient) -> Self {
        Self {
            client,
            phase: Phase::Waiting(0.0),
            ways: Ways::once_more_from(self::reload::way_before()),
            line: None,
            retired: None,
            attempt: 0,
            backoff: Backoff::default(),
            opened_at: 0.0,
            climb_at: None,
            ping_ms: PING_MS_DEFAULT,
            frame_at: now_ms(),
            channels: Channels::default(),
            codec: Codec::Json,
            asked: HashSet::new(),
            hz: VISIBLE_HZ,
            poll_at: None,
            waiting: Vec::new(),
            frame_asked: false,
            ask_planned: false,
            asked_at: 0.0,
            hidden: is_hidden(),
            was_open: false,
            marked: String::new(),
        }
    }

    /// Says in the document how this tab stands: for tests, and for people who look into the page.
    fn mark(&mut self) {
        let open = self.phase == Phase::Open;
        let mark = format!(
            "{} {} {}",
            if open { self.ways.now().name() } else { "none" },
            self.asked.len(),
            self.client.desk().count()
        );
        if mark != self.marked
            && let Some(root) = document().document_element()
        {
            root.set_attribute("data-live", &mark).unwrap_or_default();
            self.marked = mark;
        }
    }
}

/// The browser's own news. These listeners live as long as the tab.
fn listen() {
    let (window, document) = (window(), document());
    let back = Closure::<dyn FnMut(Event)>::new(|_| retry_now());
    let offline = Closure::<dyn FnMut(Event)>::new(|_| self::connection_state::look());
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

fn visibility_changed() {
    let hidden = is_hidden();
    with_tab(|tab| tab.hidden = hidden);
    if hidden {
        self::receive::hand_on();
    } else {
        retry_now();
        self::connection_state::look();
    }
    self::subscribe::visibility_changed();
}
