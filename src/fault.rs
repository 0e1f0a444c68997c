//! Places where tests let things go wrong: the edges of every commit, what lies between two of them, and every loop.
//!
//! Without the feature `failpoints`, which no release has, every place is nothing.
//!
//! ```text
//! FAILPOINTS='claim.committed=3*off->return(abort)'    the process ends when it comes there for the fourth time
//! FAILPOINTS='commit.after=10%return(error)'           one in ten answers is lost; sleep(50) and delay(50) wait
//! FAILPOINTS='loop.window_feed=9*off->1*panic'              this loop breaks at its tenth turn
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
    /// A file lies in the file store, and no row names it.
    FileKept,
    /// An item's file was moved into the file store, and no row names it.
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
    /// The body of a create has come whole, and its batch is not complete.
    BodyArrived,
    /// A batch is about to be made whole: sealed, and its key bound.
    CompleteBefore,
    /// It has been, and nobody knows yet.
    CompleteAfter,
    /// A window of items is about to be read.
    WindowRead,
    /// A batch of a schedule is written, the schedule does not name it yet, and nothing is committed.
    ScheduleBetween,
}

impl Point {
    /// All of them: tests go through this list.
    pub const ALL: [Self; 17] = [
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
        Self::BodyArrived,
        Self::CompleteBefore,
        Self::CompleteAfter,
        Self::WindowRead,
        Self::ScheduleBetween,
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
            Self::BodyArrived => "body.arrived",
            Self::CompleteBefore => "complete.before",
            Self::CompleteAfter => "complete.after",
            Self::WindowRead => "window.read",
            Self::ScheduleBetween => "schedule.between",
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

/// A loop that lives as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Takes connections.
    Accept,
    /// Adds up what has ended.
    Audit,
    /// Says that the node lives.
    Heartbeat,
    /// Asks for work.
    Claim,
    /// Looks whether the clock was set.
    Clock,
    /// Looks for room while the disk is full.
    Disk,
    /// Shows elsewhere how far items are.
    RemoteProgress,
    /// Looks whose login still holds.
    Revocation,
    /// Reads what other nodes have changed.
    RelayRead,
    /// Sends where many hear the same.
    Broadcaster,
    /// Listens to hints of other nodes.
    RelayReceive,
    /// Reads inputs ahead.
    InputLoader,
    /// Looks whether the others have their turn.
    Watchdog,
    /// Reads windows that are looked at.
    WindowFeed,
    /// Takes back what lost nodes held.
    Reclaim,
    /// Commits what has ended.
    Record,
    /// Starts what comes due.
    Schedule,
    /// Makes the batches of schedules.
    Schedules,
    /// Does what is owed to batches.
    Settle,
    /// Shows the nodes.
    Membership,
    /// Runs items.
    Slot,
    /// Goes on with acts.
    Steps,
    /// Gives hints to other nodes.
    RelaySend,
    /// Deletes what is old.
    Retention,
    /// Releases topics at their tick.
    Timer,
    /// Counts the turns that the others get.
    Turns,
    /// Sends messages about the ends of batches.
    Webhooks,
}

impl Loop {
    /// All of them: tests go through this list.
    pub const ALL: [Self; 27] = [
        Self::Accept,
        Self::Audit,
        Self::Heartbeat,
        Self::Claim,
        Self::Clock,
        Self::Disk,
        Self::RemoteProgress,
        Self::Revocation,
        Self::RelayRead,
        Self::Broadcaster,
        Self::RelayReceive,
        Self::InputLoader,
        Self::Watchdog,
        Self::WindowFeed,
        Self::Reclaim,
        Self::Record,
        Self::Schedule,
        Self::Schedules,
        Self::Settle,
        Self::Membership,
        Self::Slot,
        Self::Steps,
        Self::RelaySend,
        Self::Retention,
        Self::Timer,
        Self::Turns,
        Self::Webhooks,
    ];

    /// Its place in `FAILPOINTS`.
    #[must_use]
    pub fn place(self) -> &'static str {
        match self {
            Self::Accept => "loop.accept",
            Self::Audit => "loop.audit",
            Self::Heartbeat => "loop.heartbeat",
            Self::Claim => "loop.claim",
            Self::Clock => "loop.clock",
            Self::Disk => "loop.disk",
            Self::RemoteProgress => "loop.remote_progress",
            Self::Revocation => "loop.revocation",
            Self::RelayRead => "loop.relay_read",
            Self::Broadcaster => "loop.broadcaster",
            Self::RelayReceive => "loop.relay_receive",
            Self::InputLoader => "loop.input_loader",
            Self::Watchdog => "loop.watchdog",
            Self::WindowFeed => "loop.window_feed",
            Self::Reclaim => "loop.reclaim",
            Self::Record => "loop.record",
            Self::Schedule => "loop.schedule",
            Self::Schedules => "loop.schedules",
            Self::Settle => "loop.settle",
            Self::Membership => "loop.membership",
            Self::Slot => "loop.slot",
            Self::Steps => "loop.steps",
            Self::RelaySend => "loop.relay_send",
            Self::Retention => "loop.retention",
            Self::Timer => "loop.timer",
            Self::Turns => "loop.turns",
            Self::Webhooks => "loop.webhooks",
        }
    }

    /// Its name, in reasons and the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.place().trim_start_matches("loop.")
    }

    /// A turn of the loop begins. Panics where a test wants it to.
    pub fn turn(self) {
        fail::fail_point!(self.place());
    }
}

/// Reads what tests want, once, at the start of the process.
pub fn arm() {
    if fail::has_failpoints() {
        // Its end would disarm them.
        std::mem::forget(fail::FailScenario::setup());
    }
}
