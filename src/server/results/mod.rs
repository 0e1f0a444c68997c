//! Results and files as downloads, streamed.
//!
//! ```text
//! pages   rows in order, by pages           table   rows → CSV     archive   files → zip     name   safe file names
//! ```
//!
//! Memory is bounded by a page, and the number of downloads by person and in all; none holds a thread; a stream that
//! fails ends the connection, never the text. How slowly one may be taken is the connection's business (`paced`),
//! that it ends with its caller's right is `revocation_watch`'s.

mod archive;
mod name;
mod pages;
mod table;

use std::net::{IpAddr, Ipv6Addr};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderValue, header};

use self::pages::Pages;
use self::table::Table;
use super::extract::{PathParams, QueryParams, Who};
use super::live::{Full, Permit};
use super::state::AppState;
use super::transport::HeldBody;
use crate::protocol::{ApiError, ErrorCode, ItemState};
use crate::service::Caller;
use crate::store::{BatchRecord, StoreError};

/// Downloads of all callers at once; one more is answered 429.
pub(super) const DOWNLOADS_MAX: usize = 256;
/// Downloads of one person or token at once; one more is answered 429.
pub(super) const DOWNLOADS_PER_PERSON_MAX: usize = 32;
/// Seconds after which a refused download may be tried again.
const DOWNLOAD_RETRY_SECONDS: u64 = 5;

/// A file of somebody may be anything: no page may run it.
const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

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

/// `GET /batches/{id}/results?format=csv|ndjson|zip&only=failed`
pub async fn results(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let format = params.word("format", "csv, ndjson, zip", Format::parse)?.unwrap_or(Format::Ndjson);
    let only = params
        .word("only", "failed", |text| ItemState::parse(text).filter(|state| *state == ItemState::Failed))?;
    let batch = state.service.visible(&caller, place.batch()?).await?;
    let download = admit(&state, &caller)?;
    let file = format!("{}-results.{}", name::stem(&batch.name, batch.key), format.facts().0);
    let mut pages = Pages::new(state.service.parts().store.clone(), batch.clone(), only);
    let body = match format {
        Format::Zip => archive::body(pages),
        Format::Csv | Format::Ndjson => {
            // The first page is read before the answer begins, so that an outage can still be told.
            let first = pages.next().await?;
            lines(format, &batch, pages, first)
        }
    };
    Ok(attachment(Body::new(HeldBody::new(body, download)), &file, format.facts().1))
}

/// A place among the downloads, until the answer has left.
fn admit(state: &AppState, caller: &Caller) -> Result<Permit, ApiError> {
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

/// Pages as text, each made when the client has taken the one before.
fn lines(format: Format, batch: &BatchRecord, pages: Pages, first: Option<Vec<pages::ResultItem>>) -> Body {
    let table = Table::new(batch);
    let head = match format {
        Format::Csv => table.header(),
        Format::Ndjson | Format::Zip => Vec::new(),
    };
    let begun = stream::iter([Ok::<Bytes, StoreError>(head.into())]);
    let pages = stream::try_unfold((pages, table, first), move |(mut pages, table, first)| async move {
        let page = match first {
            Some(page) => Some(page),
            None => pages.next().await?,
        };
        Ok(page.map(|page| {
            let text = match format {
                Format::Csv => table.rows(&page),
                Format::Ndjson | Format::Zip => ndjson(&page),
            };
            (Bytes::from(text), (pages, table, None))
        }))
    });
    Body::from_stream(begun.chain(pages).inspect(|part| {
        if let Err(fault) = part {
            tracing::warn!(%fault, "a download of results was broken off");
        }
    }))
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

/// `GET /batches/{id}/items/{seq}/files/{name}`
pub async fn file(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<Response, ApiError> {
    let found = state.service.file(&caller, place.batch()?, place.seq()?, place.text("name")).await?;
    let download = admit(&state, &caller)?;
    let content = state.service.parts().store.file_store().read_range(&found.key, 0..found.row.bytes).await?;
    let body = Body::from_stream(content);
    let body = Body::new(HeldBody::new(body, download));
    let mut response = attachment(body, &found.row.name, &found.row.media_type);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(found.row.bytes));
    Ok(response)
}

/// A body as a file to keep, never to show.
fn attachment(body: Body, file: &str, media_type: &str) -> Response {
    let octets = HeaderValue::from_static("application/octet-stream");
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(media_type).unwrap_or(octets));
    headers.insert(header::CONTENT_DISPOSITION, name::disposition(file));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}
