//! The live side of this tab: drives the state machine of [`crate::client::connection`].
//!
//! ```text
//! websocket, http   transports: they raise events
//! delivery          rows in, shown once a frame
//! reload            loading the page itself again
//! ```
//! The driver belongs to the handler of [`crate::app::live::queue`]: nobody else can reach it, and it is never entered twice. What an effect
//! brings about, be it a socket that does not open or a page that listens to another topic, is another event.

mod delivery;
mod http;
mod reload;
mod websocket;

use std::collections::BTreeMap;

use leptos::prelude::{document, request_animation_frame, set_interval, set_timeout, window};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, VisibilityState};

use self::delivery::{Delivery, WAITING_MAX};
use self::http::TabEvents;
use self::reload::PageAge;
use self::websocket::TabSocket;
use crate::app::live::LiveClient;
use crate::app::live::queue::{self, TabEvent, raise_live};
use crate::client::connection::{LiveConnection, LiveEffect, LiveEnvironment, LiveEvent, TICK_EVERY};
use crate::client::fold::Delta;
use crate::protocol::{Rev, Timestamp, Topic};

/// Opens the connection; a second call does nothing.
pub fn start(client: &LiveClient) {
    let mut driver = Driver::new(client.clone());
    if queue::handle_with(move |event| driver.handle(event)) {
        listen();
        set_interval(|| raise_live(LiveEvent::Tick), TICK_EVERY);
        raise_live(LiveEvent::Start);
    }
}

/// Where the live connection of this page is: on the page of a share link below that, which says who asks.
fn live_path() -> String {
    let path = window().location().pathname().unwrap_or_default();
    let shared = path.strip_prefix("/s/").and_then(|rest| rest.split('/').next());
    shared.map_or_else(|| "/live".to_owned(), |secret| format!("/s/{secret}/live"))
}

/// The browser's own events. These listeners live as long as the tab.
fn listen() {
    let (window, document) = (window(), document());
    let raising = |event: LiveEvent| Closure::<dyn FnMut(Event)>::new(move |_| raise_live(event.clone()));
    let online = raising(LiveEvent::RetryNow);
    let offline = raising(LiveEvent::Tick);
    let visibility = raising(LiveEvent::VisibilityChanged);
    let added = [
        window.add_event_listener_with_callback("online", online.as_ref().unchecked_ref()),
        window.add_event_listener_with_callback("offline", offline.as_ref().unchecked_ref()),
        document.add_event_listener_with_callback("visibilitychange", visibility.as_ref().unchecked_ref()),
    ];
    if added.iter().any(Result::is_err) {
        leptos::logging::warn!("the browser does not tell when it is online or visible");
    }
    online.forget();
    offline.forget();
    visibility.forget();
}

/// What frames come by, where that is held open. A poll and the page are not.
enum OpenTransport {
    Socket(TabSocket),
    Events(TabEvents),
}

impl OpenTransport {
    fn close(&self) {
        match self {
            Self::Socket(socket) => socket.close(),
            Self::Events(events) => events.close(),
        }
    }
}

/// The browser as the state machine sees it.
struct Browser<'a>(&'a LiveClient);

impl LiveEnvironment for Browser<'_> {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds since 1970 are whole and far below 2^53"
        )]
        Timestamp(js_sys::Date::now() as i64)
    }

    fn random(&self) -> f64 {
        js_sys::Math::random()
    }

    fn is_online(&self) -> bool {
        window().navigator().on_line()
    }

    fn is_hidden(&self) -> bool {
        document().visibility_state() == VisibilityState::Hidden
    }

    fn wanted_topics(&self) -> BTreeMap<Topic, Option<Rev>> {
        self.0.observers().wanted()
    }

    fn is_unfinished(&self) -> bool {
        self.0.observers().is_unfinished()
    }
}

/// The state machine, and what its effects are done to.
struct Driver {
    client: LiveClient,
    connection: LiveConnection,
    open: Option<OpenTransport>,
    /// Closed ones: a closure of theirs may be the one that runs now, so that they are dropped with the next tick.
    closed: Vec<OpenTransport>,
    delivery: Delivery,
    is_frame_requested: bool,
    /// What the document says of this tab.
    mark: String,
}

