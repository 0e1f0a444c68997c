//! The load generator behind `make bench`: what a release build does, beside what the machine could do at all.
//!
//! Owns the plan: rounds in which the bare driver and Milepost take turns, so that a busy minute hits both. Run by
//! `cargo bench --bench throughput`. Invariant: every number is measured from outside, through the public surface,
//! and stands beside a limit measured in the same run. Deliberately judges nothing: it prints.
//!
//! ```text
//! MILEPOST_BIN    executable to measure         BENCH_ITEMS    items of a submit (1,000,000)
//! BENCH_ROUNDS    rounds (3)                    BENCH_SAMPLES  quiet items for the latency (200)
//! BENCH_FOLDER    where databases are made      BENCH_SECONDS  patience with one batch (900)
//! ```

mod limits;
mod live;
mod load;
mod report;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use report::{Table, mebibytes, median, per_second, seconds, spread};

/// Whatever stops a measurement: said and given up.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What is measured, from the environment.
struct Settings {
    binary: PathBuf,
    folder: PathBuf,
    items: u64,
    rounds: usize,
    samples: usize,
    patience: Duration,
}

impl Settings {
    fn from_environment() -> Result<Self, Fault> {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text
                .replace('_', "")
                .parse()
                .map_err(|_form| format!("{name}: expected a number, found {text:?}")),
            Err(_unset) => Ok(default),
        };
        let built = option_env!("CARGO_BIN_EXE_milepost").unwrap_or("target/release/milepost");
        let binary = std::env::var_os("MILEPOST_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
        let folder = std::env::var_os("BENCH_FOLDER")
            .map(PathBuf::from)
            .or_else(|| option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from))
            .unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            binary: binary.canonicalize().map_err(|fault| format!("{}: {fault}", binary.display()))?,
            folder,
            items: number("BENCH_ITEMS", 1_000_000)?.max(1),
            rounds: usize::try_from(number("BENCH_ROUNDS", 3)?)?.max(1),
            samples: usize::try_from(number("BENCH_SAMPLES", 200)?)?.max(1),
            patience: Duration::from_secs(number("BENCH_SECONDS", 900)?),
        })
    }
}

/// What the rounds gave, one value a round.
#[derive(Default)]
struct Rounds {
    rows_per_s: Vec<f64>,
    chunks_per_s: Vec<f64>,
    submit_per_s: Vec<f64>,
    whole_per_s: Vec<f64>,
    answered_s: Vec<f64>,
    first_end_s: Vec<f64>,
    peak_bytes: Vec<f64>,
    server_cpu_s: Vec<f64>,
    frames: Vec<f64>,
    frame_bytes: Vec<f64>,
    load: Vec<f64>,
}

// One thread: the load generator is to leave the other cores to what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let settings = Settings::from_environment()?;
    println!("{}", report::machine(&settings.binary));
    println!(
        "{} items, {} rounds, databases in {}\n",
        settings.items,
        settings.rounds,
        settings.folder.display()
    );
    let lines = load::lines(settings.items);
    let mut rounds = Rounds::default();
    for round in 1..=settings.rounds {
        measure(&settings, &lines, &mut rounds).await?;
        eprintln!("round {round} of {} done", settings.rounds);
    }
    print_rounds(&settings, &rounds);
    let echo = limits::echo(settings.samples).await?;
    let latency = latency(&settings).await?;
    print_latency(echo, latency);
    Ok(())
}

/// One round: the bare driver by rows, by chunks, then Milepost, each on a database of its own.
async fn measure(settings: &Settings, lines: &load::Lines, rounds: &mut Rounds) -> Result<(), Fault> {
    #[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
    let items = settings.items as f64;
    rounds.load.push(report::load_average());
    let folder = tempfile::tempdir_in(&settings.folder)?;
    rounds.rows_per_s.push(items / limits::rows(&folder.path().join("rows.db"), lines).await?.as_secs_f64());
    rounds
        .chunks_per_s
        .push(items / limits::chunks(&folder.path().join("chunks.db"), lines).await?.as_secs_f64());

    let server = server::Server::start(&settings.binary, folder.path()).await?;
    let run = load::submit(&server, lines, settings.patience).await;
    let run = match run {
        Ok(run) => run,
        Err(fault) => return Err(server.explain(fault)),
    };
    rounds.submit_per_s.push(items / run.answered.as_secs_f64());
    rounds.whole_per_s.push(items / run.done.as_secs_f64());
    rounds.answered_s.push(run.answered.as_secs_f64());
    rounds.first_end_s.push(run.first_end.as_secs_f64());
    rounds.peak_bytes.push(server.peak_bytes()?);
    rounds.server_cpu_s.push(server.cpu_seconds()?);
    rounds.frames.push(run.frames);
    rounds.frame_bytes.push(run.frame_bytes);
    rounds.load.push(report::load_average());
    server.stop().await
}

