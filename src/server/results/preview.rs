//! The start of a file as plain text, for a frame on the item's page: whatever the file is, nothing of it is markup.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use http::{HeaderValue, header};

use crate::protocol::ApiError;
use crate::server::live::Permit;
use crate::server::state::AppState;
use crate::store::{FileRecord, FileSide, StoreError};

/// Bytes of a file that are shown; the rest is for whoever downloads it.
const START_BYTES_MAX: u64 = 64 * 1024;

/// Nothing runs or loads, and only this site's own pages frame it.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; base-uri 'none'; frame-ancestors 'self'");

/// In which shape a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Its start as plain text.
    Text,
}

impl Shape {
    pub(super) fn parse(text: &str) -> Option<Self> {
        (text == "text").then_some(Self::Text)
    }
}

/// Which of two files of one name.
pub(super) fn side(text: &str) -> Option<FileSide> {
    match text {
        "input" => Some(FileSide::Input),
        "output" => Some(FileSide::Output),
        _ => None,
    }
}

/// The start of `file`, never cut in a character. It holds its place among the downloads until it has been read.
///
/// # Errors
/// Outages.
pub(super) async fn start(state: &AppState, file: &FileRecord, _place: Permit) -> Result<Response, ApiError> {
    let files = state.service.parts().store.file_store();
    let content = files.read_range(&file.key, 0..file.row.bytes.min(START_BYTES_MAX)).await?;
    let gathered = content.try_fold(Vec::new(), async |mut all, chunk| {
        all.extend_from_slice(&chunk);
        Ok(all)
    });
    let mut text = gathered.await.map_err(StoreError::from)?;
    if let Err(fault) = std::str::from_utf8(&text)
        && fault.error_len().is_none()
    {
        text.truncate(fault.valid_up_to());
    }
    let mut response = Body::from(text).into_response();
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    headers.insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    Ok(response)
}
