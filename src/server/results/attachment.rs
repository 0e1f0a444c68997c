//! A download as an answer: its headers, the part that is asked for, and its place among all downloads.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderValue, StatusCode, header};

use super::name;
use crate::protocol::{ApiError, ErrorCode};
use crate::server::live::{Full, Permit};
use crate::server::state::AppState;
use crate::server::transport::HeldBody;
use crate::service::Caller;
use crate::store::ContentStream;

/// Seconds after which a refused download may be tried again.
const DOWNLOAD_RETRY_SECONDS: u64 = 5;

/// A file of somebody may be anything: no page may run it.
const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// A place among the downloads, until the answer has left.
pub(super) fn admit(state: &AppState, caller: &Caller) -> Result<Permit, ApiError> {
    // Bounded by person and in all: from where they come is the connection's business.
    let anywhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    state.downloads.take(&caller.name, anywhere).map_err(|full| {
        let who = match full {
            Full::Person => "You have",
            Full::Address | Full::All => "There are",
        };
        let detail = format!("{who} too many downloads under way; try again when one has ended.");
        let mut refusal = ApiError::new(ErrorCode::TooMany, detail);
        refusal.retry_after_seconds = Some(DOWNLOAD_RETRY_SECONDS);
        refusal
    })
}

/// What is told of a download whatever of it is sent.
pub(super) struct Attachment {
    /// Name of the file that it becomes.
    pub file: String,
    pub media_type: String,
    /// Stands for its bytes; none where they may still change.
    pub etag: Option<HeaderValue>,
    /// A part of it can be asked for.
    pub has_ranges: bool,
}

/// An answer without content.
pub(super) fn nothing() -> ContentStream {
    stream::empty().boxed()
}

impl Attachment {
    /// All of it; `length` where it is known.
    pub(super) fn whole(&self, content: ContentStream, length: Option<u64>, place: Permit) -> Response {
        let mut response = self.answer(StatusCode::OK, content, place);
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }

    /// The bytes of `range`, which is all that `content` holds.
    pub(super) fn part(
        &self,
        content: ContentStream,
        range: &Range<u64>,
        length: u64,
        place: Permit,
    ) -> Response {
        let mut response = self.answer(StatusCode::PARTIAL_CONTENT, content, place);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        let within = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(within).expect("only digits are in it"));
        response
    }

    /// 304: the sender has it.
    pub(super) fn known(&self, place: Permit) -> Response {
        let mut response = self.answer(StatusCode::NOT_MODIFIED, nothing(), place);
        response.headers_mut().remove(header::CONTENT_DISPOSITION);
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    }

    fn answer(&self, status: StatusCode, content: ContentStream, place: Permit) -> Response {
        let octets = HeaderValue::from_static("application/octet-stream");
        let body = Body::new(HeldBody::new(Body::from_stream(content), place));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(&self.media_type).unwrap_or(octets));
        headers.insert(header::CONTENT_DISPOSITION, name::disposition(&self.file));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        let ranges = if self.has_ranges { "bytes" } else { "none" };
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static(ranges));
        if let Some(etag) = &self.etag {
            headers.insert(header::ETAG, etag.clone());
        }
        response
    }
}

/// 416: of `length` bytes none is in the part that is asked for.
pub(super) fn beyond(length: u64) -> Response {
    let detail = format!("Range: expected a part of {length} bytes.");
    let mut response = ApiError::new(ErrorCode::RangeNotSatisfiable, detail).into_response();
    let of = HeaderValue::try_from(format!("bytes */{length}")).expect("only digits are in it");
    response.headers_mut().insert(header::CONTENT_RANGE, of);
    response
}

/// The bytes of `range` out of a content that is made from its start on. One that ends sooner fails.
pub(super) fn window(content: ContentStream, range: Range<u64>) -> ContentStream {
    let begin = (content, range.start, range.end - range.start);
    let next = async |(mut content, mut skip, left): (ContentStream, u64, u64)| {
        if left == 0 {
            return Ok(None);
        }
        loop {
            let Some(chunk) = content.next().await else {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            };
            let chunk = chunk?;
            let length = chunk.len() as u64;
            if length <= skip {
                skip -= length;
                continue;
            }
            let taken = (length - skip).min(left);
            let at = |bytes: u64| usize::try_from(bytes).expect("is within a chunk");
            let part: Bytes = chunk.slice(at(skip)..at(skip + taken));
            return Ok(Some((part, (content, 0, left - taken))));
        }
    };
    stream::try_unfold(begin, next).boxed()
}

/// How many bytes a content has, by making all of it.
pub(super) async fn length(mut content: impl Stream<Item = io::Result<Bytes>> + Unpin) -> io::Result<u64> {
    let mut length = 0;
    while let Some(chunk) = content.next().await {
        length += chunk?.len() as u64;
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> ContentStream {
        let chunks = ["abc", "", "defg", "h"].map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
        stream::iter(chunks).boxed()
    }

    #[tokio::test]
    async fn every_part_is_the_part_of_the_whole() {
        assert_eq!(length(content()).await.unwrap(), 8);
        for first in 0..8 {
            for end in first + 1..=8 {
                let chunks: Vec<_> = window(content(), first..end).collect().await;
                let text: Vec<u8> = chunks.into_iter().flat_map(Result::unwrap).collect();
                assert_eq!(text, &b"abcdefgh"[first as usize..end as usize]);
            }
        }
        let short: Vec<_> = window(content(), 4..9).collect().await;
        assert!(short.last().unwrap().is_err());
    }
}
