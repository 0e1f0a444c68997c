//! Refusals as HTTP answers: RFC 9457, `application/problem+json`.
//!
//! Used by every handler that answers programs. Status, code, `Retry-After` and `Upload-Offset` are the error's own.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::protocol::ApiError;

/// Bytes of an upload that survive, and those before a piece of it.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).expect("every code has a valid status");
        let mut response = (status, self.problem().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(offset) = self.offset {
            headers.insert(UPLOAD_OFFSET, HeaderValue::from(offset));
        }
        response
    }
}
