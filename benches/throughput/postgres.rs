//! What Postgres could do at all: the bare driver with the same lines, in a cluster of this run's own.
//!
//! The cluster is as durable as Debian's: each commit is synced.

use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Connection};

use crate::Fault;
use crate::cluster::Cluster;
use crate::limits::{CHUNK_LINES, COMMIT_LINES};
use crate::load::Lines;

/// Starts a cluster; none where Postgres is to be left out.
pub fn cluster() -> Option<Cluster> {
    let cluster = Cluster::own()?;
    // The fixture of the tests leaves out what only the machine's end could tell.
    for setting in ["fsync = on", "full_page_writes = on", "shared_buffers = '128MB'"] {
        cluster.query("postgres", &format!("ALTER SYSTEM SET {setting}"));
    }
    cluster.restart(crate::cluster::Stop::Fast);
    Some(cluster)
}

async fn open(url: &str) -> Result<PgConnection, Fault> {
    Ok(url.parse::<PgConnectOptions>()?.disable_statement_logging().connect().await?)
}

/// Inserts one row an item (seq, payload) by `unnest`; answers the time until the last commit.
pub async fn rows(url: &str, lines: &Lines) -> Result<Duration, Fault> {
    let mut connection = open(url).await?;
    sqlx::query("CREATE TABLE items (seq BIGINT PRIMARY KEY, payload TEXT NOT NULL)")
        .execute(&mut connection)
        .await?;
    let start = Instant::now();
    let mut first = 1i64;
    for group in lines.items.chunks(COMMIT_LINES) {
        let last = first + i64::try_from(group.len())?;
        let seqs: Vec<i64> = (first..last).collect();
        let payloads: Vec<&str> = group.iter().map(AsRef::as_ref).collect();
        sqlx::query("INSERT INTO items SELECT * FROM unnest($1::bigint[], $2::text[])")
            .bind(seqs)
            .bind(payloads)
            .execute(&mut connection)
            .await?;
        first = last;
    }
    let took = start.elapsed();
    connection.close().await?;
    Ok(took)
}

/// Inserts one row for every 1,024 lines; answers the time until the last commit.
pub async fn chunks(url: &str, lines: &Lines) -> Result<Duration, Fault> {
    let mut connection = open(url).await?;
    sqlx::query("CREATE TABLE chunks (first_seq BIGINT PRIMARY KEY, payload TEXT NOT NULL)")
        .execute(&mut connection)
        .await?;
    let start = Instant::now();
    let mut first = 1i64;
    for group in lines.items.chunks(COMMIT_LINES) {
        let mut transaction = connection.begin().await?;
        for part in group.chunks(CHUNK_LINES) {
            sqlx::query("INSERT INTO chunks (first_seq, payload) VALUES ($1, $2)")
                .bind(first)
                .bind(part.join("\n"))
                .execute(&mut *transaction)
                .await?;
            first += i64::try_from(part.len())?;
        }
        transaction.commit().await?;
    }
    let took = start.elapsed();
    connection.close().await?;
    Ok(took)
}

/// A connection that keeps a snapshot open, as a forgotten report would: nothing that dies after it can be cleared away.
pub async fn hold_snapshot(url: &str) -> Result<PgConnection, Fault> {
    let mut connection = open(url).await?;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut connection).await?;
    sqlx::query("SELECT COUNT(*) FROM pg_class").execute(&mut connection).await?;
    Ok(connection)
}

/// Transactions committed in the database so far.
pub fn commits(cluster: &Cluster, url: &str) -> Result<f64, Fault> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let text = format!("SELECT xact_commit FROM pg_stat_database WHERE datname = '{name}'");
    Ok(cluster.query("postgres", &text).parse()?)
}
