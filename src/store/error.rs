//! What can go wrong below: each kind says whose fault it is and whether trying again helps.
//!
//! A caller can tell refusal (the request was wrong) from outage (the database was).

use std::fmt;

use crate::protocol::BatchState;

/// What a quota bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    /// Bytes of files.
    StoredBytes,
    /// Items that have not ended.
    Items,
    /// Batches that have not finished.
    Batches,
    /// Batches made within a minute.
    BatchesPerMinute,
}

/// A quota that would be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaExcess {
    /// Of what.
    pub kind: QuotaKind,
    /// The quota.
    pub limit: u64,
    /// What there is of it now.
    pub used: u64,
    /// When it may be tried again, where that is known, in ms.
    pub wait_ms: Option<u64>,
}

impl fmt::Display for QuotaExcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, used, .. } = self;
        let what = match self.kind {
            QuotaKind::StoredBytes => "bytes of files",
            QuotaKind::Items => "items that have not ended",
            QuotaKind::Batches => "unfinished batches",
            QuotaKind::BatchesPerMinute => "new batches a minute",
        };
        write!(f, "one person may have {limit} {what}, and has {used}")
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such row. The request's fault; final.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The state of the batch does not allow the act. The request's fault; final.
    #[error("the batch is {}", .0.as_str())]
    WrongState(BatchState),
    /// Delete of a batch that has not finished. The request's fault; final.
    #[error("the batch has not finished")]
    NotFinished,
    /// An append that does not continue the batch, or one to a sealed batch. The request's fault.
    #[error("the batch has {total} items")]
    WrongFirstSeq {
        /// Items of the batch so far.
        total: u64,
    },
    /// A unique name is taken. The request's fault; final.
    #[error("{0} is taken")]
    Taken(String),
    /// Nobody could manage people any more. The request's fault; final.
    #[error("there must be an admin who can sign in")]
    LastAdmin,
    /// A person has as many of something as one may have, which is named. The request's fault, until some are gone.
    #[error("the bound is {0}")]
    OverBound(String),
    /// A person would have more than their quota. The request's fault, until some is gone.
    #[error("{0}")]
    OverQuota(QuotaExcess),
    /// The disk is full. Nobody's fault; try again later.
    #[error("the disk is full")]
    DiskFull,
    /// The database did not answer in time or is away. Try again.
    #[error("the database is busy or away: {0}")]
    Busy(String),
    /// A value in the database cannot be what it is, or an invariant is broken. A defect; stop claiming.
    #[error("invariant broken: {0}")]
    Invariant(String),
    /// The database is damaged, or missing beside its files: what is wrong and what to do. Trying again changes nothing.
    #[error("{0}")]
    Damaged(String),
    /// Anything else the database said.
    #[error("database: {0}")]
    Database(sea_orm::DbErr),
    /// A content that was to be shared is being removed: store it anew. Never the answer to a request.
    #[error("the content is being removed")]
    ContentGone,
    /// The bucket of file contents did not answer in time, is away, or does not let us in. Try again.
    #[error("the file store is away: {0}")]
    FilesAway(String),
    /// Input or output of files.
    #[error("files: {0}")]
    Io(#[from] std::io::Error),
}

impl StoreError {
    /// True where there is no room on a disk, or none left of a quota.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull => true,
            Self::Io(fault) => {
                matches!(fault.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            Self::NotFound(_)
            | Self::WrongState(_)
            | Self::NotFinished
            | Self::WrongFirstSeq { .. }
            | Self::Taken(_)
            | Self::LastAdmin
            | Self::OverBound(_)
            | Self::OverQuota(_)
            | Self::Busy(_)
            | Self::Invariant(_)
            | Self::Damaged(_)
            | Self::ContentGone
            | Self::FilesAway(_)
            | Self::Database(_) => false,
        }
    }

    /// True where the request was wrong, or the batch is not as it was thought: trying again changes nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotFound(_)
            | Self::WrongState(_)
            | Self::NotFinished
            | Self::WrongFirstSeq { .. }
            | Self::Taken(_)
            | Self::LastAdmin
            | Self::OverBound(_)
            | Self::OverQuota(_)
            | Self::Invariant(_) => true,
            Self::DiskFull
            | Self::Busy(_)
            | Self::Damaged(_)
            | Self::ContentGone
            | Self::FilesAway(_)
            | Self::Database(_)
            | Self::Io(_) => false,
        }
    }
}
