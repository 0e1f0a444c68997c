//! The live connection of a tab as a state machine: events in, effects out.
//!
//! ```text
//! phases    when to connect, give up and try again       requests   what to ask for, and how often
//! report    what people are shown of it             silence    whether a line on which nothing comes still holds
//! ```
//! The machine holds no socket and no timer. Whoever drives it executes the effects in order and feeds back what came of
//! them as further events, one after the other. Every attempt has a number; what an earlier attempt still reports is
//! ignored. Whatever happens, another try follows by itself, except after [`RefusalReason`].

mod phases;
mod report;
mod requests;
mod silence;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::report::ConnectionState;
use super::decoder::Incoming;
use super::fold::Delta;
use super::reconnect::reconnect_backoff;
use super::subscriptions::Subscriptions;
use super::transport_choice::{Transport, TransportChoice};
use crate::backoff::Backoff;
use crate::protocol::{ClientFrame, ErrorCode, Rev, Timestamp, Topic};

/// How often [`LiveEvent::Tick`] is due.
pub const TICK_EVERY: Duration = Duration::from_millis(500);
/// Interval of pings until the server names its own.
const PING_DEFAULT: Duration = Duration::from_secs(20);
/// Least time until a topic that could not be read is asked for again; at most twice as long, not all tabs at once.
const BUSY_AFTER: Duration = Duration::from_secs(2);

/// What the machine sees of the world around it when an event comes.
pub trait LiveEnvironment {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// A number in 0..1, drawn anew each time.
    fn random(&self) -> f64;
    /// Whether the browser has a network at all.
    fn is_online(&self) -> bool;
    /// Whether the tab is hidden: it then asks for little.
    fn is_hidden(&self) -> bool;
    /// Topics that somebody reads, with the revision that is shown of each.
    fn wanted_topics(&self) -> BTreeMap<Topic, Option<Rev>>;
    /// Whether anything shown goes on changing by itself.
    fn is_unfinished(&self) -> bool;
}

/// What happens. Those with an attempt are of the transport that was opened under its number.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveEvent {
    /// The first of all.
    Start,
    /// Time has passed.
    Tick,
    /// The socket takes frames.
    SocketOpened {
        /// Whose.
        attempt: u64,
    },
    /// A frame has come.
    Received {
        /// Whose.
        attempt: u64,
        /// What it says.
        frame: Incoming,
    },
    /// The socket was closed with a code.
    SocketClosed {
        /// Whose.
        attempt: u64,
        /// Code of RFC 6455 or of `docs/protocol.md`.
        code: u16,
        /// Its reason text.
        reason: String,
    },
    /// The transport could not be opened, broke, or brought what is no answer.
    Lost {
        /// Whose.
        attempt: u64,
    },
    /// A poll was answered, and its frames were received.
    PollAnswered {
        /// Whose.
        attempt: u64,
    },
    /// A request was refused for good.
    Stopped {
        /// Whose.
        attempt: u64,
        /// Why.
        reason: RefusalReason,
    },
    /// [`LiveEffect::ProbeServer`]: the server answers by HTTP.
    ServerAnswers {
        /// Of which probe.
        attempt: u64,
    },
    /// Somebody wants to try now, or the network has come back.
    RetryNow,
    /// Other topics are wanted, or the pace has changed.
    WantedChanged,
    /// A topic is to be subscribed to again.
    Resubscribe(Topic),
    /// [`LiveEffect::RequestAfter`] is due.
    RequestDue,
    /// The tab was hidden or shown.
    VisibilityChanged,
}

/// Why no further try follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The login has ended.
    SignedOut,
    /// Signed in, but not allowed here.
    NotAllowed,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveEffect {
    /// Close whatever is open.
    Close,
    /// Open a WebSocket.
    OpenSocket {
        /// Its number.
        attempt: u64,
    },
    /// Open a stream of events.
    OpenEvents {
        /// Its number.
        attempt: u64,
        /// Query of `/live/events`.
        query: String,
    },
    /// Ask once.
    Poll {
        /// Its number.
        attempt: u64,
        /// Query of `/live/frames`.
        query: String,
    },
    /// Ask whether the server answers by HTTP.
    ProbeServer {
        /// To be named in the answer.
        attempt: u64,
    },
    /// Send on the socket.
    Send(ClientFrame),
    /// Raise [`LiveEvent::RequestDue`] after so long.
    RequestAfter(Duration),
    /// Raise [`LiveEvent::Resubscribe`] after so long.
    ResubscribeAfter(Topic, Duration),
    /// Hand rows to who reads the topic.
    Deliver(Topic, Delta),
    /// Tell who reads the topic that it cannot be had.
    Refuse(Topic, ErrorCode),
    /// Show how the connection stands.
    ShowState(ConnectionState),
    /// Show since when there is no contact; none: there is.
    ShowAway(Option<Timestamp>),
    /// Compare the server's build with that of the page.
    CompareBuild(String),
    /// Reload the page, the last of all transports.
    ReloadPage,
    /// The socket works: a page that is loaded later need not begin with a lesser transport.
    ForgetTransport,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// Under way since.
    Connecting(Timestamp),
    /// Welcomed.
    Open,
    /// Until when.
    Waiting(Timestamp),
    /// For good.
    Stopped,
}