fn print_rounds(settings: &Settings, rounds: &Rounds) {
    let mut table = Table::new(&["what", "median", "lowest to highest"]);
    let mut row = |what: &str, values: &[f64], print: fn(f64) -> String| {
        table.row(&[what, &print(median(values)), &spread(values, print)]);
    };
    row("limit: bare driver, one row an item, lines/s", &rounds.rows_per_s, per_second);
    row("limit: bare driver, rows of 1,024 lines, lines/s", &rounds.chunks_per_s, per_second);
    row("submit: first byte to 201, items/s", &rounds.submit_per_s, per_second);
    row("no-op, whole: first byte to `succeeded` on a socket, items/s", &rounds.whole_per_s, per_second);
    row("first byte to 201", &rounds.answered_s, seconds);
    row("first byte to the first ended item on a socket", &rounds.first_end_s, seconds);
    row("peak memory of the server", &rounds.peak_bytes, mebibytes);
    row("processor time of the server, start included", &rounds.server_cpu_s, seconds);
    row("frames to the watching socket", &rounds.frames, per_second);
    row("bytes of these frames", &rounds.frame_bytes, per_second);
    row("load average (1 min)", &rounds.load, |value| format!("{value:.2}"));
    println!("{}", table.text());

    let mut table = Table::new(&["ratio of medians", "to one row an item", "to rows of 1,024 lines"]);
    for (what, values) in [("submit", &rounds.submit_per_s), ("no-op, whole", &rounds.whole_per_s)] {
        let ratio = |limit: &[f64]| format!("{:.2}", median(values) / median(limit));
        table.row(&[what, &ratio(&rounds.rows_per_s), &ratio(&rounds.chunks_per_s)]);
    }
    println!("{}", table.text());
    println!(
        "The limits insert the same {} lines (number and text) with sqlx into a fresh SQLite file: WAL, \
         synchronous=NORMAL, multi-row statements of 500 rows, 8,192 lines a commit; no HTTP, no parsing, no outcome. \
         Milepost takes them as one NDJSON body for the task `demo`, runs each, and records each end, while one socket \
         watches.\n",
        settings.items
    );
}

/// Latency of single items on a quiet server.
async fn latency(settings: &Settings) -> Result<Vec<f64>, Fault> {
    let folder = tempfile::tempdir_in(&settings.folder)?;
    let server = server::Server::start(&settings.binary, folder.path()).await?;
    match load::quiet_items(&server, settings.samples).await {
        Ok(samples) => {
            server.stop().await?;
            Ok(samples)
        }
        Err(fault) => Err(server.explain(fault)),
    }
}

fn print_latency(echo: Vec<f64>, latency: Vec<f64>) {
    let mut table = Table::new(&["latency, ms", "samples", "p50", "p95", "p99", "highest"]);
    for (what, mut values) in [
        ("limit: echo of 400 bytes over a bare WebSocket, there and back", echo),
        ("item ended (`ended_at`) to frame with `succeeded`:1 read", latency),
    ] {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| format!("{:.2}", report::quantile(&values, share));
        table.row(&[what, &values.len().to_string(), &at(0.5), &at(0.95), &at(0.99), &at(1.0)]);
    }
    println!("{}", table.text());
    println!(
        "One item at a time (`demo`, 250 ms), its batch subscribed to while it runs; same machine, same clock. \
         `ended_at` is in whole milliseconds, so up to 1 ms of each value is rounding. Load average {:.2}.",
        report::load_average()
    );
}
