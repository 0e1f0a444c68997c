//! `GET /live`: one task per socket that carries frames both ways.
//!
//! A connection from its welcome to its close, and its bounds by time: pings, pongs, room to write. A client that takes nothing
//! holds up only its own task. Every message is read as a frame and authorised, or ends the connection with a code that says
//! why.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, admit, refuse_foreign};
use super::frame_budget::FrameCharge;
use super::handshake::Handshake;
use super::ping_schedule::next_ping;
use super::reader::{SocketMessage, SocketReader};
use super::subscriptions::{AnsweredRead, LiveSubscriptions, READS_MAX, encode};
use super::writer::Broken;
use super::{hint, welcome};
use crate::hub::WireFrame;
use crate::protocol::limits::CLIENT_MESSAGES_PER_SECOND_MAX;
use crate::protocol::{ApiError, ClientFrame, CloseCode, Codec, ErrorCode, ServerFrame, binary};
use crate::server::state::AppState;
use crate::server::transport::PacedStream;
use crate::service::Caller;

/// A client that takes nothing for so long is cut.
const WRITE_SECONDS_MAX: Duration = Duration::from_secs(30);
/// A client must say pong within so many ping intervals.
const PONG_PINGS_MAX: u32 = 2;
/// Connections that are being told why they cannot stay; one more is answered 429 without an upgrade.
const TURNED_AWAY_MAX: usize = 256;
/// Those, now.
static TURNED_AWAY: AtomicUsize = AtomicUsize::new(0);

/// `GET /live`. Open: whoever cannot stay is told why by a close code after the upgrade, so that a page can tell.
pub async fn live(State(state): State<AppState>, request: Request) -> Response {
    if let Err(refusal) = refuse_foreign(&state, &request) {
        return refusal.into_response();
    }
    let address = state.proxies.client_address(request.extensions(), request.headers());
    let (mut parts, _body) = request.into_parts();
    let handshake = match Handshake::read(&mut parts, &state.live.build) {
        Ok(handshake) => handshake,
        Err(refusal) => return refusal.into_response(),
    };
    let guest = match parts.extensions.remove::<Caller>() {
        None => Err((CloseCode::NotSignedIn, "not signed in")),
        Some(caller) => match admit(&state, &caller, address) {
            Ok(admission) => Ok((caller, admission)),
            Err(full) => Err((CloseCode::TooMany, full.words())),
        },
    };
    let turned_away = match &guest {
        Ok(_) => None,
        Err((_, why)) => match TurnedAway::one_more() {
            None => {
                return ApiError::new(ErrorCode::TooMany, format!("No live connection: {why}."))
                    .into_response();
            }
            told => told,
        },
    };
    let answer = handshake.answer();
    let (upgrade, codec) = (handshake.upgrade, handshake.codec);
    state.tracker.clone().spawn(async move {
        let _turned_away = turned_away;
        let Some(wire) = upgraded(upgrade, state.live.message_bytes_max).await else { return };
        match guest {
            // A task of its own: what the handshake held goes with this one.
            Ok((caller, admission)) => {
                state.tracker.spawn(Connection::new(wire, &state, caller, codec, admission).run());
            }
            Err((code, why)) => wire.close(code, why).await,
        }
    });
    answer
}

/// The bare connection below the HTTP that asked for the upgrade.
async fn upgraded(upgrade: OnUpgrade, message_bytes_max: usize) -> Option<SocketReader> {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a connection broke before it was upgraded");
            return None;
        }
    };
    match upgraded.downcast::<TokioIo<PacedStream>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner().into_inner();
            Some(SocketReader::open(stream, parts.read_buf, message_bytes_max).await)
        }
        Err(_other) => {
            tracing::error!("an upgraded connection is not the one that was accepted");
            None
        }
    }
}

/// One that is being told why it cannot stay, until dropped.
struct TurnedAway;

