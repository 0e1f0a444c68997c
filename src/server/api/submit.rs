//! Bodies that bring items: creates and appends.
//!
//! A body is passed on as it comes, never held whole (but JSON, which is bounded).

use std::io::ErrorKind;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::formats::body::ByteStream;
use crate::formats::csv::options::CsvOptions;
use crate::formats::encoding::TextEncoding;
use crate::formats::form::multipart_bounds::bounded;
use crate::formats::form::{FieldOrder, FormBody};
use crate::formats::json_body::parse_setting;
use crate::formats::stream::{ItemStream, StreamFormat};
use crate::protocol::{ApiError, Batch, NewBatch, Object, Options};
use crate::server::AppState;
use crate::server::extract::{
    PathParams, QueryParams, Who, carrier_fault, content_length, essence, unsupported, whole_body,
};
use crate::service::submit::{Addition, IdempotencyKey, Submission, Submitted};

/// Content types of bodies with items.
const EXPECTED: &str =
    "application/json, application/x-ndjson, text/csv, text/plain, application/zip or multipart/form-data";

/// Seconds for which items that came before their turn wait for it at most; more are taken for so many.
const TURN_SECONDS_MAX: u64 = 60;

/// `POST /batches`
pub async fn create(
    State(state): State<AppState>,
    Who(caller): Who,
    RawQuery(query): RawQuery,
    params: QueryParams,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let key = idempotency_key(&parts.headers, query.as_deref())?;
    let submission = match read_body(&state, &parts, &params, body).await? {
        ReadBody::Json(body) => Submission::Json(body),
        ReadBody::Stream(stream) => Submission::Stream(settings(&params)?, stream),
        ReadBody::Form(form) => Submission::Form(form),
    };
    let (status, batch) = match state.service.submit(&caller, submission, key).await? {
        Submitted::Created(batch) => (StatusCode::CREATED, batch),
        Submitted::Replayed(batch) => (StatusCode::OK, batch),
    };
    let location =
        HeaderValue::try_from(format!("/api/v1/batches/{}", batch.id)).expect("an id is plain ASCII");
    Ok((status, [(header::LOCATION, location)], Json(batch)).into_response())
}

/// `POST /batches/{id}/items?first_seq=N&wait_seconds=S`
pub async fn append(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
    request: Request,
) -> Result<Json<Batch>, ApiError> {
    let id = place.batch()?;
    let first_seq = params
        .number("first_seq")?
        .filter(|seq| *seq > 0)
        .ok_or_else(|| ApiError::malformed("first_seq: expected the position of the first item, from 1."))?;
    let patience = params.number("wait_seconds")?.unwrap_or(0).min(TURN_SECONDS_MAX);
    let turn = (first_seq, Duration::from_secs(patience));
    let (parts, body) = request.into_parts();
    let addition = match read_body(&state, &parts, &params, body).await? {
        ReadBody::Json(body) => Addition::Json(body),
        ReadBody::Stream(stream) => Addition::Stream(stream),
        ReadBody::Form(form) => Addition::Form(form),
    };
    state.service.append_items(&caller, id, turn, addition).await.map(Json)
}

enum ReadBody {
    Json(bytes::Bytes),
    Stream(ItemStream),
    Form(FormBody),
}

async fn read_body(
    state: &AppState,
    parts: &Parts,
    params: &QueryParams,
    body: Body,
) -> Result<ReadBody, ApiError> {
    let headers = &parts.headers;
    let format = match essence(headers).as_str() {
        "application/json" => {
            let body = whole_body(body, headers, state.limits.json_body_bytes_max).await?;
            return Ok(ReadBody::Json(body));
        }
        "multipart/form-data" => return form(state, headers, body).map(ReadBody::Form),
        "text/plain" => StreamFormat::Text,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => StreamFormat::Ndjson,
        "application/zip" | "application/x-zip-compressed" => StreamFormat::Zip,
        "text/csv" => {
            let mut options = CsvOptions::default();
            for name in ["delimiter", "header", "duplicate", "columns"] {
                options.set(name, params.text(name).unwrap_or_default())?;
            }
            // A program says what it sends, or has it looked at: auto.
            if params.text("delimiter").unwrap_or_default().is_empty() {
                options.delimiter = Some(b',');
            }
            StreamFormat::Csv(options)
        }
        other => return Err(unsupported(other, EXPECTED)),
    };
    let length = content_length(headers);
    Ok(ReadBody::Stream(ItemStream {
        format,
        encoding: TextEncoding::read(params.text("encoding").unwrap_or_default())?,
        bytes: bytes(body),
        length,
        bytes_max: state.limits.upload_bytes_max,
    }))
}

fn form(state: &AppState, headers: &HeaderMap, body: Body) -> Result<FormBody, ApiError> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type)
        .map_err(|fault| ApiError::malformed(format!("Content-Type: expected a boundary: {fault}.")))?;
    let parts = multer::Multipart::new(bounded(bytes(body), &boundary), boundary);
    Ok(FormBody { parts, file_bytes_max: state.limits.upload_bytes_max, order: FieldOrder::SettingsFirst })
}

/// A body as it comes.
pub(super) fn bytes(body: Body) -> ByteStream {
    Box::pin(body.into_data_stream().map_err(|fault| {
        // What the gate has ended is told apart from a body cut short.
        std::io::Error::new(carrier_fault(&fault).unwrap_or(ErrorKind::Other), fault)
    }))
}

/// What a streamed body is about: the query says it.
fn settings(params: &QueryParams) -> Result<NewBatch, ApiError> {
    Ok(NewBatch {
        task: params
            .owned("task")
            .ok_or_else(|| ApiError::invalid("The query parameter task is missing."))?,
        name: params.owned("name"),
        params: parse_setting("params", params.text("params"))?,
        options: parse_setting("options", params.text("options"))?
            .map_or_else(Options::default, |Object(options)| options),
    })
}

/// The key of a request, with what of it counts beside its body.
///
/// # Errors
/// `malformed` for one that is none.
pub fn idempotency_key(headers: &HeaderMap, query: Option<&str>) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    // A key that is no text is refused as an empty one is.
    let key = value.to_str().unwrap_or_default();
    let salt = format!("{}\n{}", essence(headers), query.unwrap_or_default());
    IdempotencyKey::new(key, salt).map(Some)
}
