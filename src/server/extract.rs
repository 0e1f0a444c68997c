//! What a request says, read once at the door: caller, place, query, JSON body.
//!
//! Used by every handler of it. What cannot be read is `malformed` with what was expected; a readable value of
//! another shape is `invalid`.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::formats::body::BodyFault;
use crate::protocol::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::protocol::{ApiError, BatchId, BulkActId, ErrorCode, Object, ScheduleId, Seq};
use crate::server::AppState;
use crate::service::Caller;

/// Who asks: put into the request by the gate in front of the API.
pub struct Who(pub Caller);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let refused = || ApiError::new(ErrorCode::NotSignedIn, "Send a bearer token, or sign in.");
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(refused)
    }
}

/// The named parts of the path.
pub struct PathParams(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let named = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|fault| ApiError::malformed(format!("The path could not be read: {fault}.")))?;
        Ok(Self(named.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

impl PathParams {
    /// `{id}` as a batch.
    pub fn batch(&self) -> Result<BatchId, ApiError> {
        read("id", self.text("id"))
    }

    /// `{id}` as a schedule.
    pub fn schedule(&self) -> Result<ScheduleId, ApiError> {
        read("id", self.text("id"))
    }

    /// `{id}` as an act over many.
    pub fn bulk_act(&self) -> Result<BulkActId, ApiError> {
        read("id", self.text("id"))
    }

    /// `{seq}` as an item's position.
    pub fn seq(&self) -> Result<Seq, ApiError> {
        let text = self.text("seq");
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let seq = text.parse().ok().filter(|_seq| digits);
        seq.ok_or_else(|| ApiError::malformed("seq: expected a whole number from 1."))
    }

    /// The part named `name`; empty where the route has none.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|fault| ApiError::malformed(format!("{name}: {fault}.")))
}

/// The query; an empty value is a missing one, and the last of several counts.
pub struct QueryParams(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|fault| ApiError::malformed(format!("The query could not be read: {fault}.")))?;
        Ok(Self(pairs.into_iter().filter(|(_name, value)| !value.is_empty()).collect()))
    }
}

impl QueryParams {
    /// The parameter `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The parameter `name`, owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// The parameter `name` as the id of a batch.
    pub fn batch(&self, name: &str) -> Result<Option<BatchId>, ApiError> {
        self.text(name).map(|text| read(name, text)).transpose()
    }

    /// The parameter `name` as a whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.text(name)
            .map(|text| {
                // No sign either: a number of the schema has none.
                if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    let detail = format!("{name}: expected a whole number, not {text:?}.");
                    return Err(ApiError::malformed(detail));
                }
                // One beyond is larger than any number here can be.
                Ok(text.parse::<u64>().unwrap_or(u64::MAX))
            })
            .transpose()
    }

    /// The parameter `name` as one of a list of words.
    pub fn word<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|text| {
                parse(text).ok_or_else(|| {
                    ApiError::malformed(format!("{name}: expected one of {expected}, not {text:?}."))
                })
            })
            .transpose()
    }

    /// `limit`, clamped.
    pub fn limit(&self) -> Result<u32, ApiError> {
        let limit = self.number("limit")?.unwrap_or(u64::from(PAGE_ROWS_DEFAULT));
        Ok(u32::try_from(limit).unwrap_or(u32::MAX).clamp(1, PAGE_ROWS_MAX))
    }
}

/// A JSON body of a known shape; no body at all is `None`.
pub struct JsonBody<T>(pub Option<T>);

/// The same, with the bytes that it was read from.
pub struct JsonBytes<T>(pub Option<T>, pub bytes::Bytes);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let JsonBytes(read, _bytes) = JsonBytes::from_request(request, state).await?;
        Ok(Self(read))
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBytes<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = whole_body(body, &parts.headers, state.limits.json_body_bytes_max).await?;
        if bytes.is_empty() {
            return Ok(Self(None, bytes));
        }
        match essence(&parts.headers).as_str() {
            "application/json" => {}
            other => return Err(unsupported(other, "application/json")),
        }
        let read = serde_json::from_slice(&bytes).map(|Object(body)| Some(body)).map_err(|fault| {
            if fault.is_data() {
                ApiError::invalid(format!("The body is not as expected: {fault}."))
            } else {
                ApiError::malformed(format!("The body is not JSON: {fault}."))
            }
        });
        Ok(Self(read?, bytes))
    }
}

/// A whole body, held in memory.
///
/// # Errors
/// `too_large` beyond `bytes_max`, `malformed` where it was cut short.
pub async fn whole_body(body: Body, headers: &HeaderMap, bytes_max: usize) -> Result<bytes::Bytes, ApiError> {
    let too_large =
        || ApiError::new(ErrorCode::TooLarge, format!("A body of this kind may have {bytes_max} bytes."));
    if content_length(headers).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(body, bytes_max).await.map_err(|fault| {
        if is_limit(&fault) {
            too_large()
        } else {
            let fault = io::Error::from(carrier_fault(&fault).unwrap_or(io::ErrorKind::Other));
            let cut = || ApiError::malformed("The body was cut short.");
            BodyFault::of_carrier(&fault).map_or_else(cut, BodyFault::into_error)
        }
    })
}

/// True where a body was not read on because it is over a bound.
pub fn is_limit(fault: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(fault);
    while let Some(fault) = cause {
        if fault.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = fault.source();
    }
    false
}

/// Why the gate ended a body: the kind that [`BodyFault::of_carrier`] reads; none where it came to its end by itself.
pub fn carrier_fault(fault: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    if is_limit(fault) {
        return Some(io::ErrorKind::FileTooLarge);
    }
    let mut cause = Some(fault);
    while let Some(fault) = cause {
        let kind = fault.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(kind @ (io::ErrorKind::PermissionDenied | io::ErrorKind::ResourceBusy)) = kind {
            return Some(kind);
        }
        cause = fault.source();
    }
    None
}

/// Bytes that the request announces.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Type and subtype of the body, in lower case; empty where none is named.
pub fn essence(headers: &HeaderMap) -> String {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The refusal of a body of an unknown kind.
pub fn unsupported(found: &str, expected: &str) -> ApiError {
    let found = if found.is_empty() { "none" } else { found };
    ApiError::new(ErrorCode::UnsupportedType, format!("Content-Type: expected {expected}, not {found}."))
}

/// No such address.
pub async fn unknown_address() -> ApiError {
    ApiError::not_found("address")
}

/// The address is there, but not for this method, unless it is `OPTIONS`, which asks for the others; the router adds
/// `Allow`.
pub async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    ApiError::new(ErrorCode::WrongMethod, "This address does not take this method.").into_response()
}