impl TurnedAway {
    fn one_more() -> Option<Self> {
        let more = |now| (now < TURNED_AWAY_MAX).then_some(now + 1);
        TURNED_AWAY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_before| Self)
    }
}

impl Drop for TurnedAway {
    fn drop(&mut self) {
        TURNED_AWAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection ends.
enum End {
    /// The other side has gone, or takes nothing: nothing more can be said.
    Gone,
    /// The other side said goodbye.
    Goodbye,
    /// This is said.
    Close(CloseCode, String),
}

impl End {
    fn of(code: CloseCode, reason: &str) -> Self {
        Self::Close(code, reason.to_owned())
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Gone => Self::Gone,
            Broken::Refused(code, reason) => Self::of(code, reason),
        }
    }
}

/// What the wire has to say.
enum SocketEvent {
    Room,
    SocketMessage(SocketMessage),
}

struct Connection {
    wire: SocketReader,
    subscriptions: LiveSubscriptions,
    /// Given back when the connection has ended.
    admission: Admission,
    stop: CancellationToken,
    codec: Codec,
    ping_every: Duration,
    ping_at: Instant,
    pong_at: Instant,
    /// When the system last took something, or nothing waited.
    room_at: Instant,
    /// Of answers that the system has not taken yet. At most [`READS_MAX`].
    charges: Vec<FrameCharge>,
    meter: Meter,
}

impl Connection {
    fn new(wire: SocketReader, state: &AppState, caller: Caller, codec: Codec, admission: Admission) -> Self {
        let now = Instant::now();
        let ping_every = Duration::from_millis(state.live.ping_ms.max(1));
        wire.send(&[encode(&welcome(state), codec)]);
        Self {
            subscriptions: LiveSubscriptions::new(
                state,
                caller,
                codec,
                Some(wire.out()),
                CancellationToken::new(),
            ),
            wire,
            admission,
            stop: state.stop.clone(),
            codec,
            ping_every,
            ping_at: next_ping(now, ping_every),
            pong_at: now,
            room_at: now,
            charges: Vec::with_capacity(READS_MAX),
            meter: Meter::new(now),
        }
    }

    async fn run(mut self) {
        let end = self.pump().await;
        let Self { wire, subscriptions, admission, .. } = self;
        // Before the goodbye, which may take its time: nothing is heard any more, and another may come.
        drop((subscriptions, admission));
        match end {
            End::Gone => {}
            End::Goodbye => wire.answer_goodbye().await,
            End::Close(code, reason) => wire.close(code, &reason).await,
        }
    }

