//! Asking again and again: the same frames, where no stream gets through; and whether the server answers at all.
//!
//! Owns the requests. Called by the course. Invariant: at most one poll is under way, and one that is not answered in
//! time has failed. Deliberately reads no frame.

use std::time::Duration;

use gloo_net::http::{Request, Response};
use leptos::prelude::set_timeout;
use leptos::task::spawn_local;
use serde_json::value::RawValue;
use web_sys::AbortController;

use super::{Line, connection_state, is_now, now_ms, receive, with_tab};
use crate::app::live::subscriptions::ConnectionState;

/// Between two polls of a visible tab.
const POLL_MS: f64 = 2_000.0;
/// Of a hidden one.
const POLL_HIDDEN_MS: f64 = 10_000.0;
/// A request that is not answered by then is given up.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Gets `url`, in time; none where there was no answer.
async fn get(url: &str) -> Option<Response> {
    let abort = AbortController::new().ok();
    let signal = abort.as_ref().map(AbortController::signal);
    if let Some(abort) = abort {
        set_timeout(move || abort.abort(), ANSWER_MAX);
    }
    Request::get(url).abort_signal(signal.as_ref()).send().await.ok()
}

/// Asks once for what is wanted.
pub(super) fn poll() {
    let asked = with_tab(|tab| {
        tab.poll_at = None;
        let (query, topics) = tab.wanted_query();
        tab.asked = topics;
        (query, tab.attempt)
    });
    let Some((query, attempt)) = asked else { return };
    spawn_local(async move {
        let answer = get(&format!("/live/frames?{query}")).await;
        let status = answer.as_ref().map_or(0, Response::status);
        let text = match answer {
            Some(answer) if answer.ok() => answer.text().await.ok(),
            _ => None,
        };
        if is_now(attempt) {
            answered(status, text.as_deref());
        }
    });
}

fn answered(status: u16, text: Option<&str>) {
    let frames = text.and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
    match (status, frames) {
        (401, _) => connection_state::stopped(ConnectionState::SignedOut),
        (403, _) => connection_state::stopped(ConnectionState::NotAllowed),
        (_, None) => connection_state::lost(None),
        (_, Some(frames)) => {
            frames.iter().for_each(|frame| receive::text(frame.get()));
            with_tab(|tab| {
                if matches!(tab.line, Some(Line::Poll)) {
                    let every = if tab.hidden { POLL_HIDDEN_MS } else { POLL_MS };
                    tab.poll_at = Some(now_ms() + every);
                }
            });
        }
    }
}

/// Asks once whether the server answers by HTTP, for the try `attempt` that did not open.
pub(super) fn ask_whether_the_server_answers(attempt: u64) {
    spawn_local(async move {
        if get("/healthz").await.is_some_and(|answer| answer.ok()) {
            connection_state::server_answers(attempt);
        }
    });
}
