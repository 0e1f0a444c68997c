//! SQLite: one connection that writes, a pool that reads, and the sync of the WAL.
//!
//! Owns the settings of its connections. Called by [`super::Backend`]. Invariant: a connection that SQLite has rolled
//! back by itself is never used again. Deliberately knows no table.
//!
//! Durability: WAL with `synchronous=NORMAL`, so a commit survives the end of the process but the last ones may not
//! survive a power cut; [`super::Durability::PowerCut`] then syncs the WAL itself before the answer, which makes it
//! and every commit before it durable at the price of one `fdatasync`, without a second kind of connection.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::STATEMENTS_CACHED;
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

/// The log of what was written last, beside the database.
pub(super) struct Wal {
    path: PathBuf,
    file: OnceLock<Arc<File>>,
}

impl Wal {
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

/// Opens `sqlite://PATH`, writer and readers; the file and its folder are made if missing.
pub(super) async fn open(
    url: &str,
    readers: u32,
) -> Result<(DatabaseConnection, DatabaseConnection, Wal), StoreError> {
    let path = url.strip_prefix("sqlite://").ok_or_else(|| {
        std::io::Error::new(ErrorKind::InvalidInput, "a database is sqlite://PATH or postgres://…")
    })?;
    let path = Path::new(path.split('?').next().unwrap_or(path));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        tokio::fs::create_dir_all(folder).await?;
    }
    let writer = connect_sqlite(path, 1, "-65536", false).await?;
    let readers = connect_sqlite(path, readers.max(1), "-16384", true).await?;
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    Ok((writer, readers, Wal { path: wal.into(), file: OnceLock::new() }))
}

async fn connect_sqlite(
    path: &Path,
    connections: u32,
    cache_size: &'static str,
    reads_only: bool,
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
            SqliteConnectOptions::new()
                .disable_statement_logging()
                .filename(&path)
                .create_if_missing(!reads_only)
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
                .pragma("query_only", if reads_only { "ON" } else { "OFF" })
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
