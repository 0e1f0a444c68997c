//! All that differs between databases: connections, transactions, locks, durability, bulk rows, errors.
//!
//! Whoever changes a batch holds its row from the first look to the commit: on SQLite because one transaction writes
//! at a time, on Postgres because [`locking`] reads wait for each other.

mod bulk;
mod damage;
mod postgres;
mod sqlite;
#[cfg(test)]
mod statements;

use std::future::Future;
use std::path::Path;

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, FromQueryResult,
    IsolationLevel, QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    Value,
};
use sea_orm_migration::MigratorTrait as _;

pub(super) use self::bulk::{
    Hold, LIST_MAX, found_for_each, in_keys, in_texts, insert_many, list_value, one_for_each,
};
pub(super) use self::damage::LastStop;
pub use self::postgres::Hints;
use super::error::StoreError;
use super::migration::Migrator;
use crate::fault::Point;

/// Prepared statements kept per connection.
const STATEMENTS_CACHED: usize = 256;

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The end of this process. On Postgres: as the other.
    Process,
    /// A power cut: acts and the ends of batches.
    PowerCut,
}

/// What kind of database it is.
enum Kind {
    /// A file of this process alone.
    Sqlite(sqlite::Wal),
    /// A server that other processes use too.
    Postgres {
        /// Connections of the thread that beats: they wait for no work, and belong to its runtime.
        beats: DatabaseConnection,
        /// For connections beside the pools.
        url: String,
    },
}

/// Connections that write, that read, and on a shared database those that beat.
pub(super) struct Backend {
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    kind: Kind,
    #[cfg(test)]
    pub(super) statements: statements::Statements,
}

impl Backend {
    /// Connects to `sqlite://PATH` (the file and its folder are made if missing) or `postgres://…`, and applies
    /// migrations. A new one is not begun beside `files` of another, where these are in a folder.
    pub(super) async fn connect(
        url: &str,
        (readers_max, writers_max): (u32, u32),
        files: Option<&Path>,
    ) -> Result<Self, StoreError> {
        let (writer, readers, kind);
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            postgres::migrate(url).await?;
            let pools = postgres::open(url, readers_max, writers_max).await?;
            (writer, readers) = (pools.writers, pools.readers);
            kind = Kind::Postgres { beats: pools.beats, url: url.to_owned() };
        } else {
            let opened = sqlite::open(url, readers_max, files).await?;
            Migrator::up(&opened.0, None).await?;
            (writer, readers) = (opened.0, opened.1);
            kind = Kind::Sqlite(opened.2);
        }
        Ok(Self::of(writer, readers, kind))
    }

    #[cfg(not(test))]
    fn of(writer: DatabaseConnection, readers: DatabaseConnection, kind: Kind) -> Self {
        Self { writer, readers, kind }
    }

    #[cfg(test)]
    fn of(mut writer: DatabaseConnection, mut readers: DatabaseConnection, kind: Kind) -> Self {
        let statements = statements::Statements::default();
        statements.watch(&mut writer);
        statements.watch(&mut readers);
        Self { writer, readers, kind, statements }
    }

    /// Looks whether an SQLite database is whole, for as long as a start may take; a server looks after its own.
    pub(super) async fn check_whole(&self, stop: LastStop) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Sqlite(_) => damage::check(&self.writer, stop).await,
            Kind::Postgres { .. } => Ok(()),
        }
    }

    /// True where other processes may work on the same database.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Postgres { .. })
    }

    /// The connection that may change things outside of a transaction.
    pub(super) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// A connection that reads; each statement sees the newest commit.
    pub(super) fn reader(&self) -> &DatabaseConnection {
        &self.readers
    }

    /// A connection for beats: on Postgres of a pool of its own, which only the thread that beats may use.
    pub(super) fn beats(&self) -> &DatabaseConnection {
        match &self.kind {
            Kind::Sqlite(_) => &self.writer,
            Kind::Postgres { beats, .. } => beats,
        }
    }

    /// Tells other processes on the same database to look; where there can be none, nobody.
    pub(super) async fn hint(&self, text: &str) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Sqlite(_) => Ok(()),
            Kind::Postgres { .. } => postgres::hint(&self.readers, text).await,
        }
    }

    /// Listens to such hints; none where nobody can give any.
    pub(super) async fn hints(&self) -> Result<Option<Hints>, StoreError> {
        match &self.kind {
            Kind::Sqlite(_) => Ok(None),
            Kind::Postgres { url, .. } => Hints::listen(url).await.map(Some),
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn write(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        in_time(&self.writer, self.writer.begin_with_options(options)).await
    }

    /// Begins a transaction that reads one snapshot.
    pub(super) async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        match &self.kind {
            Kind::Sqlite(_) => Ok(self.readers.begin().await?),
            Kind::Postgres { .. } => {
                let one_snapshot = Some(IsolationLevel::RepeatableRead);
                let begun = self.readers.begin_with_config(one_snapshot, Some(AccessMode::ReadOnly));
                in_time(&self.readers, begun).await
            }
        }
    }

    /// Commits; returns when the commit survives what `durability` says.
    pub(super) async fn commit(
        &self,
        transaction: DatabaseTransaction,
        durability: Durability,
    ) -> Result<(), StoreError> {
        Point::CommitBefore.pass()?;
        in_time(&self.writer, transaction.commit()).await?;
        match &self.kind {
            Kind::Sqlite(wal) => {
                if durability == Durability::PowerCut {
                    wal.sync().await?;
                }
                wal.keep_short(&self.writer).await;
            }
            Kind::Postgres { .. } => {}
        }
        Ok(Point::CommitAfter.pass()?)
    }

    /// Returns when every commit so far survives a power cut; Postgres has synced each already.
    pub(super) async fn sync(&self) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Sqlite(wal) => wal.sync().await,
            Kind::Postgres { .. } => Ok(()),
        }
    }

    /// True once after a commit whose pages found no room in the database: the next will find none in the log.
    pub(super) fn found_no_room(&self) -> bool {
        match &self.kind {
            Kind::Sqlite(wal) => wal.was_stuck(),
            Kind::Postgres { .. } => false,
        }
    }

    /// Closes all connections; on SQLite the last one takes the WAL into the database.
    pub(super) async fn close(&self) {
        let beats = match &self.kind {
            Kind::Sqlite(_) => None,
            Kind::Postgres { beats, .. } => Some(beats),
        };
        for pool in [&self.readers, &self.writer].into_iter().chain(beats) {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "closing the database");
            }
        }
    }
}

