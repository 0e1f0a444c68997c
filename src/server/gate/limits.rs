//! What every answer carries and what every request is held to.
//!
//! No answer leaves without a content security policy; no request can hold a connection by saying nothing.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Version, header};

use crate::formats::form::multipart_bounds::bounded;
use crate::protocol::{ApiError, ErrorCode};
use crate::server::state::AppState;

/// How long the body of a request may say nothing, and how far it may fall behind its least rate.
pub const BODY_WAIT_MAX: Duration = Duration::from_mins(1);
/// Bytes a second, on average, of a body that its sender has at hand: JSON, a form.
pub const BODY_BYTES_PER_S_MIN: u64 = 1024;
/// Bytes a second, on average, of a body that carries items: they may be sent as they are made.
pub const STREAM_BYTES_PER_S_MIN: u64 = 10;

/// For whatever is no page: nothing may run, nothing may frame it.
const POLICY_ELSEWHERE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; frame-ancestors 'none'");

const ALWAYS: [(HeaderName, HeaderValue); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CONTENT_SECURITY_POLICY, POLICY_ELSEWHERE),
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
];

/// The policy of a page: only scripts with this answer's nonce, and what they load.
#[must_use]
pub fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; \
         manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Refuses a body that says itself to be larger than `bytes_max`; one that does not say is held to it as it comes.
pub async fn refuse_large(State(bytes_max): State<u64>, request: Request, next: Next) -> Response {
    let said =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if said.is_some_and(|bytes: u64| bytes > bytes_max) {
        let detail = format!("A body here has at most {bytes_max} bytes.");
        return ApiError::new(ErrorCode::TooLarge, detail).into_response();
    }
    next.run(request).await
}

/// Bounds what the reader of a form must hold, whoever reads it.
pub async fn guard_forms(request: Request, next: Next) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(Ok(boundary)) = kind.map(multer::parse_boundary) else { return next.run(request).await };
    let bounded_request = request.map(|body| {
        let bytes = body.into_data_stream().map_err(std::io::Error::other);
        Body::from_stream(bounded(Box::pin(bytes), &boundary))
    });
    next.run(bounded_request).await
}

/// Refuses a request that does not say, or says twice, which host it is for (RFC 9112 §3.2): two readers of it could
/// take it for two different ones.
pub async fn one_host(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let is_named = match (first, second) {
        (Some(host), None) => host.to_str().is_ok_and(|host| host.parse::<Authority>().is_ok()),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if is_named {
        return next.run(request).await;
    }
    ApiError::malformed("Host: expected exactly one, with a host and a port.").into_response()
}

/// Gives every answer the headers that it has not set itself.
pub async fn harden(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(value);
    }
    if state.site.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(year);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_allow_no_inline_script() {
        let policy = page_policy("abc");
        assert!(policy.contains("script-src 'nonce-abc' 'strict-dynamic' 'wasm-unsafe-eval';"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
    }
}
