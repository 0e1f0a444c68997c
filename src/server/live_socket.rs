//! The live connection: the upgrade, and one task per socket that carries frames both ways.
//!
//! Owns the socket and its bounds: bytes, messages, pings, time to write. Called by the router; the session is the
//! hub's, the answers are the service's. Invariant: nothing waits for a slow client but its own task, and that for
//! [`WRITE_SECONDS_MAX`] at most; whoever may no longer come in is cut within about a second. Deliberately knows no
//! row.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::state::{AppState, OriginVerdict};
use crate::hub::{Answer, Session, Turn};
use crate::protocol::frame::SUBPROTOCOL_JSON;
use crate::protocol::limits::{CLIENT_MESSAGES_PER_SECOND_MAX, SUBSCRIPTIONS_MAX, WINDOW_ITEMS_MAX};
use crate::protocol::{ApiError, ClientFrame, CloseCode, ErrorCode, Rev, ServerFrame, Topic, WelcomeLimits};
use crate::service::live::{TopicRows, check_topic};
use crate::service::{Caller, Service};

/// Bytes read from the socket at once: the library's default of 128 KiB is held by every idle connection.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that are written at once; a larger frame goes alone.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Bytes that may wait for one client; a snapshot beyond closes its connection.
const WRITE_BUFFER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A client that does not take a frame for so long is cut.
const WRITE_SECONDS_MAX: Duration = Duration::from_secs(30);
/// How long the other side may take to answer a close.
const CLOSE_SECONDS_MAX: Duration = Duration::from_secs(2);
/// Subscribes of one connection that are read at once; beyond, its messages wait unread.
const READS_MAX: usize = 8;
/// How often a connection asks whether its caller may still come in.
const VALID_EVERY: Duration = Duration::from_secs(1);
/// Most of a hint when to come back, so that not all come at once.
const HINT_MS_MAX: u64 = 3_000;
/// Connections of nobody that are being told so; one more is answered 429 without an upgrade.
const TURNED_AWAY_MAX: usize = 256;
/// Connections of nobody that are being told so, now.
static TURNED_AWAY: AtomicUsize = AtomicUsize::new(0);

/// `GET /live`. Open: not signed in is told by the close code 4401 after the upgrade.
pub async fn live(State(state): State<AppState>, request: Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    let by_token = parts.headers.contains_key(header::AUTHORIZATION);
    let from_here = match state.site.judge(&parts.headers) {
        OriginVerdict::Same => true,
        OriginVerdict::Missing => by_token,
        OriginVerdict::Foreign => false,
    };
    if !from_here {
        let detail = "The live connection is for this installation's own pages and for bearer tokens.";
        return ApiError::new(ErrorCode::NotAllowed, detail).into_response();
    }
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &state).await {
        Ok(upgrade) => upgrade,
        Err(_no_handshake) => {
            return ApiError::malformed("This address speaks WebSocket.").into_response();
        }
    };
    let caller = parts.extensions.remove::<Caller>();
    if let Some(refusal) = too_many(&state, caller.as_ref()) {
        return refusal.into_response();
    }
    let token = state.tracker.token();
    upgrade
        .protocols([SUBPROTOCOL_JSON])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(state.live.message_bytes_max)
        .max_frame_size(state.live.message_bytes_max)
        .on_upgrade(move |socket| async move {
            let _token = token;
            match caller {
                Some(caller) => Connection::new(socket, &state, caller).run().await,
                None => turn_away(socket).await,
            }
        })
}

fn too_many(state: &AppState, caller: Option<&Caller>) -> Option<ApiError> {
    let Some(caller) = caller else {
        let many = TURNED_AWAY.load(Ordering::Relaxed) >= TURNED_AWAY_MAX;
        return many.then(|| ApiError::new(ErrorCode::TooMany, "Sign in first."));
    };
    let (all, own) = state.service.parts().hub.sessions(&caller.name);
    let detail = if own >= state.live.connections_per_user_max {
        "You have too many live connections open."
    } else if all >= state.live.connections_max {
        "There are too many live connections."
    } else {
        return None;
    };
    Some(ApiError::new(ErrorCode::TooMany, detail))
}

async fn turn_away(mut socket: WebSocket) {
    TURNED_AWAY.fetch_add(1, Ordering::Relaxed);
    close(&mut socket, CloseCode::NotSignedIn, "not signed in").await;
    TURNED_AWAY.fetch_sub(1, Ordering::Relaxed);
}

