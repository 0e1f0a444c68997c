//! `GET /live/events?topic=…`: the same frames as Server-Sent Events, for networks that cut WebSockets.
//!
//! The stream from its welcome to its end, and the query that both fallbacks share. Topics are read one after the other, each
//! once the answer to the last was taken, and frames are made when the other side takes them, so nothing queues here either. A
//! client that takes nothing is cut by its connection (see `paced`). A stop ends the stream with the time after which to come
//! back (`retry:`). There is no way to answer a ping: a dead peer is found by writing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query, Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, admit, refuse_foreign};
use super::frame_budget::FrameCharge;
use super::ping_schedule::next_ping;
use super::subscriptions::{AnsweredRead, LiveSubscriptions, encode};
use super::{hint, welcome};
use crate::hub::WireFrame;
use crate::protocol::limits::SUBSCRIPTIONS_MAX;
use crate::protocol::{ApiError, Codec, ErrorCode, Rev, ServerFrame};
use crate::server::state::AppState;
use crate::server::transport::OpenConnection;
use crate::service::Caller;

/// Told to proxies that would gather events before they pass them on.
const UNGATHERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What the query of a fallback asks for: topics, each with the revision that is shown, and a pace.
pub struct RequestedTopics {
    /// Topics by name, at most [`SUBSCRIPTIONS_MAX`].
    pub topics: Vec<(String, Option<Rev>)>,
    /// Updates a second and topic; none: as many as there are.
    pub hz: Option<f64>,
}

