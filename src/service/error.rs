//! What went wrong below, as a client may learn it.
//!
//! A cause that is not the request's fault is logged here, once (an outage once a minute), and its text never reaches
//! a client.

use super::may::no_such_task;
use crate::engine::{EngineError, LogLimit};
use crate::protocol::{ApiError, ErrorCode};
use crate::store::{QuotaExcess, QuotaKind, StoreError};

/// Seconds after which trying again may help, where the database is busy or the engine claims nothing.
const BUSY_RETRY_SECONDS: u64 = 2;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(thing) => Self::not_found(thing),
            StoreError::WrongState(state) => {
                Self::new(ErrorCode::WrongState, format!("The batch is {}.", state.as_str()))
            }
            StoreError::NotFinished => Self::new(ErrorCode::NotFinished, "The batch has not finished."),
            StoreError::WrongFirstSeq { total } => {
                let mut refusal = Self::new(
                    ErrorCode::WrongFirstSeq,
                    format!("The batch has {total} items: first_seq must be {}.", total + 1),
                );
                refusal.total = Some(total);
                refusal
            }
            StoreError::LastAdmin => Self::invalid(
                "Nobody could manage people any more: first make somebody else an admin who can sign in.",
            ),
            StoreError::Taken(what) => Self::invalid(format!("{what} is taken.")),
            StoreError::OverBound(bound) => {
                Self::new(ErrorCode::TooMany, format!("One person may have {bound}: use or delete some."))
            }
            StoreError::OverQuota(excess) => over_quota(excess),
            StoreError::DiskFull => disk_full(),
            StoreError::Busy(reason) => {
                static LIMIT: LogLimit = LogLimit::once_a_minute();
                if LIMIT.is_due() {
                    tracing::warn!(reason, "the database is busy: requests are answered so");
                }
                busy("The database is busy; try again.")
            }
            StoreError::ContentGone => busy("A file is being removed; try again."),
            StoreError::FilesAway(reason) => {
                static LIMIT: LogLimit = LogLimit::once_a_minute();
                if LIMIT.is_due() {
                    tracing::warn!(reason, "the file store is away: requests are answered so");
                }
                busy("The file store cannot be reached; try again.")
            }
            StoreError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => disk_full(),
            error @ (StoreError::Invariant(_)
            | StoreError::Damaged(_)
            | StoreError::Database(_)
            | StoreError::Io(_)) => internal(&error),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::UnknownTask(name) => no_such_task(&name),
            EngineError::Invalid { detail, line } => {
                let mut refusal = Self::invalid(detail);
                refusal.line = line;
                refusal
            }
            EngineError::TooLarge(detail) => Self::new(ErrorCode::TooLarge, detail),
            EngineError::NoItems => Self::new(ErrorCode::NoItems, "A batch needs at least one item."),
            EngineError::Unready(reason) => busy(&reason),
        }
    }
}

/// Seconds after which a refusal by quota may be tried again, where what ends it is not known.
const QUOTA_RETRY_SECONDS: u64 = 60;

fn over_quota(excess: QuotaExcess) -> ApiError {
    let QuotaExcess { kind, limit, used, wait_ms } = excess;
    let (code, detail) = match kind {
        QuotaKind::StoredBytes => (
            ErrorCode::TooLarge,
            format!(
                "You may have {limit} bytes of files, and have {used}: delete batches that you no longer need."
            ),
        ),
        QuotaKind::Items => (
            ErrorCode::TooMany,
            format!("You may have {limit} items that have not ended, and have {used}: wait until some have."),
        ),
        QuotaKind::Batches => (
            ErrorCode::TooMany,
            format!("You may have {limit} unfinished batches, and have {used}: wait until one has finished."),
        ),
        QuotaKind::BatchesPerMinute => {
            (ErrorCode::TooMany, format!("You may make {limit} batches a minute, and have made {used}."))
        }
    };
    let mut refusal = ApiError::new(code, detail);
    refusal.quota = Some((limit, used));
    refusal.retry_after_seconds = (code == ErrorCode::TooMany)
        .then(|| wait_ms.map_or(QUOTA_RETRY_SECONDS, |wait_ms| wait_ms.div_ceil(1_000)));
    refusal
}

fn disk_full() -> ApiError {
    static LIMIT: LogLimit = LogLimit::once_a_minute();
    if LIMIT.is_due() {
        tracing::error!("the disk is full: requests are answered so");
    }
    ApiError::new(ErrorCode::DiskFull, "There is no room on the disk; nothing was changed.")
}

/// `busy`, with when to try again.
fn busy(detail: &str) -> ApiError {
    let mut refusal = ApiError::new(ErrorCode::Busy, detail);
    refusal.retry_after_seconds = Some(BUSY_RETRY_SECONDS);
    refusal
}

/// Logs a defect or an outage with its chain of causes; the client learns only that there is one.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> ApiError {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        chain.push_str(": ");
        chain.push_str(&next.to_string());
        cause = next.source();
    }
    tracing::error!(error = chain, "a request failed");
    ApiError::internal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stay_here() {
        let error: ApiError = StoreError::Invariant("secret".to_owned()).into();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(!error.detail.contains("secret"));
    }

    #[test]
    fn an_append_learns_the_total() {
        let error: ApiError = EngineError::Store(StoreError::WrongFirstSeq { total: 7 }).into();
        assert_eq!((error.code, error.total), (ErrorCode::WrongFirstSeq, Some(7)));
        assert!(error.detail.contains('8'));
    }

    #[test]
    fn an_outage_says_when_to_come_back() {
        let error: ApiError = StoreError::Busy("locked".to_owned()).into();
        assert_eq!((error.code, error.retry_after_seconds), (ErrorCode::Busy, Some(2)));
        let full = StoreError::Io(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(ApiError::from(full).code, ErrorCode::DiskFull);
    }
}
