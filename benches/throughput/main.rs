//! The load generator behind `make bench`: what a release build does, beside what the machine could do at all.
//!
//! Run by `cargo bench --bench throughput`. Every number is measured from outside, through the public surface, and
//! stands beside a limit measured in the same run.
//!
//! ```text
//! MILEPOST_BIN    executable to measure         BENCH_ITEMS    items of a submit (1,000,000)
//! BENCH_ROUNDS    rounds (3)                    BENCH_SAMPLES  quiet items for the latency (200)
//! BENCH_FOLDER    where databases are made      BENCH_SECONDS  patience with one batch (900)
//! MILEPOST_TEST_POSTGRES=off   leaves Postgres out
//! ```

#[path = "../../tests/cluster/mod.rs"]
mod cluster;
mod limits;
mod live;
mod load;
mod plan;
mod postgres;
mod process;
mod report;
mod server;
mod single;
mod small_files;

use std::path::PathBuf;
use std::time::Duration;

use plan::Plan;
use report::Table;
use server::Part;

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

// One thread: the load generator is to leave the other cores to what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let _named_before = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings::from_environment()?;
    println!("{}", report::machine(&settings.binary));
    println!(
        "{} items, {} rounds, databases in {}\n",
        settings.items,
        settings.rounds,
        settings.folder.display()
    );
    let lines = load::lines(settings.items);
    let mut plan = Plan::new(&settings, &lines);
    for round in 1..=settings.rounds {
        plan.round().await?;
        eprintln!("round {round} of {} done", settings.rounds);
    }
    plan.print();
    small_files::measure(&settings).await?;
    let echo = limits::echo(settings.samples).await?;
    let (latency, busy) = quiet(&settings).await?;
    print_latency(echo, latency);
    let bare = limits::waits(BUSY_SLOTS, BUSY_ITEM_MS, BUSY_ITEMS)?;
    let bare = f64::from(BUSY_ITEMS) * f64::from(BUSY_ITEM_MS)
        / f64::from(BUSY_SLOTS)
        / 1_000.0
        / bare.as_secs_f64();
    println!(
        "\nItems of {BUSY_ITEM_MS} ms on {BUSY_SLOTS} slots, {BUSY_ITEMS} of them: their {BUSY_ITEM_MS} ms fill {:.1} % of \
         the slots' time, from the first start to the last end. Bare timers on as many tasks, doing nothing else, fill \
         {:.1} % (a timer ends up to 2 ms late): {:.3} of that limit.",
        busy * 100.0,
        bare * 100.0,
        busy / bare
    );
    Ok(())
}

/// Slots, items and their length where it is measured how busy slots are kept.
const BUSY_SLOTS: u32 = 64;
const BUSY_ITEM_MS: u32 = 10;
const BUSY_ITEMS: u32 = 32_000;

/// Latency of single items on a quiet server, then how busy its slots are kept.
async fn quiet(settings: &Settings) -> Result<(Vec<f64>, f64), Fault> {
    let folder = tempfile::tempdir_in(&settings.folder)?;
    let part = Part { slots: BUSY_SLOTS, ..Part::ALONE };
    let server = server::Server::start(&settings.binary, folder.path(), part).await?;
    let measured = async {
        let mut watchers = [live::Live::connect(&server).await?];
        let samples = single::items(&server, &mut watchers, settings.samples).await?;
        let busy = load::busy_share(&server, BUSY_SLOTS, BUSY_ITEM_MS, BUSY_ITEMS, settings.patience).await?;
        Ok((samples, busy))
    };
    match measured.await {
        Ok(measured) => {
            server.stop().await?;
            Ok(measured)
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
