//! What a share link gives besides its page: a badge, a line of text, results and files.
//!
//! The secret is in the address, so that a wiki or a terminal can show where a batch stands. Answers say no more than the link
//! does: the gate in front knows whose link it is, the service what it shows.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::extract::{PathParams, QueryParams, Who};
use super::results::{file_of, is_known, results_of};
use super::state::AppState;
use crate::client::words;
use crate::protocol::{ApiError, Batch, BatchId, BatchState};
use crate::service::Caller;

/// Characters of the name of a batch on its badge; the rest is left out.
const BADGE_NAME_CHARS_MAX: usize = 40;
/// Width of a character on a badge, about, in its units: the text is fitted to it.
const BADGE_CHAR_WIDTH: usize = 7;
/// Beside the text on either side.
const BADGE_PADDING: usize = 8;

/// A badge is there to be shown by pages of others, and by nobody to be found.
const ELSEWHERE: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
];

/// The batch of a share link.
fn shared_batch(caller: &Caller) -> Result<BatchId, ApiError> {
    caller.grant.batch.ok_or_else(|| ApiError::not_found("share link"))
}

async fn progress(state: &AppState, caller: &Caller) -> Result<Batch, ApiError> {
    let record = state.service.progressing(caller, shared_batch(caller)?).await?;
    Ok(state.service.parts().engine.wire(&record).progress())
}

/// An answer that stands until the batch changes.
fn answer(batch: &Batch, headers: &HeaderMap, media_type: &'static str, text: String) -> Response {
    let tag = HeaderValue::try_from(format!("\"{}\"", batch.rev)).expect("a number is plain ASCII");
    let mut response = if is_known(headers, &tag) {
        http::StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, media_type)], text).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.extend(ELSEWHERE);
    response
}

/// `GET /s/{secret}/badge.svg`
pub async fn badge(
    State(state): State<AppState>,
    Who(caller): Who,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let batch = progress(&state, &caller).await?;
    Ok(answer(&batch, &headers, "image/svg+xml", drawn(&batch)))
}

/// `GET /s/{secret}/status.txt`
pub async fn status(
    State(state): State<AppState>,
    Who(caller): Who,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let batch = progress(&state, &caller).await?;
    Ok(answer(&batch, &headers, "text/plain; charset=utf-8", status_text(&batch)))
}

/// `GET /s/{secret}/results?format=csv|ndjson|zip&only=failed&bom=true`
pub async fn results(
    State(state): State<AppState>,
    Who(caller): Who,
    params: QueryParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    results_of(&state, &caller, shared_batch(&caller)?, &params, &method, &headers).await
}

/// `GET /s/{secret}/items/{seq}/files/{name}?side=input|output&as=text`
pub async fn file(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    file_of(&state, &caller, shared_batch(&caller)?, (&place, &params), &method, &headers).await
}

/// How far it is, in a few words: `62.3 % · 3 failed`, `finished`.
fn brief(batch: &Batch) -> String {
    let state = match words::percent(batch).filter(|_| batch.state == BatchState::Running) {
        Some(percent) => percent,
        None => words::batch_state(batch),
    };
    match batch.failed {
        0 => state,
        // The word for the state has the count.
        _ if batch.state == BatchState::Failed => state,
        failed => format!("{state} · {} failed", words::thousands(failed)),
    }
}

/// How far it is, in lines of text that end in a line feed.
fn status_text(batch: &Batch) -> String {
    let counts =
        format!("{} of {} items ended", words::thousands(batch.ended()), words::thousands(batch.total));
    let failed = match batch.failed {
        0 => String::new(),
        _ if batch.state == BatchState::Failed => String::new(),
        failed => format!(", {} failed", words::thousands(failed)),
    };
    let percent = words::percent(batch).map(|percent| format!(" ({percent})")).unwrap_or_default();
    format!("{}\n{}: {counts}{percent}{failed}\n", words::name(&batch.name), words::batch_state(batch))
}

fn colour(state: BatchState) -> &'static str {
    match state {
        BatchState::Succeeded => "#1a7f37",
        BatchState::Failed => "#b3261e",
        BatchState::Running => "#0b62c4",
        BatchState::Scheduled
        | BatchState::Pending
        | BatchState::Paused
        | BatchState::Cancelling
        | BatchState::Cancelled => "#59636e",
    }
}

/// The badge: name and progress side by side. It loads nothing, and its attributes are no styles.
fn drawn(batch: &Batch) -> String {
    let name = words::name(&batch.name);
    let mut left: String = name.chars().take(BADGE_NAME_CHARS_MAX).collect();
    if left.len() < name.len() {
        left.push('…');
    }
    let right = brief(batch);
    let wide = |text: &str| text.chars().count() * BADGE_CHAR_WIDTH;
    let (left_text, right_text) = (wide(&left), wide(&right));
    let (left_width, right_width) = (left_text + 2 * BADGE_PADDING, right_text + 2 * BADGE_PADDING);
    let (whole, colour) = (left_width + right_width, colour(batch.state));
    let (right_at, spoken) = (left_width + BADGE_PADDING, words::escaped(&format!("{left}: {right}")));
    let (left, right) = (words::escaped(&left), words::escaped(&right));
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img"><title>{spoken}</title>
<rect width="{whole}" height="20" rx="3" fill="#30363d"/><path d="M{left_width} 0h{tail}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{tail}z" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="{BADGE_PADDING}" y="14" textLength="{left_text}" lengthAdjust="spacingAndGlyphs">{left}</text>
<text x="{right_at}" y="14" textLength="{right_text}" lengthAdjust="spacingAndGlyphs">{right}</text></g></svg>
"##,
        tail = right_width - 3,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Json, Timestamp};

    fn batch(name: &str, state: BatchState, failed: u64) -> Batch {
        Batch {
            id: BatchId::from_u128(1),
            number: 1,
            name: name.into(),
            task: "demo".into(),
            params: Json::default(),
            owner: "ada".into(),
            parent: None,
            schedule: None,
            state,
            reason: None,
            sealed: true,
            expected: None,
            rev: 1,
            total: 1_000,
            pending: 380 - failed,
            running: 0,
            retrying: 0,
            succeeded: 620,
            failed,
            cancelled: 0,
            rate_per_s: None,
            eta_ms: None,
            created_at: Timestamp(0),
            start_at: None,
            started_at: None,
            finished_at: None,
            rested_ms: 0,
            retry: None,
        }
    }

    #[test]
    fn a_badge_says_how_far_and_is_marked_up_by_nobody() {
        let drawing = drawn(&batch("<script>alert(1)</script>&\"'", BatchState::Running, 3));
        assert!(drawing.contains("&lt;script&gt;alert(1)") && !drawing.contains("<script"));
        assert!(drawing.contains("62.3 % · 3 failed"), "{drawing}");
        // XML has no controls, and a name must not turn what stands beside it around.
        let odd = drawn(&batch("a\u{1}\u{202e}b", BatchState::Running, 0));
        assert!(odd.contains(">a\u{fffd}\u{fffd}b<") && !odd.contains(['\u{1}', '\u{202e}']), "{odd}");
        let long = drawn(&batch(&"x".repeat(200), BatchState::Succeeded, 0));
        assert!(long.contains(&format!("{}…<", "x".repeat(40))) && long.contains(">finished<"), "{long}");
    }

    #[test]
    fn the_text_says_the_same() {
        let text = status_text(&batch("photos", BatchState::Running, 3));
        assert_eq!(text, "photos\nrunning: 623 of 1,000 items ended (62.3 %), 3 failed\n");
    }
}
