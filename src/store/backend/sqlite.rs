//! SQLite: one connection that writes, a pool that reads, and the sync of the WAL.
//!
//! A connection that SQLite has rolled back by itself is never used again.
//!
//! Durability: WAL with `synchronous=NORMAL`, so a commit survives the end of the process but the last ones may not
//! survive a power cut; [`super::Durability::PowerCut`] then syncs the WAL itself before the answer, which makes it
//! and every commit before it durable at the price of one `fdatasync`, without a second kind of connection.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::{STATEMENTS_CACHED, damage, run};
use crate::store::error::StoreError;

/// Longest wait for a connection before a call is answered with [`StoreError::Busy`].
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of WAL after which a commit copies them to the database (16 MiB).
const CHECKPOINT_PAGES: &str = "4000";
/// Bytes that the WAL keeps on disk after a checkpoint.
const WAL_BYTES_KEPT: &str = "67108864";
/// Bytes of the database read through memory maps.
const MMAP_BYTES: &str = "268435456";

/// With less room than this, in bytes, the disk is tight.
const TIGHT_BYTES: u64 = 32 * 1024 * 1024;

/// The log of what was written last, beside the database.
pub(super) struct Wal {
    path: PathBuf,
    file: OnceLock<Arc<File>>,
    /// What it holds found no room in the database.
    stuck: AtomicBool,
}

impl Wal {
    /// On a tight disk, takes what was committed into the database at once, as far as readers let it. Otherwise the log
    /// could hold more than the reserve of the disk has room for in the database, and the disk could not be freed.
    pub(super) async fn keep_short(&self, writer: &DatabaseConnection) {
        if !self.is_tight() {
            return;
        }
        match run(writer, "PRAGMA wal_checkpoint(PASSIVE)", vec![]).await {
            Ok(_) => {}
            Err(error) if error.is_disk_full() => self.stuck.store(true, Ordering::Release),
            Err(error) => tracing::debug!(%error, "the log could not be taken into the database"),
        }
    }

    /// True once after such a failure for want of room.
    pub(super) fn was_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed) && self.stuck.swap(false, Ordering::AcqRel)
    }

    fn is_tight(&self) -> bool {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match rustix::fs::statvfs(folder.unwrap_or(Path::new("."))) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) < TIGHT_BYTES,
            Err(_unknown) => false,
        }
    }

    /// Syncs it; a checkpoint that took it meanwhile has synced the same pages.
    pub(super) async fn sync(&self) -> Result<(), StoreError> {
        let file = if let Some(file) = self.file.get() {
            file.clone()
        } else {
            let file = Arc::new(File::open(&self.path)?);
            self.file.get_or_init(|| file).clone()
        };
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced.map_err(|ended| StoreError::Io(std::io::Error::other(ended)))??;
        Ok(())
    }
}

/// Opens `sqlite://PATH`, writer and readers; the file and its folder are made if missing, unless there are `files` of an
/// earlier one.
pub(super) async fn open(
    url: &str,
    readers: u32,
    files: Option<&Path>,
) -> Result<(DatabaseConnection, DatabaseConnection, Wal), StoreError> {
    let path = url.strip_prefix("sqlite://").ok_or_else(|| {
        std::io::Error::new(ErrorKind::InvalidInput, "a database is sqlite://PATH or postgres://…")
    })?;
    let path = Path::new(path.split('?').next().unwrap_or(path));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        tokio::fs::create_dir_all(folder).await?;
    }
    if !std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        files.map_or(Ok(()), |files| damage::refuse_missing(path, files))?;
        connect_sqlite(path, 1, "-2048", Use::Makes).await?.close().await?;
    }
    let writer = connect_sqlite(path, 1, "-65536", Use::Writes).await?;
    let readers = connect_sqlite(path, readers.max(1), "-16384", Use::Reads).await?;
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    Ok((writer, readers, Wal { path: wal.into(), file: OnceLock::new(), stuck: AtomicBool::new(false) }))
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Makes the file, and no more.
    Makes,
    Writes,
    Reads,
}

async fn connect_sqlite(
    path: &Path,
    connections: u32,
    cache_size: &'static str,
    purpose: Use,
) -> Result<DatabaseConnection, StoreError> {
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(|options| {
            options.after_release(|connection, _meta| Box::pin(is_between_transactions(connection)))
        })
        .map_sqlx_sqlite_opts(move |_from_url| {
            use sea_orm::sqlx::ConnectOptions as _;
            let options = SqliteConnectOptions::new();
            // Free pages can be given back to the disk. Counts only while a database is made, and writes even where it
            // changes nothing: so not on any other connection, which may be opened while the disk is full.
            let options = if purpose == Use::Makes {
                options.auto_vacuum(SqliteAutoVacuum::Incremental)
            } else {
                options
            };
            options
                .disable_statement_logging()
                .filename(&path)
                .create_if_missing(purpose != Use::Reads)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
                .statement_cache_capacity(STATEMENTS_CACHED)
                .pragma("journal_size_limit", WAL_BYTES_KEPT)
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
                .pragma("cache_size", cache_size)
                .pragma("mmap_size", MMAP_BYTES)
                .pragma("temp_store", "MEMORY")
                .pragma("query_only", if purpose == Use::Reads { "ON" } else { "OFF" })
        });
    Ok(Database::connect(options).await?)
}

/// Whether a connection that comes back may be used again; one that may not is closed, and another opened.
///
/// Where the disk is full SQLite rolls the whole transaction back by itself, and the roll-back that follows fails. The
/// driver then counts itself inside a transaction for ever: what it begins next is a savepoint, what it commits reaches
/// nobody, and all of it is lost with the process.
async fn is_between_transactions(connection: &mut SqliteConnection) -> Result<bool, sea_orm::sqlx::Error> {
    use sea_orm::sqlx::Connection as _;
    // The roll-back of a dropped transaction waits in the connection's queue: a ping is answered after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}
