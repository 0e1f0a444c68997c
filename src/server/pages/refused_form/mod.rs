//! A form that was posted without scripts and is refused: its page once more, with what was typed and the reason at the field.
//!
//! ```text
//! mod      the way of such a post      posted   what was typed      refill   puts it into the page      markup   tags of our HTML
//! ```
//!
//! The page is the answer to the post itself: nothing of it is in an address, and nothing is kept. Its forms say by `from`
//! which page they stand on, since their browser names the address of the post. Files cannot be given back.

mod markup;
mod posted;
mod refill;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use leptos::server_fn::error::ServerFnUrlError;

use self::posted::Posted;
use super::render;
use crate::protocol::ApiError;
use crate::server::gate::accepts_html;
use crate::server::gate::auth::query_value;
use crate::server::state::AppState;

/// Bytes of a post that are held until it is answered: what was typed beyond them is not given back.
const HELD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a page at most; a larger one is not shown again.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The query parameter by which a form says where it stands.
const FROM: &str = "from";

/// Answers a refused post of a page's form with the page.
pub async fn show_again(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_form = request.method() == Method::POST
        && request.uri().path().starts_with("/api/")
        && accepts_html(request.headers());
    if !is_form {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    if let Some(from) = from_page(&parts.uri) {
        lead_back(&mut parts.headers, &from);
    }
    let asked = parts.clone();
    let (held, body) = held(body).await;
    let response = next.run(Request::from_parts(parts, body)).await;
    match refusal_in(&response) {
        Some(refusal) => again(state, asked, refusal, &held).await.unwrap_or(response),
        None => response,
    }
}

/// The start of a body, and all of it.
async fn held(body: Body) -> (Vec<u8>, Body) {
    let mut stream = body.into_data_stream();
    let (mut held, mut chunks) = (Vec::new(), Vec::<Result<Bytes, axum::Error>>::new());
    while held.len() < HELD_BYTES_MAX {
        let Some(chunk) = stream.next().await else { break };
        if let Ok(bytes) = &chunk {
            held.extend_from_slice(&bytes[..bytes.len().min(HELD_BYTES_MAX - held.len())]);
        }
        let failed = chunk.is_err();
        chunks.push(chunk);
        if failed {
            break;
        }
    }
    let whole = futures_util::stream::iter(chunks).chain(stream).map_err(axum::Error::new);
    (held, Body::from_stream(whole))
}

/// The page on which the form stands, as it says itself; none where that is no address here.
fn from_page(uri: &Uri) -> Option<String> {
    let from = url::form_urlencoded::parse(uri.query()?.as_bytes()).find(|(name, _value)| name == FROM)?.1;
    let here = from.starts_with('/') && !from[1..].starts_with(['/', '\\']);
    here.then(|| from.into_owned())
}

/// Has whoever leads back to where a form came from lead to its page.
fn lead_back(headers: &mut HeaderMap, from: &str) {
    let came = headers.get(header::REFERER).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let Some((scheme, authority)) = came.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)))
    else {
        return;
    };
    if let Ok(referer) = HeaderValue::from_str(&format!("{scheme}://{authority}{from}")) {
        headers.insert(header::REFERER, referer);
    }
}

/// Why a post was refused, and where its answer leads to.
struct Refusal {
    /// Address of the function.
    function: String,
    /// The error, as it stood in the address.
    error: String,
    /// The page.
    page: String,
}

/// What is refused leads back with the reason in the address.
fn refusal_in(response: &Response) -> Option<Refusal> {
    if !response.status().is_redirection() {
        return None;
    }
    let location: Uri = response.headers().get(header::LOCATION)?.to_str().ok()?.parse().ok()?;
    let (mut function, mut error) = (None, None);
    let mut kept = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(location.query()?.as_bytes()) {
        match &*name {
            "__path" => function = Some(value.into_owned()),
            "__err" => error = Some(value.into_owned()),
            _ => drop(kept.append_pair(&name, &value)),
        }
    }
    let query = kept.finish();
    let page = match query.as_str() {
        "" => location.path().to_owned(),
        query => format!("{}?{query}", location.path()),
    };
    Some(Refusal { function: function?, error: error?, page })
}

/// The page of a form that was refused; none where there is no such page.
async fn again(state: AppState, asked: Parts, refusal: Refusal, held: &[u8]) -> Option<Response> {
    let kind = asked.headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
    let error: ApiError = ServerFnUrlError::decode_err(&refusal.error);
    let posted = Posted::read(&kind, held).await;
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = refusal.page.parse().ok()?;
    *request.extensions_mut() = asked.extensions;
    *request.headers_mut() = asked.headers;
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    let page = render::refused(state, request, (&refusal.function, &refusal.error)).await;
    if page.status() != StatusCode::OK {
        return None;
    }
    let (mut parts, body) = page.into_parts();
    let html = axum::body::to_bytes(body, PAGE_BYTES_MAX).await.ok()?;
    let html = std::str::from_utf8(&html).ok()?;
    let from = format!("?{FROM}={}", query_value(&refusal.page));
    let filled = refill::refilled(html, &refusal.function, &from, &posted, &error.detail);
    parts.status = StatusCode::from_u16(error.code.status()).expect("every code has a valid status");
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(seconds) = error.retry_after_seconds {
        parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(Response::from_parts(parts, Body::from(filled)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_where_it_stands_and_only_here() {
        for (address, page) in [
            ("/api/submit_form1?from=%2Fnew%3Ftask%3Ddemo", Some("/new?task=demo")),
            ("/api/submit_form1?from=%2F%2Fevil.example", None),
            ("/api/submit_form1?from=%2F%5Cevil.example", None),
            ("/api/submit_form1?from=https%3A%2F%2Fevil.example", None),
            ("/api/submit_form1", None),
        ] {
            assert_eq!(from_page(&address.parse().unwrap()).as_deref(), page, "{address}");
        }
    }

    #[tokio::test]
    async fn a_post_is_passed_on_whole() {
        let long = "x".repeat(HELD_BYTES_MAX + 10);
        let (held, body) = held(Body::from(long.clone())).await;
        assert_eq!(held.len(), HELD_BYTES_MAX);
        assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), long);
    }
}
