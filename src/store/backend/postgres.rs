//! Postgres: pools bounded in size and time, one migration at a time.
//!
//! No statement, lock or idle transaction outlives the bounds here, whichever side has gone away.
//!
//! Durability: commits are as durable as the server's `synchronous_commit` says, every one of them: nothing is lost
//! with the server's crash that was answered, so no revision needs to be raised after one.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgListener};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, TransactionTrait};
use sea_orm_migration::MigratorTrait as _;

use super::STATEMENTS_CACHED;
use crate::store::error::StoreError;
use crate::store::migration::Migrator;

/// Longest wait for a connection, a new one included, before a call is answered with [`StoreError::Busy`].
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to one statement: what the server's own bound below does not end, because the server
/// cannot be reached any more.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a connection that is given back to say that it is alive.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Channel of hints between the nodes of a database.
const HINTS: &str = "milepost";
/// Connections that only beat.
const BEAT_CONNECTIONS: u32 = 2;
/// An idle connection is closed after so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Bounds that the server holds, in ms, and what long plans would cost more than they save.
const SERVER_SETTINGS: [(&str, &str); 6] = [
    ("statement_timeout", "9000"),
    ("lock_timeout", "5000"),
    ("idle_in_transaction_session_timeout", "5000"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_user_timeout", "15000"),
    ("jit", "off"),
];
/// Bounds of connections that migrate: they may wait for each other.
const MIGRATION_SETTINGS: [(&str, &str); 1] = [("idle_in_transaction_session_timeout", "0")];
/// Key of the advisory lock that whoever migrates holds: the letters "milepost" as a number.
const MIGRATION_LOCK: i64 = 0x6d69_6c65_706f_7374;

/// The pools of one process.
pub(super) struct Pools {
    pub(super) writers: DatabaseConnection,
    pub(super) readers: DatabaseConnection,
    pub(super) beats: DatabaseConnection,
}

/// Connects to `postgres://…`, as many connections as are asked for at most.
pub(super) async fn open(url: &str, readers: u32, writers: u32) -> Result<Pools, StoreError> {
    let url = url.replacen("postgresql://", "postgres://", 1);
    let pool = |connections: u32, lazy: bool| {
        let mut options = settings(&url, connections, &SERVER_SETTINGS);
        // Made by whoever asks first, on that thread: one that blocks must not keep another from beating.
        options.connect_lazy(lazy).min_connections(u32::from(!lazy));
        Database::connect(options)
    };
    Ok(Pools {
        writers: pool(writers.max(2), false).await?,
        readers: pool(readers.max(2), false).await?,
        beats: pool(BEAT_CONNECTIONS, true).await?,
    })
}

/// Applies migrations, one process at a time.
pub(super) async fn migrate(url: &str) -> Result<(), StoreError> {
    let url = url.replacen("postgresql://", "postgres://", 1);
    let database = Database::connect(settings(&url, 4, &MIGRATION_SETTINGS)).await?;
    let lock = database.begin().await?;
    // Not bounded: another process may be migrating much.
    let taken = super::statement(&lock, "SELECT pg_advisory_xact_lock($1)", vec![MIGRATION_LOCK.into()]);
    lock.execute_raw(taken).await?;
    Migrator::up(&database, None).await?;
    lock.commit().await?;
    database.close().await?;
    Ok(())
}

fn settings(url: &str, connections: u32, server: &'static [(&str, &str)]) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(None)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_pool_opts(|options| {
            options.after_release(|connection, _meta| Box::pin(is_alive(connection)))
        })
        .map_sqlx_postgres_opts(move |options: PgConnectOptions| {
            options
                .application_name("milepost")
                .statement_cache_capacity(STATEMENTS_CACHED)
                .options(server.iter().copied())
        });
    options
}

/// Whether a connection that comes back may be used again: where it does not answer in time, it never will.
async fn is_alive(connection: &mut PgConnection) -> Result<bool, sea_orm::sqlx::Error> {
    use sea_orm::sqlx::Connection as _;
    let gone = |_elapsed| {
        sea_orm::sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer to a ping"))
    };
    // Also sends the roll-back of a dropped transaction, which waits in the connection's queue.
    tokio::time::timeout(RETURN_TIMEOUT, connection.ping()).await.map_err(gone)??;
    Ok(true)
}

/// Tells whoever listens on this database to look.
pub(super) async fn hint(connection: &DatabaseConnection, text: &str) -> Result<(), StoreError> {
    super::run(connection, "SELECT pg_notify($1, $2)", vec![HINTS.into(), text.into()]).await?;
    Ok(())
}

/// Hints of other processes, on a connection of its own.
pub struct Hints {
    listener: PgListener,
}

impl Hints {
    pub(super) async fn listen(url: &str) -> Result<Self, StoreError> {
        let begun = async {
            let mut listener = PgListener::connect(url).await?;
            // Made anew by the caller, who then looks at what was said meanwhile.
            listener.eager_reconnect(false);
            listener.listen(HINTS).await?;
            Ok::<_, sea_orm::sqlx::Error>(listener)
        };
        match tokio::time::timeout(ACQUIRE_TIMEOUT, begun).await {
            Ok(Ok(listener)) => Ok(Self { listener }),
            Ok(Err(error)) => Err(StoreError::Busy(error.to_string())),
            Err(_elapsed) => Err(StoreError::Busy("no answer in time".to_owned())),
        }
    }

    /// The next one; none where the connection broke, and with it what was said meanwhile.
    ///
    /// # Errors
    /// Outages.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        match self.listener.try_recv().await {
            Ok(hint) => Ok(hint.map(|hint| hint.payload().to_owned())),
            Err(error) => Err(StoreError::Busy(error.to_string())),
        }
    }
}