impl RequestedTopics {
    /// `topic=A&rev=5&topic=B&hz=0.2`: a `rev` belongs to the topic before it.
    fn of(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut wanted = Self { topics: Vec::new(), hz: None };
        let mut named = false;
        for (name, value) in pairs {
            match name.as_str() {
                "topic" if wanted.topics.len() >= SUBSCRIPTIONS_MAX => {
                    let detail = format!("There are at most {SUBSCRIPTIONS_MAX} topics.");
                    return Err(ApiError::new(ErrorCode::TooMany, detail));
                }
                "topic" => {
                    named = true;
                    // A page that shows nothing live says so by an empty one.
                    if !value.is_empty() {
                        wanted.topics.push((value, None));
                    }
                }
                "rev" => {
                    let last = wanted.topics.last_mut();
                    let rev = value.parse().ok();
                    match (last, rev) {
                        (Some((_, known)), Some(rev)) => *known = Some(rev),
                        _ => return Err(ApiError::malformed("rev: expected a whole number, after a topic.")),
                    }
                }
                "hz" => {
                    let hz = value.parse().ok();
                    wanted.hz = Some(hz.ok_or_else(|| ApiError::malformed("hz: expected a number."))?);
                }
                // What a later version asks for.
                _ => {}
            }
        }
        if !named {
            return Err(ApiError::malformed("topic: expected at least one, like topic=batches."));
        }
        Ok(wanted)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestedTopics {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::from_request_parts(parts, state)
            .await
            .map_err(|fault| ApiError::malformed(format!("The query could not be read: {fault}.")))?;
        Self::of(pairs)
    }
}

/// Who may use a fallback, and for what.
pub struct Admitted {
    /// Who.
    pub caller: Caller,
    /// What they want.
    pub wanted: RequestedTopics,
    /// From where.
    pub address: std::net::IpAddr,
    /// Ends the connection.
    pub cut: CancellationToken,
}

/// Who may use a fallback, and what they want. A page sends no `Origin` with a GET of its own; another site's would send
/// one, or say so in its fetch metadata.
pub async fn admitted(state: &AppState, request: Request) -> Result<Admitted, ApiError> {
    let foreign = request.headers().get("sec-fetch-site").is_some_and(|site| site != "same-origin");
    if foreign || request.headers().contains_key(http::header::ORIGIN) {
        refuse_foreign(state, &request)?;
    }
    let address = state.proxies.client_address(request.extensions(), request.headers());
    let (mut parts, _body) = request.into_parts();
    let refused = || ApiError::new(ErrorCode::NotSignedIn, "Sign in first, or send a bearer token.");
    let caller = parts.extensions.remove::<Caller>().ok_or_else(refused)?;
    let cut =
        parts.extensions.get::<Arc<OpenConnection>>().map(|open| open.cut().clone()).unwrap_or_default();
    let wanted = RequestedTopics::from_request_parts(&mut parts, &()).await?;
    Ok(Admitted { caller, wanted, address, cut })
}

/// `GET /live/events`.
pub async fn events(State(state): State<AppState>, request: Request) -> Response {
    let Admitted { caller, wanted, address, cut } = match admitted(&state, request).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let admission = match admit(&state, &caller, address) {
        Ok(admission) => admission,
        Err(full) => return full.refusal().into_response(),
    };
    let mut subscriptions = LiveSubscriptions::new(&state, caller, Codec::Json, None, cut);
    if let Some(hz) = wanted.hz
        && let Err(refused) = subscriptions.session.set_pace(hz)
    {
        return ApiError::malformed(format!("hz: {refused}.")).into_response();
    }
    let ready = VecDeque::from([encode(&welcome(&state), Codec::Json)]);
    let ping_every = Duration::from_millis(state.live.ping_ms.max(1));
    let ping_at = next_ping(Instant::now(), ping_every);
    let telling = EventStream {
        state,
        subscriptions,
        admission,
        wanted: wanted.topics.into(),
        ready,
        charge: None,
        ping_every,
        ping_at,
        over: false,
    };
    let mut response = Sse::new(stream::unfold(telling, EventStream::next).fuse()).into_response();
    response.headers_mut().insert(UNGATHERED.0, UNGATHERED.1);
    response
}

/// A stream under way.
struct EventStream {
    state: AppState,
    subscriptions: LiveSubscriptions,
    /// Given back when the stream has ended.
    admission: Admission,
    /// Topics that have not been read yet: the next is, once the last answer was taken. Bounded by the query.
    wanted: VecDeque<(String, Option<Rev>)>,
    /// Bounded by one turn of the session.
    ready: VecDeque<WireFrame>,
    /// Of the answer that the connection was given last.
    charge: Option<FrameCharge>,
    ping_every: Duration,
    ping_at: Instant,
    over: bool,
}

impl EventStream {
    /// The next event: called once the connection has room for it.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.over {
            return None;
        }
        let (bell, gone) = (self.subscriptions.session.wake_signal(), self.admission.revoked().clone());
        let stop = self.state.stop.clone();
        self.charge = None;
        loop {
            if let Some(frame) = self.ready.pop_front() {
                let text = std::str::from_utf8(frame.payload()).expect("JSON frames are made from strings");
                return Some((Ok(Event::default().data(text)), self));
            }
            self.read_on();
            let now = Instant::now();
            let (frames, next) = self.subscriptions.turn(now);
            self.ready.extend(frames);
            if now >= self.ping_at {
                self.ping_at = next_ping(now, self.ping_every);
                self.ready.push_back(encode(&ServerFrame::Ping, Codec::Json));
            }
            if !self.ready.is_empty() {
                continue;
            }
            let wake_at = next.unwrap_or(self.ping_at).min(self.ping_at);
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.over = true;
                    let hint = hint(self.admission.all_open());
                    return Some((Ok(Event::default().retry(hint)), self));
                }
                () = gone.cancelled() => return None,
                reading = self.subscriptions.read_done(), if self.subscriptions.is_reading() => {
                    match self.subscriptions.answer(reading) {
                        Some(AnsweredRead::Sent(frame, charge)) => {
                            self.ready.push_back(frame);
                            self.charge = Some(charge);
                        }
                        Some(AnsweredRead::Refused(refusal)) => self.ready.push_back(refusal),
                        None => {}
                    }
                }
                () = bell.notified() => {}
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// Has the next topic read, one at a time.
    fn read_on(&mut self) {
        self.subscriptions.start_reads(1);
        while !self.subscriptions.is_reading() {
            let Some((topic, known)) = self.wanted.pop_front() else { return };
            self.ready.extend(self.subscriptions.subscribe(topic, known));
            self.subscriptions.start_reads(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(pairs: &[(&str, &str)]) -> Result<Vec<(String, Option<Rev>)>, ErrorCode> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RequestedTopics::of(pairs).map(|wanted| wanted.topics).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_revision_belongs_to_the_topic_before_it() {
        let two = wanted(&[("topic", "batches"), ("topic", "nodes"), ("rev", "7")]);
        assert_eq!(two, Ok(vec![("batches".into(), None), ("nodes".into(), Some(7))]));
        for bad in
            [&[][..], &[("rev", "7")], &[("topic", "a"), ("rev", "-1")], &[("topic", "a"), ("hz", "x")]]
        {
            assert_eq!(wanted(bad), Err(ErrorCode::Malformed), "{bad:?}");
        }
        assert_eq!(wanted(&[("topic", "a"); 201]), Err(ErrorCode::TooMany));
    }
}
