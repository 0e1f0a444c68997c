//! Results and files as downloads, streamed.
//!
//! ```text
//! pages   rows in order, by pages     table    rows → CSV      archive      files → zip     entry_name   names inside it
//! name    safe names of downloads     attachment   headers and parts        conditions   what the client has already
//! preview the start of a file, as plain text
//! ```
//!
//! Memory is bounded by a page, and the number of downloads by person and in all; none holds a thread; a stream that
//! fails ends the connection, never the text. How slowly one may be taken is the connection's business (`paced`),
//! that it ends with its caller's right is `revocation_watch`'s.

mod archive;
mod attachment;
mod conditions;
mod entry_name;
mod name;
mod pages;
mod preview;
mod table;

use std::io;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::attachment::{Attachment, admit, beyond, length, window};
use self::conditions::asked_range;
pub(super) use self::conditions::is_known;
use self::pages::Pages;
use self::table::{ByteOrderMark, Table};
use super::extract::{PathParams, QueryParams, Who};
use super::state::AppState;
use crate::protocol::{ApiError, BatchId, ItemState};
use crate::service::Caller;
use crate::store::{BatchRecord, ContentStream, StoreError};

/// Downloads of all callers at once; one more is answered 429.
pub(super) const DOWNLOADS_MAX: usize = 256;
/// Downloads of one person or token at once; one more is answered 429.
pub(super) const DOWNLOADS_PER_PERSON_MAX: usize = 32;

/// `true` where the results are of a batch that has not finished.
const PARTIAL: HeaderName = HeaderName::from_static("milepost-partial");
/// Hexadecimal digits of a content's hash that stand for it.
const ETAG_DIGITS: usize = 32;

/// In which shape results are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
    Zip,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "csv" => Some(Self::Csv),
            "ndjson" => Some(Self::Ndjson),
            "zip" => Some(Self::Zip),
            _ => None,
        }
    }

    fn facts(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("csv", "text/csv; charset=utf-8"),
            Self::Ndjson => ("ndjson", "application/x-ndjson"),
            Self::Zip => ("zip", "application/zip"),
        }
    }
}

/// What is asked for of a batch's results.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    format: Format,
    only: Option<ItemState>,
    mark: ByteOrderMark,
}

impl Wanted {
    fn read(params: &QueryParams) -> Result<Self, ApiError> {
        let format = params.word("format", "csv, ndjson, zip", Format::parse)?.unwrap_or(Format::Ndjson);
        let failed = |text: &str| ItemState::parse(text).filter(|state| *state == ItemState::Failed);
        let only = params.word("only", "failed", failed)?;
        let mark = params.word("bom", "true, false", ByteOrderMark::parse)?.unwrap_or(ByteOrderMark::Absent);
        if mark == ByteOrderMark::First && format != Format::Csv {
            return Err(ApiError::malformed("bom: expected with format=csv only."));
        }
        Ok(Self { format, only, mark })
    }

    /// Stands for the bytes, once the batch has finished: what changes it later grows its `rev`.
    fn etag(self, batch: &BatchRecord) -> Option<HeaderValue> {
        let (format, version) = (self.format.facts().0, env!("CARGO_PKG_VERSION"));
        let only = self.only.map_or("all", ItemState::as_str);
        let mark = if self.mark == ByteOrderMark::First { "-bom" } else { "" };
        let etag = format!("\"{}-{}-{version}-{only}-{format}{mark}\"", batch.id, batch.rev);
        let etag = HeaderValue::try_from(etag).expect("an id, numbers and words are plain ASCII");
        batch.state.is_finished().then_some(etag)
    }
}

/// `GET /batches/{id}/results?format=csv|ndjson|zip&only=failed&bom=true`
pub async fn results(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    results_of(&state, &caller, place.batch()?, &params, &method, &headers).await
}