/// The connection of one tab.
#[derive(Debug)]
pub struct LiveConnection {
    phase: ConnectionPhase,
    choice: TransportChoice,
    /// What is open or being opened. Not always that of `choice`: a hidden tab polls in place of events.
    line: Option<Transport>,
    /// Whether the socket takes frames.
    is_socket_open: bool,
    attempt: u64,
    backoff: Backoff,
    opened_at: Timestamp,
    /// When to look whether the socket opens by now.
    climb_at: Option<Timestamp>,
    ping: Duration,
    /// When the last frame came.
    frame_at: Timestamp,
    /// When a row was asked for to hear whether there is contact; none once anything has come since.
    asked_at: Option<Timestamp>,
    subscriptions: Subscriptions,
    /// When the next poll is due; none while one is under way.
    poll_at: Option<Timestamp>,
    /// True while [`LiveEvent::RequestDue`] is to come.
    is_request_planned: bool,
    requested_at: Timestamp,
    was_open: bool,
    /// Since when there is no contact.
    away: Option<Timestamp>,
}

impl LiveConnection {
    /// Not connected yet. `before` is the transport of the page before this one, if that had to reload itself.
    #[must_use]
    pub fn new(now: Timestamp, before: Transport) -> Self {
        Self {
            phase: ConnectionPhase::Waiting(now),
            choice: TransportChoice::once_more_from(before),
            line: None,
            is_socket_open: false,
            attempt: 0,
            backoff: reconnect_backoff(),
            opened_at: now,
            climb_at: None,
            ping: PING_DEFAULT,
            frame_at: now,
            asked_at: None,
            subscriptions: Subscriptions::default(),
            poll_at: None,
            is_request_planned: false,
            requested_at: Timestamp(0),
            was_open: false,
            away: None,
        }
    }

    /// Takes what has happened; says what is to be done.
    pub fn handle(&mut self, event: LiveEvent, around: &dyn LiveEnvironment) -> Vec<LiveEffect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match event {
            LiveEvent::Start => self.connect(around, out),
            LiveEvent::Tick => self.tick(around, out),
            LiveEvent::RetryNow => self.retry_now(around, out),
            LiveEvent::WantedChanged => self.plan_request(around, out),
            LiveEvent::Resubscribe(topic) => {
                self.subscriptions.mark_stale(topic);
                self.plan_request(around, out);
            }
            LiveEvent::RequestDue => self.request(around, out),
            LiveEvent::VisibilityChanged => self.change_visibility(around, out),
            LiveEvent::ServerAnswers { attempt } => self.server_answers(attempt, around, out),
            LiveEvent::SocketOpened { attempt } if self.is_present(attempt) => {
                self.is_socket_open = true;
                self.request(around, out);
            }
            LiveEvent::Received { attempt, frame } if self.is_present(attempt) => {
                self.receive(frame, around, out);
            }
            LiveEvent::SocketClosed { attempt, code, reason } if self.is_present(attempt) => {
                self.closed(code, &reason, around, out);
            }
            LiveEvent::Lost { attempt } if self.is_present(attempt) => self.lost(None, around, out),
            LiveEvent::PollAnswered { attempt } if self.is_present(attempt) => self.poll_answered(around),
            LiveEvent::Stopped { attempt, reason } if self.is_present(attempt) => {
                self.stop(reason, around, out);
            }
            // Of an attempt that is over.
            LiveEvent::SocketOpened { .. }
            | LiveEvent::Received { .. }
            | LiveEvent::SocketClosed { .. }
            | LiveEvent::Lost { .. }
            | LiveEvent::PollAnswered { .. }
            | LiveEvent::Stopped { .. } => {}
        }
        effects
    }

    /// The transport that frames come by now; none while there is no contact.
    #[must_use]
    pub fn open_transport(&self) -> Option<Transport> {
        (self.phase == ConnectionPhase::Open).then(|| self.choice.now())
    }

    /// Topics that are subscribed.
    #[must_use]
    pub fn subscribed_count(&self) -> usize {
        self.subscriptions.count()
    }

    fn is_present(&self, attempt: u64) -> bool {
        self.attempt == attempt && self.line.is_some()
    }

    fn receive(&mut self, frame: Incoming, around: &dyn LiveEnvironment, out: &mut Vec<LiveEffect>) {
        self.frame_at = around.now();
        self.asked_at = None;
        match frame {
            Incoming::Welcome { ping_ms, build } => {
                self.opened(Duration::from_millis(ping_ms), around, out);
                out.push(LiveEffect::CompareBuild(build));
            }
            Incoming::Ping => {
                if self.line == Some(Transport::Socket) {
                    out.push(LiveEffect::Send(ClientFrame::Pong {}));
                }
            }
            Incoming::Rows { topic, delta } => out.push(LiveEffect::Deliver(topic, delta)),
            Incoming::Refused { topic: Some(topic), code, .. } => {
                out.push(LiveEffect::Refuse(topic, code));
                if code == ErrorCode::Busy {
                    let after = BUSY_AFTER.mul_f64(1.0 + around.random());
                    out.push(LiveEffect::ResubscribeAfter(topic, after));
                }
            }
            Incoming::Refused { topic: None, .. } => {}
        }
    }
}

/// `at`, later by `by`.
fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.plus_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

/// From `from` to `to`; nothing where the clock went back.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(to.ms_since(from))
}
