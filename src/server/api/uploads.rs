//! Files that come in pieces, which go on after a cut where the server says.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::submit::bytes;
use crate::protocol::{ApiError, NewUpload};
use crate::server::AppState;
use crate::server::extract::{JsonBody, PathParams, Who, content_length};
use crate::server::problem::UPLOAD_OFFSET;
use crate::service::uploads::UploadPiece;

/// `POST /uploads`
pub async fn announce(
    State(state): State<AppState>,
    Who(caller): Who,
    JsonBody(new): JsonBody<NewUpload>,
) -> Result<Response, ApiError> {
    let new = new.ok_or_else(|| ApiError::malformed("Expected {\"name\",\"bytes\"}."))?;
    let status = state.service.announce_upload(&caller, new).await?;
    let location =
        HeaderValue::try_from(format!("/api/v1/uploads/{}", status.id)).expect("an id is plain ASCII");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(status)).into_response())
}

/// `GET /uploads/{id}`, and `HEAD` of it.
pub async fn status(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<Response, ApiError> {
    let status = state.service.upload(&caller, place.text("id")).await?;
    let headers = [
        (UPLOAD_OFFSET, HeaderValue::from(status.offset)),
        (HeaderName::from_static("upload-length"), HeaderValue::from(status.bytes)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Json(status)).into_response())
}

/// `PATCH /uploads/{id}`
pub async fn add_piece(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let piece = UploadPiece {
        offset: offset(&parts.headers)?,
        length: content_length(&parts.headers),
        bytes: bytes(body),
    };
    let offset = state.service.add_piece(&caller, place.text("id"), piece).await?;
    Ok((StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, HeaderValue::from(offset))]).into_response())
}

/// `DELETE /uploads/{id}`
pub async fn remove(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<StatusCode, ApiError> {
    state.service.remove_upload(&caller, place.text("id")).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn offset(headers: &HeaderMap) -> Result<u64, ApiError> {
    let text = headers.get(UPLOAD_OFFSET).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = text.parse().ok().filter(|_offset| digits);
    offset.ok_or_else(|| {
        ApiError::malformed(
            "Upload-Offset: expected the bytes of the file before this piece, a whole number.",
        )
    })
}