impl Driver {
    fn new(client: LiveClient) -> Self {
        let connection = LiveConnection::new(Browser(&client).now(), reload::transport_before());
        Self {
            client,
            connection,
            open: None,
            closed: Vec::new(),
            delivery: Delivery::default(),
            is_frame_requested: false,
            mark: String::new(),
        }
    }

    fn handle(&mut self, event: TabEvent) {
        match event {
            TabEvent::Live(event) => {
                match event {
                    LiveEvent::Tick => self.closed.clear(),
                    // A hidden tab has no animation frames.
                    LiveEvent::VisibilityChanged => self.deliver(),
                    _ => {}
                }
                self.advance(event);
            }
            TabEvent::DeliveryDue => {
                self.is_frame_requested = false;
                self.deliver();
            }
            TabEvent::ReloadWanted => reload::reload(),
        }
        self.update_mark();
    }

    fn advance(&mut self, event: LiveEvent) {
        for effect in self.connection.handle(event, &Browser(&self.client)) {
            self.execute(effect);
        }
    }

    fn execute(&mut self, effect: LiveEffect) {
        match effect {
            LiveEffect::Close => {
                if let Some(open) = self.open.take() {
                    open.close();
                    self.closed.push(open);
                }
            }
            LiveEffect::OpenSocket { attempt } => {
                self.hold(attempt, TabSocket::open(attempt).map(OpenTransport::Socket));
            }
            LiveEffect::OpenEvents { attempt, query } => {
                self.hold(attempt, TabEvents::open(attempt, &query).map(OpenTransport::Events));
            }
            LiveEffect::Poll { attempt, query } => http::poll(attempt, &query),
            LiveEffect::ProbeServer { attempt } => http::probe(attempt),
            LiveEffect::Send(frame) => {
                if let Some(OpenTransport::Socket(socket)) = &self.open {
                    socket.send(&frame);
                }
            }
            LiveEffect::RequestAfter(delay) => set_timeout(|| raise_live(LiveEvent::RequestDue), delay),
            LiveEffect::ResubscribeAfter(topic, delay) => {
                set_timeout(move || raise_live(LiveEvent::Resubscribe(topic)), delay);
            }
            LiveEffect::Deliver(topic, delta) => self.keep(topic, delta),
            LiveEffect::Refuse(topic, code) => {
                let observers = self.client.observers().of(topic);
                observers.iter().for_each(|observer| observer.refuse(code));
            }
            LiveEffect::ShowState(state) => self.client.set_state(state),
            LiveEffect::ShowAway(since) => self.client.set_away(since),
            LiveEffect::CompareBuild(build) => {
                if reload::compare(&build) == PageAge::Older {
                    self.client.set_newer();
                }
            }
            LiveEffect::ReloadPage => reload::reload_as_transport(),
            LiveEffect::ForgetTransport => reload::forget_transport(),
        }
    }

    fn hold(&mut self, attempt: u64, open: Option<OpenTransport>) {
        if open.is_none() {
            raise_live(LiveEvent::Lost { attempt });
        }
        self.open = open;
    }

    /// Keeps rows for the next animation frame. In a hidden tab, which has none, they are shown at once, and with them
    /// the pace may change.
    fn keep(&mut self, topic: Topic, delta: Delta) {
        let waiting = self.delivery.push(topic, delta);
        if Browser(&self.client).is_hidden() || waiting > WAITING_MAX {
            self.deliver();
            raise_live(LiveEvent::RequestDue);
        } else if !std::mem::replace(&mut self.is_frame_requested, true) {
            request_animation_frame(|| queue::raise(TabEvent::DeliveryDue));
        }
    }

    fn deliver(&mut self) {
        for topic in self.delivery.deliver(&self.client) {
            raise_live(LiveEvent::Resubscribe(topic));
        }
    }

    /// Says in the document how this tab stands: for tests, and for people who look into the page.
    fn update_mark(&mut self) {
        let mark = format!(
            "{} {} {}",
            self.connection.open_transport().map_or("none", |transport| transport.name()),
            self.connection.subscribed_count(),
            self.client.observers().count()
        );
        if mark != self.mark
            && let Some(root) = document().document_element()
        {
            root.set_attribute("data-live", &mark).unwrap_or_default();
            self.mark = mark;
        }
    }
}
