//! `milepost bench`: how fast a server takes items and works them off, measured from here.
//!
//! Submits one batch of the no-op task in a single streamed body and follows it on the live connection, as a program
//! would. The batch stays on the server.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use reqwest::Body;
use serde_json::json;

use super::CliError;
use super::api_client::ApiClient;
use super::reach::Reach;
use super::watch::{WatchEvent, follow};
use crate::client::words;
use crate::protocol::{Batch, BatchState};

/// Bytes of a piece of the body.
const PIECE_BYTES: usize = 64 * 1024;

/// Flags of `bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Items of the batch.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    items: u64,
    /// How long each item takes, in milliseconds; by default it does nothing.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    duration_ms: u64,
    /// Writes the figures as one JSON object.
    #[arg(long)]
    json: bool,
    /// Gives up after so many seconds without contact.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    give_up: u32,
    #[command(flatten)]
    reach: Reach,
}

/// Measures one batch and prints the figures.
///
/// # Errors
/// Where the server refuses or does not answer, or an item fails.
pub(super) async fn bench(args: BenchArgs) -> Result<(), CliError> {
    let patience = Duration::from_secs(args.give_up.into());
    let client = ApiClient::new(args.reach.server()?, patience)?;
    let params = json!({"duration_ms": args.duration_ms}).to_string();
    let query = [("task", "demo"), ("name", "bench"), ("params", params.as_str())];
    let key = format!("{:032x}", rand::random::<u128>());
    let began = Instant::now();
    let batch: Batch = client
        .json(|http, base| {
            let request = http.post(format!("{base}/batches")).query(&query).header("idempotency-key", &key);
            request.header(CONTENT_TYPE, "text/plain").body(Body::wrap_stream(lines(args.items)))
        })
        .await?;
    let submitted = began.elapsed();
    let mut rows = 0_u64;
    let finished = follow(&client.server, batch.id, patience, |event| {
        rows += u64::from(matches!(event, WatchEvent::Row(_)));
        Ok(())
    })
    .await?;
    let whole = began.elapsed();
    if finished.state != BatchState::Succeeded {
        return Err(CliError::Tried(format!("the batch has ended {}", finished.state.as_str())));
    }
    let per_second = |time: Duration| args.items as f64 / time.as_secs_f64();
    let mut out = io::stdout().lock();
    if args.json {
        let figures = json!({"items": args.items, "submit_ms": submitted.as_millis(), "whole_ms": whole.as_millis(),
            "submitted_per_s": per_second(submitted), "items_per_s": per_second(whole), "rows": rows});
        writeln!(out, "{figures}")?;
        return Ok(());
    }
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    writeln!(out, "batch #{}, {}", finished.number, words::counted(args.items, "item"))?;
    writeln!(
        out,
        "first byte to answer     {:>10}  {}",
        seconds(submitted),
        words::rate(per_second(submitted))
    )?;
    writeln!(out, "first byte to succeeded  {:>10}  {}", seconds(whole), words::rate(per_second(whole)))?;
    writeln!(out, "states of it received    {rows:>10}")?;
    Ok(())
}

/// The numbers from 1 to `items`, one a line, in pieces.
fn lines(items: u64) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(1, move |mut next| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES + 32);
        while next <= items && piece.len() < PIECE_BYTES {
            piece.extend_from_slice(format!("{next}\n").as_bytes());
            next += 1;
        }
        (!piece.is_empty()).then(|| (Ok(Bytes::from(piece)), next))
    })
}
