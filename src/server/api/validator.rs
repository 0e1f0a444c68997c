//! Reads that can be asked again cheaply: every JSON answer to a GET carries an `ETag`, and `If-None-Match` with it is
//! answered by 304 and nothing else.
//!
//! The tags are weak: an answer may be compressed or not. A handler that knows what its answer depends on says the tag
//! itself, before it makes the answer ([`batch_tag`]); of every other answer it is a hash of its bytes.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, RANGE};
use http::{HeaderValue, Method, StatusCode};

use crate::protocol::Batch;
use crate::server::results::is_known;

/// Bytes of the hash that a tag shows: 128 bits.
const TAG_HASH_BYTES: usize = 16;

/// The tag of a batch: its `rev`, and its rate and estimate while there are any, which change between commits.
pub fn batch_tag(batch: &Batch) -> HeaderValue {
    let mut tag = format!("W/\"{}", batch.rev);
    if let Some(rate) = batch.rate_per_s {
        tag.push_str(&format!("-{:x}", rate.to_bits()));
    }
    if let Some((least, most)) = batch.eta_ms {
        tag.push_str(&format!("-{least}-{most}"));
    }
    tag.push('"');
    HeaderValue::try_from(tag).expect("a tag of digits is a header")
}

/// 304 with the tag.
pub fn not_modified(tag: HeaderValue) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response()
}

/// Gives JSON answers their tag, and leaves out what the asker has.
pub async fn validate(mut request: Request, next: Next) -> Response {
    if *request.method() == Method::HEAD {
        // Answered as a GET and tagged by what that says; the router takes the body away. A part can be asked for by GET
        // only (RFC 9110, section 14.2).
        *request.method_mut() = Method::GET;
        request.headers_mut().remove(RANGE);
    }
    if *request.method() != Method::GET {
        return next.run(request).await;
    }
    let asked = request.headers().clone();
    let response = next.run(request).await;
    if !is_whole_json(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    if let Some(tag) = parts.headers.get(ETAG) {
        let known = is_known(&asked, tag).then(|| tag.clone());
        return known.map_or_else(|| Response::from_parts(parts, body), not_modified);
    }
    let bytes = to_bytes(body, usize::MAX).await.expect("what is held in memory can be read");
    let hash = blake3::hash(&bytes);
    let tag = format!("W/\"{}\"", hex::encode(&hash.as_bytes()[..TAG_HASH_BYTES]));
    let tag = HeaderValue::try_from(tag).expect("a tag of digits is a header");
    if is_known(&asked, &tag) {
        return not_modified(tag);
    }
    parts.headers.insert(ETAG, tag);
    Response::from_parts(parts, Body::from(bytes))
}

/// True for an answer of this API that is held in memory: no file, no stream.
fn is_whole_json(response: &Response) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::OK
        && headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json")
        && !headers.contains_key(CONTENT_DISPOSITION)
        && response.body().size_hint().exact().is_some()
}
