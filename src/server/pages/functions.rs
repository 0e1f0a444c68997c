//! What the pages' own calls answer, as HTTP has it.
//!
//! A refusal has the status of its code and not 500, which is left for defects; after a plain form people land on a
//! page of this installation, whatever their browser says they came from.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::protocol::ApiError;
use crate::server::policy;
use crate::server::state::AppState;

/// Bytes of a refusal at most; a longer body is none, and is answered as a defect.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Lets nobody call what has no policy, gives refusals their status, and keeps redirects here.
pub async fn answers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/") {
        return next.run(request).await;
    }
    if policy::of_function(path).is_none() {
        return ApiError::not_found("address").into_response();
    }
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let host = request.headers().get(header::HOST).cloned();
    let response = next.run(request).await;
    match response.status() {
        StatusCode::INTERNAL_SERVER_ERROR => with_own_status(response).await,
        status if status.is_redirection() => kept_here(response, state.site.origin(), host.as_ref()),
        _ => response,
    }
}

async fn with_own_status(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await else {
        return ApiError::internal().into_response();
    };
    if let Ok(refusal) = serde_json::from_slice::<ApiError>(&bytes) {
        parts.status = StatusCode::from_u16(refusal.code.status()).expect("every code has a valid status");
        if let Some(seconds) = refusal.retry_after_seconds {
            parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Of an address elsewhere, nothing is left: people land on the first page.
fn kept_here(mut response: Response, origin: Option<&str>, host: Option<&HeaderValue>) -> Response {
    if !is_here(response.headers(), origin, host) {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    }
    response
}

fn is_here(headers: &HeaderMap, origin: Option<&str>, host: Option<&HeaderValue>) -> bool {
    let Some(location) = headers.get(header::LOCATION).and_then(|location| location.to_str().ok()) else {
        return false;
    };
    if let Some(path) = location.strip_prefix('/') {
        // Browsers read both as the start of another host.
        return !path.starts_with(['/', '\\']);
    }
    let Ok(uri) = location.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    match origin {
        Some(origin) => format!("{scheme}://{authority}").eq_ignore_ascii_case(origin),
        None => host
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| authority.as_str().eq_ignore_ascii_case(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_here() {
        let host = HeaderValue::from_static("m.example");
        for (location, origin, here) in [
            ("/batches/1", None, true),
            ("//evil.example", None, false),
            ("/\\evil.example", None, false),
            ("http://m.example/batches?__err=x", None, true),
            ("https://evil.example/?__err=x", None, false),
            ("http://m.example@evil.example/", None, false),
            ("http://m.example/", Some("https://m.example"), false),
            ("https://m.example/x", Some("https://m.example"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().unwrap());
            assert_eq!(is_here(&headers, origin, Some(&host)), here, "{location}");
        }
    }
}
