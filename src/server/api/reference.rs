//! `GET /api`: the description of the API for people, open to everybody as the document is.
//!
//! The page is RapiDoc, from this server alone, and nothing else loads it. It writes style attributes, so styles may
//! stand in this one page; scripts come from files of the site only, and nothing is asked of another host.

use axum::response::{Html, IntoResponse};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};

use crate::server::assets;

/// Scripts and data from here; styles also in the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `GET /api`
pub async fn reference() -> impl IntoResponse {
    let script = assets::reference_script();
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>API · milepost</title><link rel=\"icon\" href=\"/favicon.svg\">\
         <script src=\"/reference.js\" defer></script><script type=\"module\" src=\"{script}\"></script></head>\
         <body style=\"margin:0\"><noscript><p>This page needs scripts. The document itself is \
         <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p></noscript>\
         <rapi-doc spec-url=\"/api/openapi.json\" load-fonts=\"false\" render-style=\"read\" show-header=\"false\" \
         regular-font=\"system-ui, sans-serif\" mono-font=\"ui-monospace, monospace\" \
         allow-spec-url-load=\"false\" allow-spec-file-load=\"false\" allow-server-selection=\"false\" \
         schema-description-expanded=\"true\"></rapi-doc></body></html>"
    );
    ([(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))], Html(page))
}
