//! The same frames over plain HTTP, where sockets do not open: a stream of events, or one answer to a poll.

use std::time::Duration;

use gloo_net::http::{Request, Response};
use leptos::prelude::set_timeout;
use leptos::task::spawn_local;
use serde_json::value::RawValue;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{AbortController, Event, EventSource, MessageEvent};

use super::websocket::warn_unreadable;
use crate::app::live::queue::raise_live;
use crate::client::connection::{LiveEvent, RefusalReason};
use crate::client::decoder::read_json;

/// A request that is not answered by then is given up.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A stream of Server-Sent Events and its closures. It never tries again by itself: the state machine does, with its
/// delays.
pub(super) struct TabEvents {
    source: EventSource,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(Event)>,
}

impl TabEvents {
    /// Begins to listen to what `query` names; none where the browser does not even try.
    pub(super) fn open(attempt: u64, query: &str) -> Option<Self> {
        let source = EventSource::new(&format!("{}/events?{query}", super::live_path())).ok()?;
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(text) = event.data().as_string() {
                receive(attempt, &text);
            }
        });
        let error = Closure::<dyn FnMut(Event)>::new(move |_| raise_live(LiveEvent::Lost { attempt }));
        source.set_onmessage(Some(message.as_ref().unchecked_ref()));
        source.set_onerror(Some(error.as_ref().unchecked_ref()));
        Some(Self { source, _message: message, _error: error })
    }

    /// Closes the stream; nothing of it is heard afterwards.
    pub(super) fn close(&self) {
        self.source.set_onmessage(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

fn receive(attempt: u64, text: &str) {
    match read_json(text) {
        Ok(frame) => raise_live(LiveEvent::Received { attempt, frame }),
        Err(_form) => warn_unreadable(),
    }
}

/// Gets `url`, in time; none where there was no answer.
async fn get(url: &str) -> Option<Response> {
    let abort = AbortController::new().ok();
    let signal = abort.as_ref().map(AbortController::signal);
    if let Some(abort) = abort {
        set_timeout(move || abort.abort(), ANSWER_MAX);
    }
    Request::get(url).abort_signal(signal.as_ref()).send().await.ok()
}

/// Asks once for what `query` names.
pub(super) fn poll(attempt: u64, query: &str) {
    let url = format!("{}/frames?{query}", super::live_path());
    spawn_local(async move {
        let answer = get(&url).await;
        let status = answer.as_ref().map_or(0, Response::status);
        let text = match answer {
            Some(answer) if answer.ok() => answer.text().await.ok(),
            _ => None,
        };
        let frames = text.as_deref().and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
        match (status, frames) {
            (401, _) => raise_live(LiveEvent::Stopped { attempt, reason: RefusalReason::SignedOut }),
            (403, _) => raise_live(LiveEvent::Stopped { attempt, reason: RefusalReason::NotAllowed }),
            (_, None) => raise_live(LiveEvent::Lost { attempt }),
            (_, Some(frames)) => {
                frames.iter().for_each(|frame| receive(attempt, frame.get()));
                raise_live(LiveEvent::PollAnswered { attempt });
            }
        }
    });
}

/// Asks once whether the server answers by HTTP at all.
pub(super) fn probe(attempt: u64) {
    spawn_local(async move {
        if get("/healthz").await.is_some_and(|answer| answer.ok()) {
            raise_live(LiveEvent::ServerAnswers { attempt });
        }
    });
}