/// Waits for an answer, on Postgres no longer than the bound: the server may be beyond reach without a sign.
async fn in_time<C: ConnectionTrait, T>(
    connection: &C,
    answer: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, StoreError> {
    if connection.get_database_backend() != DbBackend::Postgres {
        return Ok(answer.await?);
    }
    match tokio::time::timeout(postgres::ANSWER_TIMEOUT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(StoreError::Busy("no answer in time".to_owned())),
    }
}

/// A query whose rows nobody else changes until the transaction ends.
pub(super) fn locking<C: ConnectionTrait>(connection: &C, text: &str) -> String {
    match connection.get_database_backend() {
        DbBackend::Postgres => format!("{text} FOR UPDATE"),
        _ => text.to_owned(),
    }
}

/// Has nobody else hold `name` until the transaction ends: for what is looked at and then added to. On SQLite there is one writer.
pub(super) async fn hold_name<C: ConnectionTrait>(connection: &C, name: &str) -> Result<(), StoreError> {
    if connection.get_database_backend() == DbBackend::Postgres {
        let text = "SELECT pg_advisory_xact_lock(hashtextextended($1, 15))";
        run(connection, text, vec![name.into()]).await?;
    }
    Ok(())
}

/// Follows the name of a table: has SQLite find rows by this index. Without figures about what a table holds, which it
/// does not keep, it takes any key that begins with the batch for as good. Postgres keeps them.
pub(super) fn by_index<C: ConnectionTrait>(connection: &C, index: &str) -> String {
    match connection.get_database_backend() {
        DbBackend::Sqlite => format!(" INDEXED BY {index}"),
        _ => String::new(),
    }
}

fn statement<C: ConnectionTrait>(connection: &C, text: &str, mut values: Vec<Value>) -> Statement {
    let database = connection.get_database_backend();
    if database == DbBackend::Postgres {
        values.iter_mut().for_each(without_nul);
    }
    Statement::from_sql_and_values(database, text, values)
}

/// Postgres stores no NUL in text; what a task wrote may hold one.
fn without_nul(value: &mut Value) {
    if let Value::String(Some(text)) = value
        && text.contains('\0')
    {
        *text = text.replace('\0', "\u{fffd}");
    }
}

/// Runs one statement; how many rows it touched.
pub(super) async fn run<C: ConnectionTrait>(
    connection: &C,
    text: &str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let statement = statement(connection, text, values);
    Ok(in_time(connection, connection.execute_raw(statement)).await?.rows_affected())
}

/// All rows of a query.
pub(super) async fn rows<C: ConnectionTrait>(
    connection: &C,
    text: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, StoreError> {
    in_time(connection, connection.query_all_raw(statement(connection, text, values))).await
}

/// The first row of a query.
pub(super) async fn row<C: ConnectionTrait>(
    connection: &C,
    text: &str,
    values: Vec<Value>,
) -> Result<Option<QueryResult>, StoreError> {
    in_time(connection, connection.query_one_raw(statement(connection, text, values))).await
}

/// All rows of a query, as entities.
pub(super) async fn all<M: FromQueryResult, C: ConnectionTrait>(
    connection: &C,
    text: &str,
    values: Vec<Value>,
) -> Result<Vec<M>, StoreError> {
    let rows = rows(connection, text, values).await?;
    Ok(rows.iter().map(|row| M::from_query_result(row, "")).collect::<Result<_, DbErr>>()?)
}

/// The first row of a query, as an entity.
pub(super) async fn one<M: FromQueryResult, C: ConnectionTrait>(
    connection: &C,
    text: &str,
    values: Vec<Value>,
) -> Result<Option<M>, StoreError> {
    let row = row(connection, text, values).await?;
    Ok(row.map(|row| M::from_query_result(&row, "")).transpose()?)
}

/// A number of a query that answers exactly one, none where that is null.
pub(super) async fn number<C: ConnectionTrait>(
    connection: &C,
    text: &str,
    values: Vec<Value>,
) -> Result<Option<i64>, StoreError> {
    let row = row(connection, text, values).await?;
    Ok(row.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten())
}

/// As stored: positions and counts fit, and what somebody asked beyond them is as good as the largest.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As read: a count is never negative.
pub(super) fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_negative| StoreError::Invariant(format!("a count is {number}")))
}

