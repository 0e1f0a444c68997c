//! Bodies that bring items: creates and appends.
//!
//! Owns the choice of a reader by content type. Called by the router of the API. Invariant: a body is passed on as it
//! comes, never held whole (but JSON, which is bounded). Deliberately reads no item.

use std::io::ErrorKind;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::extract::{
    Asked, Place, Who, content_length, essence, is_limit, is_revoked, unsupported, whole_body,
};
use crate::formats::ByteStream;
use crate::formats::multipart_bounds::guarded;
use crate::protocol::{ApiError, Batch, NewBatch, Object, Options};
use crate::server::AppState;
use crate::service::submit::{
    Addition, FormBody, IdempotencyKey, ItemStream, StreamKind, Submission, Submitted, parse_query_json,
    read_delimiter,
};

/// Content types of bodies with items.
const EXPECTED: &str = "application/json, application/x-ndjson, text/csv, text/plain or multipart/form-data";

/// `POST /batches`
pub async fn create(
    State(state): State<AppState>,
    Who(caller): Who,
    RawQuery(query): RawQuery,
    asked: Asked,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let key = idempotency_key(&parts.headers, query.as_deref())?;
    let submission = match read_body(&state, &parts, &asked, body).await? {
        Read::Json(body) => Submission::Json(body),
        Read::Stream(stream) => Submission::Stream(settings(&asked)?, stream),
        Read::Form(form) => Submission::Form(form),
    };
    let (status, batch) = match state.service.submit(&caller, submission, key).await? {
        Submitted::Created(batch) => (StatusCode::CREATED, batch),
        Submitted::Replayed(batch) => (StatusCode::OK, batch),
    };
    let location =
        HeaderValue::try_from(format!("/api/v1/batches/{}", batch.id)).expect("an id is plain ASCII");
    Ok((status, [(header::LOCATION, location)], Json(batch)).into_response())
}

/// `POST /batches/{id}/items?first_seq=N`
pub async fn append(
    State(state): State<AppState>,
    Who(caller): Who,
    place: Place,
    asked: Asked,
    request: Request,
) -> Result<Json<Batch>, ApiError> {
    let id = place.batch()?;
    let first_seq = asked
        .number("first_seq")?
        .filter(|seq| *seq > 0)
        .ok_or_else(|| ApiError::malformed("first_seq: expected the position of the first item, from 1."))?;
    let (parts, body) = request.into_parts();
    let addition = match read_body(&state, &parts, &asked, body).await? {
        Read::Json(body) => Addition::Json(body),
        Read::Stream(stream) => Addition::Stream(stream),
        Read::Form(form) => Addition::Form(form),
    };
    state.service.append_items(&caller, id, first_seq, addition).await.map(Json)
}

enum Read {
    Json(bytes::Bytes),
    Stream(ItemStream),
    Form(FormBody),
}

async fn read_body(state: &AppState, parts: &Parts, asked: &Asked, body: Body) -> Result<Read, ApiError> {
    let headers = &parts.headers;
    let kind = match essence(headers).as_str() {
        "application/json" => {
            let body = whole_body(body, headers, state.limits.json_body_bytes_max).await?;
            return Ok(Read::Json(body));
        }
        "multipart/form-data" => return form(state, headers, body).map(Read::Form),
        "text/plain" => StreamKind::Text,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => StreamKind::Ndjson,
        "text/csv" => {
            let named = asked.text("delimiter").unwrap_or_default();
            StreamKind::Csv { delimiter: read_delimiter(named)?.unwrap_or(b',') }
        }
        other => return Err(unsupported(other, EXPECTED)),
    };
    let length = content_length(headers);
    Ok(Read::Stream(ItemStream {
        kind,
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
    let parts = multer::Multipart::new(guarded(bytes(body), &boundary), boundary);
    Ok(FormBody { parts, file_bytes_max: state.limits.upload_bytes_max })
}

fn bytes(body: Body) -> ByteStream {
    Box::pin(body.into_data_stream().map_err(|fault| {
        // The gate's own bound on bodies, and a sender who may no longer come in, told apart from a body cut short.
        let kind = if is_limit(&fault) {
            ErrorKind::FileTooLarge
        } else if is_revoked(&fault) {
            ErrorKind::PermissionDenied
        } else {
            ErrorKind::Other
        };
        std::io::Error::new(kind, fault)
    }))
}

/// What a streamed body is about: the query says it.
fn settings(asked: &Asked) -> Result<NewBatch, ApiError> {
    Ok(NewBatch {
        task: asked.owned("task").ok_or_else(|| ApiError::invalid("The query parameter task is missing."))?,
        name: asked.owned("name"),
        params: parse_query_json("params", asked.text("params"))?,
        options: parse_query_json("options", asked.text("options"))?
            .map_or_else(Options::default, |Object(options)| options),
    })
}

fn idempotency_key(headers: &HeaderMap, query: Option<&str>) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    // A key that is no text is refused as an empty one is.
    let key = value.to_str().unwrap_or_default();
    let salt = format!("{}\n{}", essence(headers), query.unwrap_or_default());
    IdempotencyKey::new(key, salt).map(Some)
}
