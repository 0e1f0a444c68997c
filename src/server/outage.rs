//! The page that people see while the database is away.
//!
//! Called where nobody can say who asks, so the app cannot be shown. Invariant: it needs nothing but this process, its
//! status is that of the refusal, and it looks again by itself. Deliberately no page of the app: that would promise rows.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::assets;
use crate::protocol::ApiError;

/// Seconds until the page looks again, where the refusal names none.
const LOOK_AGAIN_SECONDS: u64 = 2;
/// Its style sheet and its reload, nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `refusal` as a page.
#[must_use]
pub fn page(refusal: &ApiError) -> Response {
    let status = StatusCode::from_u16(refusal.code.status()).expect("every code has a valid status");
    let seconds = refusal.retry_after_seconds.unwrap_or(LOOK_AGAIN_SECONDS);
    let (css, title) = (assets::addresses().css, refusal.code.title());
    let body = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"{seconds}\"><title>{title} · Milepost</title>\
         <link rel=\"stylesheet\" href=\"{css}\"></head><body><main><h1>{title}</h1><p>{}</p>\
         <p>Nothing is lost: work goes on as soon as the database answers. This page looks again by itself.</p>\
         </main></body></html>",
        escape(&refusal.detail)
    );
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Text between elements.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    #[test]
    fn it_says_when_to_come_back() {
        let response = page(&ApiError::new(ErrorCode::Busy, "a < b"));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
    }
}
