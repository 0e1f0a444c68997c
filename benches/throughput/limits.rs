//! What the machine could do at all: the bare driver with the same lines, the bare socket with a frame of the same
//! size.
//!
//! Same process, same disk, same minute as what is held against them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection};
use tokio_tungstenite::tungstenite::Message;

use crate::Fault;
use crate::load::Lines;

/// Rows of one statement.
const STATEMENT_ROWS: usize = 500;
/// Lines of one chunk, as in a block.
pub const CHUNK_LINES: usize = 1_024;
/// Lines of one commit.
pub const COMMIT_LINES: usize = 8_192;
/// Bytes of a frame that tells one batch.
const FRAME_BYTES: usize = 400;

async fn open(path: &Path, table: &'static str) -> Result<SqliteConnection, Fault> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .connect()
        .await?;
    sqlx::query(table).execute(&mut connection).await?;
    Ok(connection)
}

/// Inserts one row an item (seq, payload); answers the time until the last commit.
pub async fn rows(path: &Path, lines: &Lines) -> Result<Duration, Fault> {
    let statement = |rows: usize| -> Arc<str> {
        format!("INSERT INTO items (seq, payload) VALUES {}", vec!["(?, ?)"; rows].join(", ")).into()
    };
    let full = statement(STATEMENT_ROWS);
    let mut connection =
        open(path, "CREATE TABLE items (seq INTEGER PRIMARY KEY, payload TEXT NOT NULL)").await?;
    let start = Instant::now();
    let mut seq = 0i64;
    for group in lines.items.chunks(COMMIT_LINES) {
        let mut transaction = connection.begin().await?;
        for part in group.chunks(STATEMENT_ROWS) {
            let text = if part.len() == STATEMENT_ROWS { Arc::clone(&full) } else { statement(part.len()) };
            let mut query = sqlx::query(AssertSqlSafe(text));
            for item in part {
                seq += 1;
                query = query.bind(seq).bind(item.as_ref());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    let took = start.elapsed();
    connection.close().await?;
    Ok(took)
}

/// Inserts one row for every 1,024 lines (first seq, payload as text); answers the time until the last commit.
pub async fn chunks(path: &Path, lines: &Lines) -> Result<Duration, Fault> {
    let mut connection =
        open(path, "CREATE TABLE chunks (first_seq INTEGER PRIMARY KEY, payload TEXT NOT NULL)").await?;
    let start = Instant::now();
    let mut first_seq = 1i64;
    for group in lines.items.chunks(COMMIT_LINES) {
        let mut transaction = connection.begin().await?;
        for part in group.chunks(CHUNK_LINES) {
            sqlx::query("INSERT INTO chunks (first_seq, payload) VALUES (?, ?)")
                .bind(first_seq)
                .bind(part.join("\n"))
                .execute(&mut *transaction)
                .await?;
            first_seq += i64::try_from(part.len())?;
        }
        transaction.commit().await?;
    }
    let took = start.elapsed();
    connection.close().await?;
    Ok(took)
}

/// Waits `count` times for `item_ms`, on as many tasks as there are slots, on a runtime like the server's; answers the
/// time: what the timers alone leave of a slot's time.
pub fn waits(slots: u32, item_ms: u32, count: u32) -> Result<Duration, Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let waiting = std::thread::spawn(move || {
        runtime.block_on(async {
            let start = Instant::now();
            let wait = || async move {
                for _ in 0..count / slots {
                    tokio::time::sleep(Duration::from_millis(u64::from(item_ms))).await;
                }
            };
            let tasks: Vec<_> = (0..slots).map(|_| tokio::spawn(wait())).collect();
            for task in tasks {
                task.await?;
            }
            Ok::<_, tokio::task::JoinError>(start.elapsed())
        })
    });
    Ok(waiting.join().map_err(|_panicked| "a wait panicked")??)
}

/// Sends `count` texts to an echo on a thread of its own; answers the milliseconds there and back of each.
pub async fn echo(count: usize) -> Result<Vec<f64>, Fault> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let answering = std::thread::spawn(move || -> Result<(), Fault> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let (stream, _from) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
            stream.set_nodelay(true)?;
            let mut socket = tokio_tungstenite::accept_async(stream).await?;
            while let Some(message) = socket.next().await {
                match message? {
                    Message::Close(_) => break,
                    message => socket.send(message).await?,
                }
            }
            Ok(())
        })
    });
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _answer) = tokio_tungstenite::client_async(format!("ws://{address}/"), stream).await?;
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        socket.send(Message::text("x".repeat(FRAME_BYTES))).await?;
        socket.next().await.ok_or("the echo ended")??;
        samples.push(start.elapsed().as_secs_f64() * 1_000.0);
        // As quiet as the items it is held against: both sides have gone to sleep in between.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    socket.close(None).await?;
    drop(socket);
    answering.join().map_err(|_panicked| "the echo panicked")??;
    Ok(samples)
}
