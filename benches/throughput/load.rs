//! The load: a million lines in one body, and many short items.
//!
//! The clock starts when the first byte is handed to the connection and stops when a frame has been read.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use milepost::protocol::{BatchState, Timestamp};
use serde_json::{Value, json};

use crate::Fault;
use crate::live::Live;
use crate::server::Server;

/// Bytes of a piece of the body.
const PIECE_BYTES: usize = 64 * 1024;

/// The items of a submit.
pub struct Lines {
    /// One JSON text an item, without line ends.
    pub items: Vec<Box<str>>,
    body: Vec<Bytes>,
}

/// Makes `count` lines like those of a list of files.
pub fn lines(count: u64) -> Lines {
    let line = |seq: u64| format!("\"archive/{:04}/recording-{seq:07}.flac\"", seq % 1_000);
    let items: Vec<Box<str>> = (1..=count).map(|seq| line(seq).into_boxed_str()).collect();
    let mut body = Vec::new();
    let mut piece = Vec::with_capacity(PIECE_BYTES + 64);
    for item in &items {
        piece.extend_from_slice(item.as_bytes());
        piece.push(b'\n');
        if piece.len() >= PIECE_BYTES {
            body.push(Bytes::from(std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES + 64))));
        }
    }
    body.push(Bytes::from(piece));
    Lines { items, body }
}

/// What one submit took, each from the first byte.
pub struct Run {
    /// Until the 201.
    pub answered: Duration,
    /// Until a frame with the first ended item.
    pub first_end: Duration,
    /// Until the frame that says `succeeded`.
    pub done: Duration,
    /// Frames that the watching socket got.
    pub frames: f64,
    /// Their bytes.
    pub frame_bytes: f64,
}

/// When a watched batch moved.
struct Watched {
    first_end: Instant,
    done: Instant,
    frames: f64,
    frame_bytes: f64,
}

/// Submits all lines as one streamed body and waits for the end of the batch.
pub async fn submit(server: &Server, lines: &Lines, patience: Duration) -> Result<Run, Fault> {
    let name = "throughput";
    let mut live = Live::connect(server).await?;
    live.subscribe("batches").await?;
    let watching = tokio::spawn(tokio::time::timeout(patience, watch(live, name, lines.items.len() as u64)));
    let start = Arc::new(OnceLock::new());
    let first_byte = Arc::clone(&start);
    let pieces = lines.body.clone().into_iter().map(move |piece| {
        first_byte.get_or_init(Instant::now);
        Ok::<_, Infallible>(piece)
    });
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client
        .post(format!("{}/api/v1/batches", server.base))
        .query(&[("task", "demo"), ("name", name)])
        .bearer_auth(&server.token)
        .header("content-type", "application/x-ndjson")
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
        .send()
        .await?;
    let answered = Instant::now();
    let start = *start.get().ok_or("the body was never asked for")?;
    if answer.status() != 201 {
        return Err(format!("submit: {}: {}", answer.status(), answer.text().await?).into());
    }
    let watched = watching.await?.map_err(|_late| "the batch did not end in time")??;
    Ok(Run {
        answered: answered - start,
        first_end: watched.first_end.saturating_duration_since(start),
        done: watched.done - start,
        frames: watched.frames,
        frame_bytes: watched.frame_bytes,
    })
}

/// Follows the batch named `name` until it has ended: first on the list, then on its own topic.
async fn watch(mut live: Live, name: &str, items: u64) -> Result<Watched, Fault> {
    let mut followed = None;
    let mut first_end = None;
    let (mut frames, mut frame_bytes) = (0.0, 0.0);
    loop {
        let seen = live.next().await?;
        let Some(row) = seen.rows.into_iter().find(|row| row.name == name) else { continue };
        frames += 1.0;
        #[expect(clippy::cast_precision_loss, reason = "a sum for a table")]
        {
            frame_bytes += seen.bytes as f64;
        }
        if followed.is_none() {
            live.subscribe(&format!("batch/{}", row.id)).await?;
            live.unsubscribe("batches").await?;
            followed = Some(row.id);
        }
        if row.ended() > 0 {
            first_end.get_or_insert(seen.at);
        }
        if row.state.is_finished() {
            if row.state != BatchState::Succeeded || row.succeeded != items {
                return Err(format!("{items} items were expected to succeed: {row:?}").into());
            }
            let first_end = first_end.unwrap_or(seen.at);
            return Ok(Watched { first_end, done: seen.at, frames, frame_bytes });
        }
    }
}

/// Runs `count` items of `item_ms` each on `slots` slots; answers the share of time in which slots were busy, from the
/// first item's start to the last one's end, by the server's own times.
pub async fn busy_share(
    server: &Server,
    slots: u32,
    item_ms: u32,
    count: u32,
    patience: Duration,
) -> Result<f64, Fault> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut live = Live::connect(server).await?;
    live.subscribe("batches").await?;
    let name = "busy";
    let watching = tokio::spawn(tokio::time::timeout(patience, watch(live, name, u64::from(count))));
    let api = format!("{}/api/v1/batches", server.base);
    let batch = json!({
        "task": "demo", "name": name, "items": { "count": count }, "params": { "duration_ms": item_ms }
    });
    let answer = client.post(&api).bearer_auth(&server.token).json(&batch).send().await?;
    let batch: Value = answer.error_for_status()?.json().await?;
    watching.await?.map_err(|_late| "the batch did not end in time")??;
    let id = batch["id"].as_str().ok_or("a batch without id")?;
    let answer = client.get(format!("{api}/{id}")).bearer_auth(&server.token).send().await?;
    let ended: Value = answer.error_for_status()?.json().await?;
    let at = |field: &str| -> Result<i64, Fault> {
        let text = ended[field].as_str().ok_or("an ended batch without times")?;
        let Timestamp(ms) = text.parse().map_err(|fault| format!("{field}: {fault}"))?;
        Ok(ms)
    };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
    let took_ms = (at("finished_at")? - at("started_at")?) as f64;
    Ok(f64::from(count) * f64::from(item_ms) / (f64::from(slots) * took_ms))
}
