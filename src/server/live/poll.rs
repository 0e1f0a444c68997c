//! `GET /live/frames?topic=…`: the same frames once, as a JSON list, for networks that hold back every stream.
//!
//! The list begins with the welcome and answers topics as a subscribe would, one after the other: the next is read once the
//! client has taken the last, and none is kept. An answer is of about [`POLL_BYTES_MAX`] at most; topics that do not fit are
//! not in it, and come first in the next poll, since they are asked for without a revision. Nothing is remembered between two
//! polls: the page says what it shows.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use http::header;

use super::admission::{Admission, admit};
use super::events::{Admitted, admitted};
use super::frame_budget::FrameCharge;
use super::subscriptions::{AnsweredRead, LiveSubscriptions, encode};
use super::welcome;
use crate::hub::WireFrame;
use crate::protocol::{Codec, Rev};
use crate::server::state::AppState;

/// Bytes of an answer after which no further topic is read.
const POLL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `GET /live/frames`.
pub async fn frames(State(state): State<AppState>, request: Request) -> Response {
    let Admitted { caller, wanted, address, cut } = match admitted(&state, request).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let admission = match admit(&state, &caller, address) {
        Ok(admission) => admission,
        Err(full) => return full.refusal().into_response(),
    };
    let (fresh, shown): (Vec<_>, Vec<_>) = wanted.topics.into_iter().partition(|(_, known)| known.is_none());
    let list = List {
        subscriptions: LiveSubscriptions::new(&state, caller, Codec::Json, None, cut),
        wanted: fresh.into_iter().chain(shown).collect(),
        first: Some(encode(&welcome(&state), Codec::Json)),
        bytes: 0,
        charge: None,
        over: false,
        _admission: admission,
    };
    // Fused: what compresses a body asks once more after its end.
    let body = Body::from_stream(stream::unfold(list, List::next).fuse());
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// An answer under way.
struct List {
    subscriptions: LiveSubscriptions,
    /// Bounded by the query.
    wanted: VecDeque<(String, Option<Rev>)>,
    first: Option<WireFrame>,
    /// Bytes of the frames so far.
    bytes: usize,
    /// Of the frame that the connection was given last.
    charge: Option<FrameCharge>,
    over: bool,
    /// Given back when the answer has left.
    _admission: Admission,
}

impl List {
    /// The next part: called once the connection has room for it.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.over {
            return None;
        }
        self.charge = None;
        let part = match self.first.take() {
            Some(welcome) => part(b'[', &welcome),
            None => match self.next_frame().await {
                Some(frame) => part(b',', &frame),
                None => {
                    self.over = true;
                    Bytes::from_static(b"]")
                }
            },
        };
        self.bytes += part.len();
        Some((Ok(part), self))
    }

    /// The answer to the next topic; none where there is no further one, or no room for it.
    async fn next_frame(&mut self) -> Option<WireFrame> {
        while self.bytes < POLL_BYTES_MAX {
            let (name, known) = self.wanted.pop_front()?;
            if let Some(refusal) = self.subscriptions.subscribe(name.clone(), known) {
                return Some(refusal);
            }
            self.subscriptions.start_reads(1);
            while self.subscriptions.is_reading() {
                let reading = self.subscriptions.read_done().await;
                match self.subscriptions.answer(reading) {
                    Some(AnsweredRead::Sent(frame, charge)) => {
                        self.subscriptions.unsubscribe(&name);
                        self.charge = Some(charge);
                        return Some(frame);
                    }
                    Some(AnsweredRead::Refused(refusal)) => return Some(refusal),
                    // It has moved on: once more.
                    None => self.subscriptions.start_reads(1),
                }
            }
        }
        None
    }
}

/// A frame in the list.
fn part(before: u8, frame: &WireFrame) -> Bytes {
    let payload = frame.payload();
    let mut part = BytesMut::with_capacity(payload.len() + 1);
    part.put_u8(before);
    part.extend_from_slice(payload);
    part.freeze()
}
