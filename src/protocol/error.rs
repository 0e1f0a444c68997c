//! What a client may learn when something cannot be done: one type, stable codes, RFC 9457 on the wire.
//!
//! The only error that crosses the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stable name for a kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the request could not be read as what it claims to be.
    Malformed,
    /// 401: nobody is signed in.
    NotSignedIn,
    /// 403: visible, but not for this caller to do.
    NotAllowed,
    /// 404: not there, or not visible.
    NotFound,
    /// 405: the address is there, but not for this method; `Allow` names those that it takes.
    WrongMethod,
    /// 409: delete of a batch that still runs.
    NotFinished,
    /// 409: the state does not allow the act.
    WrongState,
    /// 409: an append that does not continue the batch; `total` says where it stands.
    WrongFirstSeq,
    /// 409: a piece that does not continue the upload; `offset` says where it stands.
    WrongOffset,
    /// 409: the same key is being used by a request that has not ended.
    IdempotencyInFlight,
    /// 413: larger than a limit; the detail names it.
    TooLarge,
    /// 415: a body of a kind that this address does not take.
    UnsupportedType,
    /// 416: no byte of the content is in the part that is asked for.
    RangeNotSatisfiable,
    /// 422: read, but not acceptable; `line` says where, if it has lines.
    Invalid,
    /// 422: nothing to run.
    NoItems,
    /// 422: no such task.
    UnknownTask,
    /// 422: the key was used for another request.
    IdempotencyMismatch,
    /// 429: too often; see `Retry-After`.
    TooMany,
    /// 503: try again; see `Retry-After`.
    Busy,
    /// 507: no room on disk.
    DiskFull,
    /// 500: a defect or an outage here; the detail carries no secrets.
    Internal,
    /// Of no server: what a client says to itself where no answer came.
    NoAnswer,
}

impl ErrorCode {
    /// Every code that a server sends.
    pub const ALL: [Self; 21] = [
        Self::Malformed,
        Self::NotSignedIn,
        Self::NotAllowed,
        Self::NotFound,
        Self::WrongMethod,
        Self::NotFinished,
        Self::WrongState,
        Self::WrongFirstSeq,
        Self::WrongOffset,
        Self::IdempotencyInFlight,
        Self::TooLarge,
        Self::UnsupportedType,
        Self::RangeNotSatisfiable,
        Self::Invalid,
        Self::NoItems,
        Self::UnknownTask,
        Self::IdempotencyMismatch,
        Self::TooMany,
        Self::Busy,
        Self::DiskFull,
        Self::Internal,
    ];

    /// HTTP status, name on the wire, and title for people.
    #[must_use]
    pub fn facts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed => (400, "malformed", "The request could not be read"),
            Self::NotSignedIn => (401, "not_signed_in", "Not signed in"),
            Self::NotAllowed => (403, "not_allowed", "Not allowed"),
            Self::NotFound => (404, "not_found", "Not found"),
            Self::WrongMethod => (405, "wrong_method", "Method not allowed"),
            Self::NotFinished => (409, "not_finished", "The batch has not finished"),
            Self::WrongState => (409, "wrong_state", "The state does not allow this"),
            Self::WrongFirstSeq => (409, "wrong_first_seq", "The items do not continue the batch"),
            Self::WrongOffset => (409, "wrong_offset", "The piece does not continue the upload"),
            Self::IdempotencyInFlight => (409, "idempotency_in_flight", "The same request is under way"),
            Self::TooLarge => (413, "too_large", "Too large"),
            Self::UnsupportedType => (415, "unsupported_type", "Content type not supported"),
            Self::RangeNotSatisfiable => (416, "range_not_satisfiable", "No such part"),
            Self::Invalid => (422, "invalid", "Not valid"),
            Self::NoItems => (422, "no_items", "No items"),
            Self::UnknownTask => (422, "unknown_task", "No such task"),
            Self::IdempotencyMismatch => {
                (422, "idempotency_mismatch", "The key was used for another request")
            }
            Self::TooMany => (429, "too_many", "Too many requests"),
            Self::Busy => (503, "busy", "Busy"),
            Self::DiskFull => (507, "disk_full", "The disk is full"),
            Self::Internal => (500, "internal", "Something went wrong here"),
            Self::NoAnswer => (503, "no_answer", "No contact"),
        }
    }

    /// HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.facts().0
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.facts().1
    }

    /// Title for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.facts().2
    }
}

/// A refusal: what kind, and in words what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind.
    pub code: ErrorCode,
    /// What was wrong and what was expected, for people.
    pub detail: String,
    /// Items of the batch so far, on `wrong_first_seq`.
    pub total: Option<u64>,
    /// Bytes of the upload so far, on `wrong_offset`, and where a piece did not come whole.
    pub offset: Option<u64>,
    /// The line of the input at fault, counted from 1.
    pub line: Option<u64>,
    /// The quota that would be passed, and what there is of it.
    pub quota: Option<(u64, u64)>,
    /// When to try again, in seconds, on `too_many`, `busy` and `idempotency_in_flight`.
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// A refusal of kind `code`, explained by `detail`.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let retry_after_seconds =
            matches!(code, ErrorCode::TooMany | ErrorCode::Busy | ErrorCode::IdempotencyInFlight)
                .then_some(1);
        Self {
            code,
            detail: detail.into(),
            total: None,
            offset: None,
            line: None,
            quota: None,
            retry_after_seconds,
        }
    }

    /// [`ErrorCode::Invalid`] with `detail`.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, detail)
    }

    /// [`ErrorCode::Malformed`] with `detail`.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Malformed, detail)
    }

    /// [`ErrorCode::NotFound`] for a thing named by a noun phrase, such as "batch".
    #[must_use]
    pub fn not_found(thing: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {thing}, or it is not visible to you."))
    }

    /// [`ErrorCode::Internal`] that tells nothing but where to look.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "An error was logged; nothing was changed.")
    }

    /// [`ErrorCode::NoAnswer`] where the server could not be reached.
    #[must_use]
    pub fn no_answer() -> Self {
        Self::new(ErrorCode::NoAnswer, "The server did not answer.")
    }

    /// The same refusal, at line `line` of the input.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// The same refusal, with the bytes of the upload that survive.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The body of an `application/problem+json` answer.
    #[must_use]
    pub fn problem(&self) -> serde_json::Value {
        let (status, code, title) = self.code.facts();
        let mut body = serde_json::json!({
            "type": format!("urn:milepost:problem:{code}"), "title": title, "status": status,
            "code": code, "detail": self.detail,
        });
        for (name, value) in [("total", self.total), ("offset", self.offset), ("line", self.line)] {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        if let Some((limit, used)) = self.quota {
            (body["limit"], body["used"]) = (limit.into(), used.into());
        }
        body
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (line {line})", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_print_their_wire_name() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn problems_name_the_line() {
        let body = ApiError::invalid("expected a number").at_line(7).problem();
        assert_eq!(body["line"], 7);
        assert_eq!(body["status"], 422);
        assert_eq!(body["code"], "invalid");
        assert!(body.get("total").is_none());
    }
}