/// Says goodbye and waits, bounded, for the answer: a socket dropped with bytes unread would lose the reason.
async fn close(socket: &mut WebSocket, code: CloseCode, reason: &str) {
    let frame = CloseFrame { code: code.number(), reason: Utf8Bytes::from(reason) };
    let goodbye = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_ignored)) = socket.recv().await {}
        }
    };
    // Late or gone: there is nobody to tell.
    let _told = timeout(CLOSE_SECONDS_MAX, goodbye).await;
}

/// Why a connection ends.
enum End {
    /// The other side has gone, or takes nothing: nothing more can be said.
    Gone,
    /// This is said.
    Close(CloseCode, String),
}

impl End {
    fn of(code: CloseCode, reason: &str) -> Self {
        Self::Close(code, reason.to_owned())
    }
}

/// What a subscribe has become.
struct Reading {
    /// The topic as the client wrote it.
    name: String,
    topic: Topic,
    known: Option<Rev>,
    rows: Result<TopicRows, ApiError>,
}

struct Connection {
    socket: WebSocket,
    session: Session,
    service: Service,
    caller: Caller,
    stop: CancellationToken,
    ping_every: Duration,
    limits: WelcomeLimits,
    /// At most [`READS_MAX`], and one more per topic that fell behind.
    reads: FuturesUnordered<BoxFuture<'static, Reading>>,
    meter: Meter,
    pong_at: Instant,
}

impl Connection {
    fn new(socket: WebSocket, state: &AppState, caller: Caller) -> Self {
        let session = state.service.parts().hub.session(caller.viewer());
        let limits = WelcomeLimits {
            message_bytes_max: state.live.message_bytes_max as u64,
            subscriptions_max: SUBSCRIPTIONS_MAX as u64,
            messages_per_second_max: u64::from(CLIENT_MESSAGES_PER_SECOND_MAX),
            window_items_max: WINDOW_ITEMS_MAX,
            tick_ms: state.live.tick_ms,
        };
        Self {
            socket,
            session,
            service: state.service.clone(),
            caller,
            stop: state.stop.clone(),
            ping_every: Duration::from_millis(state.live.ping_ms.max(1)),
            limits,
            reads: FuturesUnordered::new(),
            meter: Meter::new(Instant::now()),
            pong_at: Instant::now(),
        }
    }

    async fn run(mut self) {
        match self.pump().await {
            End::Gone => {}
            End::Close(code, reason) => close(&mut self.socket, code, &reason).await,
        }
    }

