//! The store's two clocks: what time it is, and how much time has passed.
//!
//! The steady clock runs on however the wall clock is set, over restarts too, and all processes on one database read
//! the same.
//!
//! What people read and `start_at` are times of the wall clock, which is set now and then: by hand, by NTP, after a
//! start without a battery. What waits (retries, rates, beats, logins, keys) is stored by the steady clock instead.
//! It is the wall clock of the source plus an offset that is kept in `meta`, and between two looks it goes on with
//! the machine's uptime, which nothing sets and which counts the time asleep. Whoever finds the source set corrects
//! the offset, once for all, so that the sum goes on as it was.

mod anchor;
mod uptime;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sea_orm::DatabaseConnection;

use self::anchor::{Anchor, Look, Shared, Shows};
pub(super) use self::uptime::FileAges;
pub use self::uptime::Uptime;
use self::uptime::system_clock;
use super::backend::{number, row, run};
use super::error::StoreError;
use crate::protocol::Timestamp;

/// Looks at the start at most: one more for each process that starts at the same moment.
const START_TRIES_MAX: u32 = 16;
/// Name of the offset in `meta`.
const KEY: &str = "clock";

/// A clock of the caller's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For people, and for what is to start at a time of day.
    pub wall: Timestamp,
    /// For what waits.
    pub steady: Timestamp,
}

/// Where the wall clock is read.
enum Source {
    /// A test's clock: never set, so both are the same.
    Caller(Clock),
    /// This machine's, where no other process uses the database.
    System,
    /// The database's, which all nodes share.
    Database,
}

/// Both clocks.
pub(super) struct Clocks {
    source: Source,
    anchor: Mutex<Anchor>,
}

impl Clocks {
    /// A test's.
    pub(super) fn of_caller(clock: Clock) -> Self {
        Self::of(Source::Caller(clock))
    }

    /// As everybody on the database reads them; the first look at the source decides.
    pub(super) async fn start(
        is_shared: bool,
        reader: &DatabaseConnection,
        writer: &DatabaseConnection,
    ) -> Result<Self, StoreError> {
        let first = "INSERT INTO meta (\"key\", value) VALUES ($1, $2) ON CONFLICT (\"key\") DO NOTHING";
        run(writer, first, vec![KEY.into(), Shared::default().print().into()]).await?;
        let clocks = Self::of(if is_shared { Source::Database } else { Source::System });
        // The last sign of life is by the steady clock. Where it is of later than now, the source was set back while nobody
        // looked, or begins anew with each start of the machine: what has passed stays passed.
        let last = number(reader, "SELECT MAX(heartbeat_at) FROM nodes", vec![]).await?;
        for _try in 0..START_TRIES_MAX {
            let look = clocks.look(reader).await?;
            *clocks.anchor() = Anchor::first(look);
            let later = last.and_then(|last| Anchor::first(look).no_sooner_than(last));
            match later {
                // Another process starts as well, and was quicker: what it has set holds for this one too.
                Some(anchor) if !clocks.agree(look.shared, anchor, writer).await? => {}
                Some(_) | None => break,
            }
        }
        Ok(clocks)
    }

    fn of(source: Source) -> Self {
        let anchor = Anchor { at: Uptime::now(), steady_ms: 0, shared: Shared::default() };
        Self { source, anchor: Mutex::new(anchor) }
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wall clock of the source, as of the last look where that is the database.
    pub(super) fn wall(&self) -> Timestamp {
        match &self.source {
            Source::Caller(clock) => clock(),
            Source::System => system_clock(),
            Source::Database => {
                let anchor = *self.anchor();
                Timestamp(anchor.steady_at(Uptime::now()).saturating_sub(anchor.shared.offset))
            }
        }
    }

    /// The steady clock.
    pub(super) fn steady(&self) -> Timestamp {
        match &self.source {
            Source::Caller(clock) => clock(),
            Source::System | Source::Database => {
                let anchor = *self.anchor();
                Timestamp(anchor.steady_at(Uptime::now()))
            }
        }
    }

    async fn look(&self, reader: &DatabaseConnection) -> Result<Look, StoreError> {
        const HERE: &str = "SELECT value FROM meta WHERE \"key\" = $1";
        const THERE: &str = "SELECT value, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), \
             (SELECT MAX(heartbeat_at) FROM nodes WHERE state <> 'down') FROM meta WHERE \"key\" = $1";
        let is_here = matches!(self.source, Source::System);
        let asked = Uptime::now();
        let told = row(reader, if is_here { HERE } else { THERE }, vec![KEY.into()]).await?;
        let told = told.ok_or_else(|| StoreError::Invariant("the clock's offset is gone".to_owned()))?;
        let shared = Shared::parse(&told.try_get_by_index::<String>(0)?)?;
        if is_here {
            let asked = Uptime::now();
            let wall_ms = system_clock().0;
            return Ok(Look { asked, answered: Uptime::now(), wall_ms, shared, beat_ms: None });
        }
        let (wall_ms, beat_ms) = (told.try_get_by_index(1)?, told.try_get_by_index(2)?);
        Ok(Look { asked, answered: Uptime::now(), wall_ms, shared, beat_ms })
    }

    /// Looks at the source.
    pub(super) async fn renew(
        &self,
        reader: &DatabaseConnection,
        writer: &DatabaseConnection,
    ) -> Result<(), StoreError> {
        if matches!(self.source, Source::Caller(_)) {
            return Ok(());
        }
        let look = self.look(reader).await?;
        let known = *self.anchor();
        match known.judge(look) {
            Shows::Goes(anchor) => self.go_on(known, anchor),
            Shows::Set { ms, anchor } => {
                if self.agree(look.shared, anchor, writer).await? {
                    tracing::warn!(ms, "the clock was set; what waits goes on as if it had not been");
                }
            }
        }
        Ok(())
    }

    /// Says that the clock goes on from `anchor`; false where another was quicker: the next look shows what it found.
    async fn agree(
        &self,
        seen: Shared,
        anchor: Anchor,
        writer: &DatabaseConnection,
    ) -> Result<bool, StoreError> {
        let known = *self.anchor();
        let text = "UPDATE meta SET value = $3 WHERE \"key\" = $1 AND value = $2";
        let values = vec![KEY.into(), seen.print().into(), anchor.shared.print().into()];
        let first = run(writer, text, values).await? == 1;
        if first {
            self.go_on(known, anchor);
        }
        Ok(first)
    }

    /// Goes on from `anchor`, unless another thread has looked meanwhile.
    fn go_on(&self, known: Anchor, anchor: Anchor) {
        let mut held = self.anchor();
        if *held == known {
            *held = anchor;
        }
    }

    /// How often the source was found set.
    pub(super) fn epoch(&self) -> i64 {
        self.anchor().shared.epoch
    }
}