    async fn pump(&mut self) -> End {
        let (bell, stop, gone) =
            (self.subscriptions.session.wake_signal(), self.stop.clone(), self.admission.revoked().clone());
        let (mut stopped, mut gone) = (pin!(stop.cancelled()), pin!(gone.cancelled()));
        let cut = self.subscriptions.cut().clone();
        let mut cut = pin!(cut.cancelled());
        let mut alarm = pin!(sleep_until(self.ping_at));
        loop {
            if let Err(end) = self.turn(alarm.as_mut()) {
                return end;
            }
            let step = tokio::select! {
                biased;
                () = &mut stopped => {
                    let hint = hint(self.admission.all_open());
                    Err(End::Close(CloseCode::GoingAway, hint.as_millis().to_string()))
                }
                () = &mut gone => Err(End::of(CloseCode::NotSignedIn, "signed out")),
                () = &mut cut => Err(End::Gone),
                news = next_event(&mut self.wire, self.subscriptions.is_busy()) => match news {
                    Ok(SocketEvent::Room) => {
                        self.go_on();
                        Ok(())
                    }
                    Ok(SocketEvent::SocketMessage(came)) => self.receive(came),
                    Err(broken) => Err(broken.into()),
                },
                reading = self.subscriptions.read_done(), if self.subscriptions.is_reading() => {
                    match self.subscriptions.answer(reading) {
                        Some(AnsweredRead::Sent(_sent, charge)) => self.charges.push(charge),
                        Some(AnsweredRead::Refused(refusal)) => self.send_frame(refusal),
                        None => {}
                    }
                    Ok(())
                }
                () = bell.notified() => Ok(()),
                () = &mut alarm => Ok(()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Sends what is due, and sets `alarm` to when something is next. While the system takes nothing more, nothing is
    /// asked for: what is sent then is the newest of then.
    fn turn(&mut self, mut alarm: Pin<&mut Sleep>) -> Result<(), End> {
        let now = Instant::now();
        let pong_until = self.pong_at + self.ping_every * PONG_PINGS_MAX;
        if now >= pong_until {
            return Err(End::of(CloseCode::NoPong, "no pong"));
        }
        let mut wake_at = pong_until;
        if !self.wire.is_full() {
            self.charges.clear();
            self.subscriptions.start_reads(READS_MAX);
            let (_sent, next) = self.subscriptions.turn(now);
            if now >= self.ping_at {
                self.ping_at = next_ping(now, self.ping_every);
                self.send_frame(encode(&ServerFrame::Ping, self.codec));
            }
            wake_at = next.unwrap_or(wake_at).min(wake_at).min(self.ping_at);
            self.room_at = now;
        }
        if self.wire.is_full() {
            let room_until = self.room_at + WRITE_SECONDS_MAX;
            if now >= room_until {
                tracing::debug!("a live connection takes nothing and is cut");
                return Err(End::Gone);
            }
            wake_at = wake_at.min(room_until);
        }
        if alarm.deadline() != wake_at {
            alarm.as_mut().reset(wake_at);
        }
        Ok(())
    }

    fn go_on(&mut self) {
        if self.wire.go_on() > 0 {
            self.room_at = Instant::now();
        }
    }

    fn send_frame(&self, frame: WireFrame) {
        self.wire.send(&[frame]);
    }

    fn receive(&mut self, came: SocketMessage) -> Result<(), End> {
        let message = match came {
            SocketMessage::Goodbye => return Err(End::Goodbye),
            SocketMessage::Control => return self.meter.count(Instant::now()),
            SocketMessage::Message(message) => message,
        };
        self.meter.count(Instant::now())?;
        let frame =
            match (&message, self.codec) {
                (Message::Text(text), Codec::Json) => serde_json::from_str(text)
                    .map_err(|_form| End::of(CloseCode::Malformed, "not a frame"))?,
                (Message::Binary(bytes), Codec::Binary) => binary::client_frame(bytes)
                    .map_err(|_form| End::of(CloseCode::Malformed, "not a frame"))?,
                (_, Codec::Json) => return Err(End::of(CloseCode::Malformed, "text frames only")),
                (_, Codec::Binary) => return Err(End::of(CloseCode::Malformed, "binary frames only")),
            };
        match frame {
            ClientFrame::Subscribe { topic, rev } => {
                if let Some(refusal) = self.subscriptions.subscribe(topic, rev) {
                    self.send_frame(refusal);
                }
                Ok(())
            }
            ClientFrame::Unsubscribe { topic } => {
                self.subscriptions.unsubscribe(&topic);
                Ok(())
            }
            ClientFrame::Pong {} => {
                self.pong_at = Instant::now();
                Ok(())
            }
            ClientFrame::Pace { hz } => {
                let set = self.subscriptions.session.set_pace(hz);
                set.map_err(|refused| End::of(CloseCode::Malformed, &refused.to_string()))
            }
        }
    }
}

/// Room for what waits, or else what comes, unless the connection is busy with what came. Cancel-safe.
async fn next_event(wire: &mut SocketReader, busy: bool) -> Result<SocketEvent, Broken> {
    if wire.is_full() {
        return wire.room().await.map(|()| SocketEvent::Room);
    }
    if busy {
        return std::future::pending().await;
    }
    wire.next().await.map(SocketEvent::SocketMessage)
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
