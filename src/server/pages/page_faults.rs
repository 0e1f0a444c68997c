//! What failed in people's browsers, as their pages tell it.
//!
//! Anybody may tell, so what is kept is one number, and what is logged is bounded in size and rate.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::StatusCode;
use serde::Deserialize;

use crate::protocol::{ApiError, ErrorCode};
use crate::server::state::AppState;

/// Bytes of what a page tells; more are refused with 413. The bootstrap cuts its message far below.
const TOLD_BYTES_MAX: usize = 8 * 1024;
/// Lines in the log for it in a minute, of all pages together; more are counted and answered 429.
const LOGGED_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).expect("not zero");

/// How many pages have failed.
pub struct PageFaults {
    reported: AtomicU64,
    logged: DefaultDirectRateLimiter,
}

impl Default for PageFaults {
    fn default() -> Self {
        let logged = RateLimiter::direct(Quota::per_minute(LOGGED_PER_MINUTE));
        Self { reported: AtomicU64::new(0), logged }
    }
}

impl PageFaults {
    /// Faults told since the start.
    #[must_use]
    pub fn reported(&self) -> u64 {
        self.reported.load(Ordering::Relaxed)
    }
}

/// What a page tells.
#[derive(Deserialize)]
struct FaultReport {
    build: String,
    path: String,
    message: String,
}

/// `POST /page-faults`.
///
/// # Errors
/// `too_large`, `malformed`, `too_many` beyond what is logged in a minute.
pub async fn report(State(state): State<AppState>, request: Request) -> Result<StatusCode, ApiError> {
    let body = to_bytes(request.into_body(), TOLD_BYTES_MAX).await.map_err(|_long| {
        ApiError::new(ErrorCode::TooLarge, format!("At most {TOLD_BYTES_MAX} bytes are taken here."))
    })?;
    let FaultReport { build, path, message } = serde_json::from_slice(&body)
        .map_err(|_form| ApiError::malformed("Expected build, path and message as JSON."))?;
    state.page_faults.reported.fetch_add(1, Ordering::Relaxed);
    if state.page_faults.logged.check().is_err() {
        return Err(ApiError::new(ErrorCode::TooMany, "Too many pages have told of faults in this minute."));
    }
    // As written by whoever sent it: in quotes and escaped.
    tracing::warn!(?build, ?path, said = ?message, "a page has failed in a browser");
    Ok(StatusCode::NO_CONTENT)
}