/// As read: a small count.
pub(super) fn small(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_range| StoreError::Invariant(format!("a small count is {number}")))
}

/// What the driver said, if it was the driver.
fn driver_error(error: &DbErr) -> Option<&sea_orm::sqlx::Error> {
    use sea_orm::RuntimeErr::SqlxError;
    match error {
        DbErr::Conn(SqlxError(cause)) | DbErr::Exec(SqlxError(cause)) | DbErr::Query(SqlxError(cause)) => {
            Some(cause)
        }
        _ => None,
    }
}

/// What an answer of the database means, by its code; none where it says nothing of its own.
fn meaning(code: &str, text: &str) -> Option<StoreError> {
    // SQLite: the low byte of an extended code is the kind; 5 busy, 6 locked, 13 full.
    match (code.parse::<u32>().unwrap_or(0) & 0xff, code.len()) {
        (5 | 6, 1..=4) => return Some(StoreError::Busy(text.to_owned())),
        (13, 1..=4) => return Some(StoreError::DiskFull),
        _ => {}
    }
    // SQLITE_IOERR_SHMSIZE: the index of the log, which is made at the first use of a database, found no room.
    if code == "4874" {
        return Some(StoreError::DiskFull);
    }
    // Postgres: https://www.postgresql.org/docs/current/errcodes-appendix.html. Class 08: the connection; 53: too
    // little of something; 57P: shut down or starting; 25006: not the primary any more.
    match code {
        "53100" => Some(StoreError::DiskFull),
        "40001" | "40P01" | "55P03" | "57014" | "25006" | "25P03" => Some(StoreError::Busy(text.to_owned())),
        code if code.len() == 5 && ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => {
            Some(StoreError::Busy(text.to_owned()))
        }
        _ => None,
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        use sea_orm::sqlx::Error as Driver;
        let text = error.to_string();
        if damage::is_damage(&error) {
            return damage::damaged(&text);
        }
        if matches!(error, DbErr::ConnectionAcquire(_)) {
            return Self::Busy(text);
        }
        match driver_error(&error) {
            Some(Driver::Database(answer)) => {
                let code = answer.code().unwrap_or_default();
                if let Some(known) = meaning(&code, &text) {
                    return known;
                }
            }
            Some(
                Driver::PoolTimedOut
                | Driver::PoolClosed
                | Driver::Io(_)
                | Driver::Tls(_)
                | Driver::Protocol(_)
                | Driver::WorkerCrashed,
            ) => return Self::Busy(text),
            _ => {}
        }
        Self::Database(error)
    }
}