/// The results of a batch, as the query wants them.
///
/// # Errors
/// `malformed`, `not_found`, `too_many` downloads, outages.
pub async fn results_of(
    state: &AppState,
    caller: &Caller,
    batch: BatchId,
    params: &QueryParams,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(params)?;
    let batch = state.service.visible(caller, batch).await?;
    let download = admit(state, caller)?;
    let (extension, media_type) = wanted.format.facts();
    let attachment = Attachment {
        file: format!("{}-results.{extension}", name::stem(&batch.name, batch.key)),
        media_type: media_type.to_owned(),
        etag: wanted.etag(&batch),
        has_ranges: batch.state.is_finished() && wanted.format != Format::Zip,
    };
    if attachment.etag.as_ref().is_some_and(|etag| is_known(headers, etag)) {
        return Ok(attachment.known(download));
    }
    let mut pages = Pages::new(state.service.parts().store.clone(), batch.clone(), wanted.only);
    if wanted.format == Format::Zip {
        return Ok(with_partial(&batch, attachment.whole(archive::content(pages), None, download)));
    }
    let asked = attachment.etag.as_ref().filter(|_| attachment.has_ranges);
    if let Some(asked) = asked.and_then(|etag| asked_range(method, headers, etag)) {
        // How long it is shows only by making it: that is done for whoever goes on with a download, not for all.
        let length = length(lines(wanted, pages.clone(), None)).await.map_err(StoreError::from)?;
        return Ok(match asked.within(length) {
            Some(range) => {
                let content = window(lines(wanted, pages, None), range.clone());
                attachment.part(content, &range, length, download)
            }
            None => beyond(length),
        });
    }
    // The first page is read before the answer begins, so that an outage can still be told.
    let first = pages.next().await?;
    Ok(with_partial(&batch, attachment.whole(lines(wanted, pages, Some(first)), None, download)))
}

/// Says where results are of a batch that has not finished.
fn with_partial(batch: &BatchRecord, mut response: Response) -> Response {
    if !batch.state.is_finished() {
        response.headers_mut().insert(PARTIAL, HeaderValue::from_static("true"));
    }
    response
}

/// A page that was read ahead; none at the end.
type FirstPage = Option<Vec<pages::ResultItem>>;

/// Pages as text, each made when the client has taken the one before; `first` where it was read already.
fn lines(wanted: Wanted, pages: Pages, first: Option<FirstPage>) -> ContentStream {
    let is_csv = wanted.format == Format::Csv;
    let table = Table::new(pages.batch());
    let head = if is_csv { table.header(wanted.mark) } else { Vec::new() };
    let begun = stream::iter([Ok::<Bytes, io::Error>(head.into())]);
    let pages = stream::try_unfold((pages, table, first), move |(mut pages, table, first)| async move {
        let page = match first {
            Some(page) => page,
            None => pages.next().await.map_err(io::Error::other)?,
        };
        Ok(page.map(|page| {
            let text = if is_csv { table.rows(&page) } else { ndjson(&page) };
            (Bytes::from(text), (pages, table, None))
        }))
    });
    let log_fault = |part: &io::Result<Bytes>| {
        if let Err(fault) = part {
            tracing::warn!(%fault, "a download of results was broken off");
        }
    };
    begun.chain(pages).inspect(log_fault).boxed()
}

/// One item row a line.
fn ndjson(page: &[pages::ResultItem]) -> Vec<u8> {
    let mut text = Vec::with_capacity(page.len() * 128);
    for item in page {
        serde_json::to_writer(&mut text, item).expect("rows hold only text, numbers and valid JSON");
        text.push(b'\n');
    }
    text
}

/// `GET /batches/{id}/items/{seq}/files/{name}?side=input|output&as=text`
pub async fn file(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    file_of(&state, &caller, place.batch()?, (&place, &params), &method, &headers).await
}

/// The file of an item of `batch` that path and query name, or its start as text.
///
/// # Errors
/// `malformed`, `not_found`, `too_many` downloads, outages.
pub async fn file_of(
    state: &AppState,
    caller: &Caller,
    batch: BatchId,
    (place, params): (&PathParams, &QueryParams),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let side = params.word("side", "input, output", preview::side)?;
    let shape = params.word("as", "text", preview::Shape::parse)?;
    let found = state.service.file(caller, batch, place.seq()?, place.text("name"), side).await?;
    let download = admit(state, caller)?;
    if shape == Some(preview::Shape::Text) {
        return preview::start(state, &found, download).await;
    }
    let hash = found.blake3.get(..ETAG_DIGITS).unwrap_or(&found.blake3);
    // Without a hash, which a row of an earlier version may lack, nothing stands for the bytes.
    let etag = HeaderValue::try_from(format!("\"{hash}\"")).ok().filter(|_| !hash.is_empty());
    let attachment =
        Attachment { file: found.row.name, media_type: found.row.media_type, etag, has_ranges: true };
    let etag = attachment.etag.as_ref();
    if etag.is_some_and(|etag| is_known(headers, etag)) {
        return Ok(attachment.known(download));
    }
    let (files, length) = (state.service.parts().store.file_store(), found.row.bytes);
    let Some(asked) = etag.and_then(|etag| asked_range(method, headers, etag)) else {
        let content = files.read_range(&found.key, 0..length).await?;
        return Ok(attachment.whole(content, Some(length), download));
    };
    let Some(range) = asked.within(length) else { return Ok(beyond(length)) };
    let content = files.read_range(&found.key, range.clone()).await?;
    Ok(attachment.part(content, &range, length, download))
}
