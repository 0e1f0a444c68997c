//! `GET /live/frames?topic=…`: the same frames once, as a JSON list, for networks that hold back every stream.
//!
//! Owns one answer. Called by the router. Invariant: the list begins with the welcome and answers every topic, as a
//! subscribe would. Deliberately remembers nothing between two polls: the page says what it shows.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header;

use super::ear::{Answered, Ear, encode};
use super::events::admitted;
use super::welcome;
use crate::protocol::Codec;
use crate::server::state::AppState;

/// `GET /live/frames`.
pub async fn frames(State(state): State<AppState>, request: Request) -> Response {
    let (caller, wanted, _address) = match admitted(&state, request).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let mut ear = Ear::new(&state, caller, Codec::Json, None);
    let mut frames: Vec<Bytes> = vec![encode(&welcome(&state), Codec::Json)];
    for (topic, known) in wanted.topics {
        frames.extend(ear.subscribe(topic, known));
    }
    while ear.is_reading() {
        let reading = ear.read_done().await;
        frames.extend(ear.answer(reading).map(Answered::frame));
    }
    let mut list = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 1).sum::<usize>() + 1);
    for (at, frame) in frames.iter().enumerate() {
        list.push(if at == 0 { b'[' } else { b',' });
        list.extend_from_slice(frame);
    }
    list.push(b']');
    ([(header::CONTENT_TYPE, "application/json")], list).into_response()
}
