//! A refusal as a page: people get sentences where programs get problem+json.
//!
//! Status and headers are the refusal's own, and the API's are left alone. The page needs neither app nor database:
//! it is what is shown when they fail. Where the refusal says when to come back (`Retry-After`, while the database is
//! away), the page looks again by itself.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method, header};
use serde::Deserialize;

use crate::client::words;
use crate::server::assets;
use crate::server::gate::{accepts_html, is_for_programs};

/// Bytes of a problem; ours are far smaller.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;
/// The page has a style sheet and nothing else.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'");

/// The members of a problem that people read.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
}

/// Answers people with a page where the answer is a problem.
pub async fn for_people(request: Request, next: Next) -> Response {
    let for_programs = is_for_programs(request.uri().path());
    let by_person = accepts_html(request.headers()) && !for_programs && *request.method() != Method::HEAD;
    let is_read = *request.method() == Method::GET;
    let response = next.run(request).await;
    let is_problem = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes)
        == Some(b"application/problem+json");
    if !by_person || !is_problem {
        return response;
    }
    // Only what changes nothing is asked for again.
    let again = response.headers().get(header::RETRY_AFTER).filter(|_| is_read);
    let again_seconds = again.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    as_page(response, again_seconds).await
}

async fn as_page(response: Response, again_seconds: Option<u64>) -> Response {
    let (mut parts, body) = response.into_parts();
    let problem = to_bytes(body, PROBLEM_BYTES_MAX).await.ok();
    let problem = problem.and_then(|bytes| serde_json::from_slice::<Problem>(&bytes).ok());
    let Problem { title, detail } =
        problem.unwrap_or(Problem { title: "Refused".to_owned(), detail: String::new() });
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    parts.headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page(&title, &detail, again_seconds)))
}

fn page(title: &str, detail: &str, again_seconds: Option<u64>) -> String {
    let (refresh, hint) = match again_seconds {
        Some(seconds) => (
            format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">"),
            "<p>Nothing is lost. This page looks again by itself.</p>",
        ),
        None => (String::new(), ""),
    };
    let (title, detail, css) = (words::escaped(title), words::escaped(detail), assets::addresses().css);
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{refresh}\
         <link rel=\"stylesheet\" href=\"{css}\"><title>{title} · milepost</title></head>\
         <body><main id=\"main\"><section class=\"page page-narrow\"><h1>{title}</h1>\
         <p role=\"alert\">{detail}</p>{hint}<p><a class=\"button\" href=\"/\">Batches</a></p></section></main></body></html>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_text() {
        let page = page("Not found", "</p><script>&", None);
        assert!(page.contains("&lt;/p&gt;&lt;script&gt;&amp;"));
        assert!(!page.contains("<script") && !page.contains("refresh"));
    }

    #[test]
    fn a_refusal_that_passes_is_looked_at_again() {
        assert!(
            page("Busy", "The database does not answer.", Some(2))
                .contains("http-equiv=\"refresh\" content=\"2\"")
        );
    }
}
