//! Tables and queries: the tape in a database.
//!
//! ```text
//! entity, migration   what is there          backend   all that differs between databases
//! tape                one batch in one transaction, with its cells, families, columns and rows
//! batches, claim, turn, record, reclaim    what moves the tape, each one transaction
//! acts, retry, act_rows, budgets, follow   what people ask of it, at once or in steps, and what follows
//! disk                the room that is left, and the reserve that is given up when there is none
//! relay, glimpses     what others have moved, and how far what they run is
//! inputs, items, search, listing, files, nodes, sweep, audit, people, idempotency   the rest
//! ```
//!
//! Called by engine, service and hub's feeder. Invariants 1 to 6 of the tape hold in every committed snapshot.
//! Deliberately knows neither HTTP nor persons' rights. Entities never leave this room; records do.

mod act_rows;
mod acts;
mod audit;
mod backend;
mod batches;
mod beside;
mod budgets;
mod cells;
mod claim;
mod columns;
mod disk;
mod entity;
pub mod error;
mod family;
mod files;
mod follow;
mod glimpses;
pub mod idempotency;
mod inputs;
mod items;
mod listing;
pub mod migration;
mod nodes;
pub mod people;
mod ranges;
mod reclaim;
mod record;
mod relay;
pub mod records;
mod retry;
mod rows;
mod search;
mod strays;
mod sweep;
mod tape;
#[cfg(test)]
mod tests;
mod turn;
pub mod vault;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

pub use claim::{Claim, ClaimRequest};
pub use error::StoreError;
pub use follow::Followed;
pub use glimpses::Glimpse;
pub use reclaim::{LOST, POISON, Whose};
pub use records::*;
pub use relay::{Hints, Since, Standing};
pub use vault::{Draft, Stored, Vault};

use self::backend::{Backend, DatabaseClock, Durability, row, run};
use self::disk::Disk;
use self::inputs::BlockCache;
use self::sweep::SweepPlace;
use crate::protocol::Timestamp;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    /// Connections that read.
    pub readers: u32,
    /// Connections that write, on Postgres; on SQLite there is one.
    pub writers: u32,
    /// Folder of file contents.
    pub files: PathBuf,
}

/// A clock of the caller's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where the store takes the time from.
enum Time {
    /// The system's clock, or a test's.
    Here(Clock),
    /// The clock of the database, which all nodes share.
    Database(DatabaseClock),
}

/// The database and the folder of file contents. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    vault: Vault,
    disk: Disk,
    time: Time,
    blocks: BlockCache,
    sweep: Mutex<SweepPlace>,
}

/// What revisions are raised by after a stop that was not clean: more than commits that a power cut can undo.
const REV_RAISE: i64 = 1_000_000;
/// Finished batches whose revision is raised too: those that an open page may still show, in ms.
const RECENT_MS: i64 = 7 * 24 * 3_600 * 1_000;

fn system_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Store {
    /// Connects, applies migrations, and raises `rev` where the last stop was not clean.
    ///
    /// # Errors
    /// [`StoreError::Io`] for an address that is none of a database; [`StoreError::Busy`] where it does not answer;
    /// outages.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let disk = Disk::open(&options.url, &options.files)?;
        let store = Self::connect(options, None, disk).await?;
        store.raise_revisions().await?;
        Ok(store)
    }

    /// As [`Store::open`], with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with_clock(options: StoreOptions, clock: Clock) -> Result<Self, StoreError> {
        let disk = Disk::open(&options.url, &options.files)?;
        let store = Self::connect(options, Some(clock), disk).await?;
        store.raise_revisions().await?;
        Ok(store)
    }

    /// Connects and applies migrations: what every process does, whether it runs the tape or not.
    async fn connect(options: StoreOptions, clock: Option<Clock>, disk: Disk) -> Result<Self, StoreError> {
        let vault = Vault::open(&options.files).await?;
        let backend = Backend::connect(&options.url, options.readers, options.writers).await?;
        let time = match clock {
            Some(clock) => Time::Here(clock),
            None if backend.is_shared() => {
                let clock = DatabaseClock::new();
                clock.renew(backend.reader()).await?;
                Time::Database(clock)
            }
            None => Time::Here(Arc::new(system_clock)),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                backend,
                vault,
                disk,
                time,
                blocks: BlockCache::default(),
                sweep: Mutex::default(),
            }),
        })
    }

    /// On Postgres no commit that was answered is lost, and a start is no sign of a stop.
    async fn raise_revisions(&self) -> Result<(), StoreError> {
        if self.is_shared() {
            return Ok(());
        }
        let raised = self.raise_revisions_once().await;
        if self.gives_reserve(&raised) {
            return self.raise_revisions_once().await;
        }
        raised
    }

    async fn raise_revisions_once(&self) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        let clean = row(&tx, "SELECT value FROM meta WHERE \"key\" = 'clean'", vec![]).await?;
        let clean = clean.map(|row| row.try_get_by_index::<String>(0)).transpose()?;
        if clean.is_some_and(|clean| clean != "yes") {
            run(
                &tx,
                "UPDATE batches SET rev = rev + $1 WHERE finished_at IS NULL OR finished_at > $2",
                vec![REV_RAISE.into(), self.now().plus_ms(-RECENT_MS).0.into()],
            )
            .await?;
        }
        run(&tx, SET_CLEAN, vec!["no".into()]).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    /// Closes all connections after a checkpoint.
    pub async fn close(&self) {
        if !self.is_shared()
            && let Err(error) = run(self.inner.backend.writer(), SET_CLEAN, vec!["yes".into()]).await
        {
            tracing::warn!(%error, "the stop could not be marked as clean");
        }
        self.inner.backend.close().await;
    }

    /// The time by the store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.inner.time {
            Time::Here(clock) => clock(),
            Time::Database(clock) => clock.now(),
        }
    }

    /// Looks at the database's clock where that is the store's; to be called about once a second, by the thread that
    /// beats.
    ///
    /// # Errors
    /// Outages.
    pub async fn renew_clock(&self) -> Result<(), StoreError> {
        match &self.inner.time {
            Time::Here(_) => Ok(()),
            Time::Database(clock) => clock.renew(self.inner.backend.beats()).await,
        }
    }

    /// The time to bind where [`backend::clock_or`] stands: none where the database is to say it.
    fn clock_value(&self) -> sea_orm::Value {
        match &self.inner.time {
            Time::Here(clock) => clock().0.into(),
            Time::Database(_) => sea_orm::Value::BigInt(None),
        }
    }

    /// True where other processes may work on the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.backend.is_shared()
    }

    /// File contents.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// A cheap round trip through the writer: proves that commits are possible.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Busy`], other outages.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let pinged = run(self.inner.backend.writer(), SET_PING, vec![self.now().to_string().into()]).await;
        self.gives_reserve(&pinged);
        pinged.map(drop)
    }
}

const SET_CLEAN: &str = "INSERT INTO meta (\"key\", value) VALUES ('clean', $1) \
     ON CONFLICT (\"key\") DO UPDATE SET value = excluded.value";
const SET_PING: &str = "INSERT INTO meta (\"key\", value) VALUES ('ping', $1) \
     ON CONFLICT (\"key\") DO UPDATE SET value = excluded.value";
