//! Tables and queries: the tape in a database.
//!
//! ```text
//! tape      one batch in one transaction: blocks, outcomes, counters, strip cells, families
//! lease     leases granted, reported on, taken back         acts      what people ask of a batch, at once or in steps
//! read      items, lists, search, changes, audit            cluster   nodes, and how far what they run is
//! access    people, logins, tokens, idempotency keys        files     file contents and their sweep
//! schedules batches that are made again and again
//! webhooks  messages about the ends of batches, and the tries to deliver them
//! records   the shapes that leave this room                 entity, migration   the rows and the schema
//! backend   all that differs between databases              clock, disk         the time, and the room that is left
//! uploads   files that come in pieces
//! ```
//!
//! Invariants 1 to 6 of the tape hold in every committed snapshot. Entities never leave this room; records do.

pub mod access;
mod acts;
mod backend;
mod batch_names;
mod clock;
mod cluster;
mod disk;
mod entity;
pub mod error;
pub mod files;
mod lease;
pub mod migration;
mod open_batches;
mod parallel_open;
mod pulse_buckets;
mod quotas;
mod read;
pub mod records;
mod retry_counts;
mod schedules;
mod tape;
#[cfg(test)]
mod tests;
mod uploads;
mod webhooks;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::acts::{BulkAdded, BulkFilter, BulkStep, CreateBulkAct, Followed, NamedBatch};
pub use self::cluster::ProgressRecord;
pub use self::files::{
    Addressing, BucketOptions, ContentStream, Draft, FileStore, LocalFile, PieceWriter, Progress,
    SMALL_FILE_BYTES_MAX, SealedFile, Stored,
};
pub use self::lease::{Claim, ClaimRequest, LOST, POISON, ReclaimScope, RetryPolicy, RunnableTasks};
pub use self::pulse_buckets::PULSE_BUCKETS_MAX;
pub use self::read::{Hints, Since, Standing};
pub use self::tape::{PLAIN_COLUMN, STRIP_CELLS_MAX};
pub use clock::{Clock, Moment, Uptime};
pub use error::{QuotaExcess, QuotaKind, StoreError};
pub use quotas::{PersonQuota, Quotas};
pub use records::*;
pub use uploads::{AnnouncedFile, UPLOAD_IDLE_MS, UPLOADS_PER_PERSON_MAX, UploadRecord};
pub use webhooks::{
    ClaimedDelivery, DeliveryFilter, DeliveryList, DeliveryOutcome, Next, WebhookSecretRecord,
};

use sea_orm::QueryResult;

use self::backend::{Backend, Durability, LastStop, row, run};
use self::clock::{Clocks, FileAges};
use self::disk::Disk;
use self::files::SweepPlace;
use self::tape::BlockCache;
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
    /// Folder of file contents; with a bucket, a folder of the disk that attempts work on.
    pub files: PathBuf,
    /// Bucket of file contents, where they are not in the folder.
    pub bucket: Option<BucketOptions>,
    /// How much one person may have.
    pub quotas: Quotas,
}

/// The database and the file contents. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    file_store: FileStore,
    disk: Disk,
    clocks: Clocks,
    ages: Mutex<FileAges>,
    blocks: BlockCache,
    sweep: Mutex<SweepPlace>,
    quotas: Quotas,
}

/// What revisions are raised by after a stop that was not clean: more than commits that a power cut can undo.
const REV_RAISE: i64 = 1_000_000;
/// Finished batches whose revision is raised too: those that an open page may still show, in ms.
const RECENT_MS: i64 = 7 * 24 * 3_600 * 1_000;

