//! Places where tests let things go wrong: the edges of every commit, and what lies between two of them.
//!
//! Owns their names. Called by the rooms at those places; tests choose by `FAILPOINTS`, as the crate `fail` reads it.
//! Invariant: without the feature `failpoints`, which no release has, every place is nothing. Deliberately decides
//! nothing: a place is passed, fails, waits or ends the process, as it is told.
//!
//! ```text
//! FAILPOINTS='claim.committed=3*off->return(abort)'    the process ends when it comes there for the fourth time
//! FAILPOINTS='commit.after=10%return(error)'           one in ten answers is lost; sleep(50) and delay(50) wait
//! ```

use std::io;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A transaction is about to be committed.
    CommitBefore,
    /// It has been, and nobody knows yet.
    CommitAfter,
    /// A claim was granted, and its lease is not taken yet.
    ClaimCommitted,
    /// An item has ended, and is not recorded.
    ItemEnded,
    /// A group was recorded, and is not told.
    RecordCommitted,
    /// A file lies in the vault, and no row names it.
    FileKept,
    /// An item's file was moved into the vault, and no row names it.
    FileAdopted,
    /// One batch of a lost node was taken back, others were not.
    ReclaimBetween,
    /// A step of an act was taken, the next was not.
    ActBetween,
    /// A drain has begun.
    Draining,
    /// A statement of a migration has run, the next has not.
    MigrationBetween,
    /// A file was swept away, the row that says so was not.
    SweepBetween,
    /// A window of items is about to be read.
    WindowRead,
}

impl Point {
    /// All of them: tests go through this list.
    pub const ALL: [Self; 13] = [
        Self::CommitBefore,
        Self::CommitAfter,
        Self::ClaimCommitted,
        Self::ItemEnded,
        Self::RecordCommitted,
        Self::FileKept,
        Self::FileAdopted,
        Self::ReclaimBetween,
        Self::ActBetween,
        Self::Draining,
        Self::MigrationBetween,
        Self::SweepBetween,
        Self::WindowRead,
    ];

    /// Its name in `FAILPOINTS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CommitBefore => "commit.before",
            Self::CommitAfter => "commit.after",
            Self::ClaimCommitted => "claim.committed",
            Self::ItemEnded => "item.ended",
            Self::RecordCommitted => "record.committed",
            Self::FileKept => "file.kept",
            Self::FileAdopted => "file.adopted",
            Self::ReclaimBetween => "reclaim.between",
            Self::ActBetween => "act.between",
            Self::Draining => "draining",
            Self::MigrationBetween => "migration.between",
            Self::SweepBetween => "sweep.between",
            Self::WindowRead => "window.read",
        }
    }

    /// Passes here, unless a test says otherwise.
    ///
    /// # Errors
    /// What a test wants to be said.
    pub fn pass(self) -> io::Result<()> {
        fail::fail_point!(self.name(), |wish: Option<String>| {
            let name = self.name();
            // Not the log: it may be filtered, and the process may have no time left to write it.
            eprintln!("fault at {name}: {wish:?}");
            if wish.as_deref() == Some("abort") {
                std::process::abort();
            }
            Err(io::Error::other(format!("a fault at {name}, as told")))
        });
        Ok(())
    }

    /// As [`Point::pass`], where an error has nobody to go to.
    pub fn visit(self) {
        if let Err(fault) = self.pass() {
            tracing::warn!(%fault, "passed over");
        }
    }
}

/// Reads what tests want, once, at the start of the process.
pub fn arm() {
    if fail::has_failpoints() {
        // Its end would disarm them.
        std::mem::forget(fail::FailScenario::setup());
    }
}