    async fn pump(&mut self) -> End {
        let welcome = ServerFrame::Welcome {
            server: concat!("milepost ", env!("CARGO_PKG_VERSION")).to_owned(),
            ping_ms: u64::try_from(self.ping_every.as_millis()).unwrap_or(u64::MAX),
            limits: self.limits.clone(),
        };
        if let Err(end) = self.write(vec![welcome.to_json().into()]).await {
            return end;
        }
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        let mut ping_at = Instant::now() + self.ping_every;
        let mut check_at = Instant::now() + VALID_EVERY;
        loop {
            let Turn { frames, ask, next } = self.session.turn(Instant::now());
            for topic in ask {
                self.read(topic.to_string(), topic, None);
            }
            if let Err(end) = self.write(frames).await {
                return end;
            }
            let wake_at = ping_at.min(check_at).min(next.unwrap_or(ping_at));
            let step = tokio::select! {
                () = &mut stopped => {
                    let hint = rand::random_range(0..=HINT_MS_MAX);
                    Err(End::Close(CloseCode::GoingAway, hint.to_string()))
                }
                Some(reading) = self.reads.next(), if !self.reads.is_empty() => self.answer(reading).await,
                message = self.socket.recv(), if self.reads.len() < READS_MAX => self.hear(message).await,
                () = self.session.woken() => Ok(()),
                () = sleep_until(wake_at) => self.look(Instant::now(), &mut ping_at, &mut check_at).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// What is due by time: the ping, and whether the caller may still come in.
    async fn look(&mut self, now: Instant, ping_at: &mut Instant, check_at: &mut Instant) -> Result<(), End> {
        if now >= *check_at {
            *check_at = now + VALID_EVERY;
            if !self.service.still_valid(&self.caller).await {
                return Err(End::of(CloseCode::NotSignedIn, "signed out"));
            }
        }
        if now >= *ping_at {
            *ping_at = now + self.ping_every;
            if now.duration_since(self.pong_at) > self.ping_every * 2 {
                return Err(End::of(CloseCode::NoPong, "no pong"));
            }
            self.write(vec![ServerFrame::Ping.to_json().into()]).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match message {
            None => return Err(End::Gone),
            Some(Err(error)) => return Err(end_of(&error)),
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => return Err(End::of(CloseCode::Malformed, "text frames only")),
            Some(Ok(Message::Close(_))) => return Err(End::Gone),
            // Answered by the library; they count, for they cost.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return self.meter.count(Instant::now()),
        };
        self.meter.count(Instant::now())?;
        let Ok(frame) = serde_json::from_str::<ClientFrame>(&text) else {
            return Err(End::of(CloseCode::Malformed, "not a frame"));
        };
        match frame {
            ClientFrame::Subscribe { topic, rev } => self.subscribe(topic, rev).await,
            ClientFrame::Unsubscribe { topic } => {
                if let Ok(topic) = topic.parse() {
                    self.session.unsubscribe(topic);
                }
                Ok(())
            }
            ClientFrame::Pong {} => {
                self.pong_at = Instant::now();
                Ok(())
            }
            ClientFrame::Pace { hz } => self
                .session
                .set_pace(hz)
                .map_err(|refused| End::of(CloseCode::Malformed, &refused.to_string())),
        }
    }

    async fn subscribe(&mut self, name: String, known: Option<Rev>) -> Result<(), End> {
        let Ok(topic) = name.parse::<Topic>() else {
            return self.refuse(name, ApiError::not_found("topic")).await;
        };
        if let Err(refusal) = check_topic(topic) {
            return self.refuse(name, refusal).await;
        }
        // Before the rows are read: so nothing that is published meanwhile is missed.
        if let Err(refused) = self.session.subscribe(topic) {
            return self.refuse(name, ApiError::new(ErrorCode::TooMany, refused.to_string())).await;
        }
        self.read(name, topic, known);
        Ok(())
    }

    /// Reads the rows of a topic beside everything else.
    fn read(&mut self, name: String, topic: Topic, known: Option<Rev>) {
        let (service, caller) = (self.service.clone(), self.caller.clone());
        self.reads.push(Box::pin(async move {
            let rows = service.topic_since(&caller, topic, known).await;
            Reading { name, topic, known, rows }
        }));
    }

    async fn answer(&mut self, reading: Reading) -> Result<(), End> {
        let Reading { name, topic, known, rows } = reading;
        match rows {
            Ok(TopicRows { rev, rows }) => match self.session.answer(topic, known, rev, rows) {
                Answer::Frame(frame) => self.write(vec![frame]).await,
                Answer::Again => {
                    self.read(name, topic, None);
                    Ok(())
                }
                Answer::Unheard => Ok(()),
            },
            Err(refusal) => {
                self.session.unsubscribe(topic);
                self.refuse(name, refusal).await
            }
        }
    }

    async fn refuse(&mut self, topic: String, refusal: ApiError) -> Result<(), End> {
        let frame = ServerFrame::Error { topic, code: refusal.code, message: refusal.detail };
        self.write(vec![frame.to_json().into()]).await
    }

    async fn write(&mut self, frames: Vec<Bytes>) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        let socket = &mut self.socket;
        let writing = async {
            for frame in frames {
                let text = Utf8Bytes::try_from(frame).expect("frames are made from strings");
                socket.feed(Message::Text(text)).await?;
            }
            socket.flush().await
        };
        match timeout(WRITE_SECONDS_MAX, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(End::Gone),
            Err(_slow) => {
                tracing::debug!(caller = self.caller.name, "a live connection takes nothing and is cut");
                Err(End::Gone)
            }
        }
    }
}

/// What is said after a message could not be read. The web framework hides the library's error type, so this goes by
/// its words; the tests hold it to them.
fn end_of(error: &axum::Error) -> End {
    let words = error.to_string();
    if words.contains("Space limit exceeded") {
        End::of(CloseCode::TooLarge, "too large")
    } else if words.contains("UTF-8") {
        End::of(CloseCode::Malformed, "not UTF-8")
    } else {
        End::Gone
    }
}

/// Counts messages in windows of a second.
struct Meter {
    since: Instant,
    count: u32,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    fn count(&mut self, now: Instant) -> Result<(), End> {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.count += 1;
        if self.count > CLIENT_MESSAGES_PER_SECOND_MAX {
            return Err(End::of(CloseCode::TooMany, "too many messages"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