impl Store {
    /// Connects, applies migrations, and raises `rev` where the last stop was not clean.
    ///
    /// # Errors
    /// [`StoreError::Io`] for an address that is none of a database; [`StoreError::Busy`] where it does not answer;
    /// [`StoreError::FilesAway`] where a bucket cannot be written to or read; [`StoreError::Damaged`] for an SQLite database
    /// that is not whole as far as was looked, or is missing beside its files; outages.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let disk = Disk::open(&options.url, &options.files)?;
        let store = Self::connect(options, None, disk).await?;
        store.file_store().check().await?;
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
        let file_store = FileStore::open(&options.files, options.bucket.as_ref()).await?;
        let folder = options.bucket.is_none().then_some(options.files.as_path());
        let connections = (options.readers, options.writers);
        let backend = Backend::connect(&options.url, connections, folder).await?;
        let clocks = match clock {
            Some(clock) => Clocks::of_caller(clock),
            None => Clocks::start(backend.is_shared(), backend.reader(), backend.writer()).await?,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                backend,
                file_store,
                disk,
                clocks,
                ages: Mutex::new(FileAges::new()),
                blocks: BlockCache::default(),
                sweep: Mutex::default(),
                quotas: options.quotas,
            }),
        })
    }

    /// On Postgres no commit that was answered is lost, and a start is no sign of a stop.
    async fn raise_revisions(&self) -> Result<(), StoreError> {
        if self.is_shared() {
            return Ok(());
        }
        let clean = row(self.inner.backend.reader(), CLEAN, vec![]).await?;
        self.inner.backend.check_whole(last_stop(clean)?).await?;
        self.with_reserve(|| self.raise_revisions_once()).await
    }

    async fn raise_revisions_once(&self) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        if last_stop(row(&tx, CLEAN, vec![]).await?)? == LastStop::Unclean {
            run(
                &tx,
                "UPDATE batches SET rev = rev + $1 \
                 WHERE finished_at IS NULL OR COALESCE(finished_steady, finished_at) > $2",
                vec![REV_RAISE.into(), self.steady().plus_ms(-RECENT_MS).0.into()],
            )
            .await?;
        }
        run(&tx, SET_CLEAN, vec!["no".into()]).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    /// Returns when every commit so far survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the disk fails.
    pub async fn sync(&self) -> Result<(), StoreError> {
        self.inner.backend.sync().await
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

    /// What time it is, for people. Never to be stored as the end of a wait: see [`Store::steady`].
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clocks.wall()
    }

    /// The time by a clock that nobody sets: what waits is stored by it.
    #[must_use]
    pub fn steady(&self) -> Timestamp {
        self.inner.clocks.steady()
    }

    /// This moment by both clocks.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { wall: self.now(), steady: self.steady() }
    }

    /// Looks at the wall clock where the store takes it from, so that one that was set is found. To be called about once a
    /// second.
    ///
    /// # Errors
    /// Outages.
    pub async fn renew_clock(&self) -> Result<(), StoreError> {
        self.inner.ages.lock().unwrap_or_else(PoisonError::into_inner).hold(Duration::ZERO);
        let backend = &self.inner.backend;
        self.inner.clocks.renew(backend.reader(), backend.writer()).await
    }

    /// As [`Store::renew_clock`], by the connections of the thread that beats.
    ///
    /// # Errors
    /// Outages.
    pub async fn renew_clock_to_beat(&self) -> Result<(), StoreError> {
        let beats = self.inner.backend.beats();
        self.inner.clocks.renew(beats, beats).await
    }

    /// Grows where the wall clock was found set, by this process or another.
    #[must_use]
    pub fn clock_epoch(&self) -> i64 {
        self.inner.clocks.epoch()
    }

    /// True where other processes may work on the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.backend.is_shared()
    }

    /// File contents.
    #[must_use]
    pub fn file_store(&self) -> &FileStore {
        &self.inner.file_store
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

/// How the last stop was marked; before the first there is no mark.
fn last_stop(clean: Option<QueryResult>) -> Result<LastStop, StoreError> {
    let clean = clean.map(|row| row.try_get_by_index::<String>(0)).transpose()?;
    Ok(if clean.is_some_and(|clean| clean != "yes") { LastStop::Unclean } else { LastStop::Clean })
}

const CLEAN: &str = "SELECT value FROM meta WHERE \"key\" = 'clean'";
const SET_CLEAN: &str = "INSERT INTO meta (\"key\", value) VALUES ('clean', $1) \
     ON CONFLICT (\"key\") DO UPDATE SET value = excluded.value";
const SET_PING: &str = "INSERT INTO meta (\"key\", value) VALUES ('ping', $1) \
     ON CONFLICT (\"key\") DO UPDATE SET value = excluded.value";
