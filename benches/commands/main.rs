//! Declared tasks beside the plain tools, in the same rounds: warm workers beside a loop that asks one, and a process for
//! each item beside `xargs -P4`.
//!
//! Run by `cargo bench --bench commands`. Results are recorded, as always; times are those of the batch, from its first
//! start to its end.
//!
//! ```text
//! MILEPOST_BIN   executable to measure          BENCH_ROUNDS     rounds (5)
//! BENCH_ANSWERS  items for the workers (40,000) BENCH_PROCESSES  items with a process each (4,000)
//! ```

#[path = "../throughput/process.rs"]
mod process;
#[path = "../throughput/report.rs"]
#[expect(dead_code, reason = "the other benches use the rest")]
mod report;
#[path = "../throughput/server.rs"]
#[expect(dead_code, reason = "the other benches use the rest")]
mod server;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use report::{Table, median, per_second, spread};
use serde_json::{Value, json};
use server::{Part, Server};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whatever stops a measurement: said and given up.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Slots of the server, and processes of `xargs`.
const SLOTS: u32 = 4;
/// Patience with one batch.
const PATIENCE: Duration = Duration::from_secs(600);

const WORKER: &str = "\
import json, sys
for line in sys.stdin:
    item = json.loads(line)
    print(json.dumps({\"seq\": item[\"seq\"], \"result\": item[\"input\"]}), flush=True)
";

const TASKS: &str = "\
[[task]]
name = \"four\"
input = \"line\"
worker = [\"python3\", \"answer.py\"]
processes = 4
[[task]]
name = \"one\"
input = \"line\"
worker = [\"python3\", \"answer.py\"]
processes = 1
[[task]]
name = \"true\"
input = \"line\"
command = [\"/bin/true\", \"{line}\"]
";

/// What is measured, in the order of a round: name, and beside which of them.
const ROWS: [(&str, usize); 5] = [
    ("one process, asked by a plain loop", 0),
    ("Milepost, one process", 0),
    ("Milepost, four processes", 0),
    ("`xargs -P4 -n1 /bin/true`", 3),
    ("Milepost, `/bin/true` for each item", 3),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().map_err(|_form| format!("{name}: expected a number")),
        Err(_unset) => Ok(default),
    };
    let built = option_env!("CARGO_BIN_EXE_milepost").unwrap_or("target/release/milepost");
    let binary = std::env::var_os("MILEPOST_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
    let binary = binary.canonicalize().map_err(|fault| format!("{}: {fault}", binary.display()))?;
    let (rounds, answers) = (number("BENCH_ROUNDS", 5)?, number("BENCH_ANSWERS", 40_000)?);
    let processes = number("BENCH_PROCESSES", 4_000)?;
    println!("{}\n", report::machine(&binary));
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("answer.py"), WORKER)?;
    std::fs::write(folder.path().join("milepost.toml"), TASKS)?;
    let mut rates = vec![Vec::new(); ROWS.len()];
    for round in 1..=rounds {
        let data = tempfile::tempdir_in(folder.path())?;
        for file in ["answer.py", "milepost.toml"] {
            std::fs::copy(folder.path().join(file), data.path().join(file))?;
        }
        let server = Server::start(&binary, data.path(), Part { slots: SLOTS, ..Part::ALONE }).await?;
        // The processes start, and Milepost learns how long an item takes.
        for task in ["one", "four", "true"] {
            batch(&server, task, 200).await?;
        }
        rates[0].push(plain_loop(folder.path(), answers)?);
        rates[1].push(batch(&server, "one", answers).await?);
        rates[2].push(batch(&server, "four", answers).await?);
        rates[3].push(xargs(processes)?);
        rates[4].push(batch(&server, "true", processes).await?);
        server.stop().await?;
        eprintln!("round {round} of {rounds} done");
    }
    let mut table = Table::new(&["items a second", "median", "lowest to highest", "of the plain tool"]);
    for ((name, beside), values) in ROWS.iter().zip(&rates) {
        let ratio = format!("{:.2}", median(values) / median(&rates[*beside]));
        table.row(&[name, &per_second(median(values)), &spread(values, per_second), &ratio]);
    }
    println!("{}", table.text());
    println!(
        "{rounds} rounds, {answers} answers and {processes} processes each, {SLOTS} slots. Load average {:.2}.",
        report::load_average()
    );
    Ok(())
}

/// Asks one process for `count` answers, one after the other: so many a second.
#[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
fn plain_loop(folder: &Path, count: u64) -> Result<f64, Fault> {
    let mut command = Command::new("python3");
    command.arg("answer.py").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut asking = child.stdin.take().ok_or("no standard input")?;
    let mut answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    let mut answer = String::new();
    let mut ask = |seq: u64| -> Result<(), Fault> {
        let line = json!({
            "v": 1, "batch": "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", "seq": seq, "attempt": 1,
            "input": format!("line {seq}"), "params": {}, "out": "/tmp/work/worker-0123456789abcdef/out",
            "deadline_ms": 300_000,
        });
        asking.write_all(format!("{line}\n").as_bytes())?;
        answer.clear();
        answers.read_line(&mut answer)?;
        let read: Value = serde_json::from_str(&answer)?;
        if read["seq"] == seq { Ok(()) } else { Err("an answer of another item".into()) }
    };
    ask(0)?;
    let begun = Instant::now();
    for seq in 1..=count {
        ask(seq)?;
    }
    let took = begun.elapsed();
    drop(asking);
    child.wait()?;
    Ok(count as f64 / took.as_secs_f64())
}

/// Runs `/bin/true` so often, four at a time: so many a second.
#[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
fn xargs(count: u64) -> Result<f64, Fault> {
    let lines: String = (1..=count).map(|seq| format!("line-{seq}\n")).collect();
    let mut command = Command::new("xargs");
    command.args(["-P", &SLOTS.to_string(), "-n1", "/bin/true"]).stdin(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(lines.as_bytes())?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("xargs: {status}").into());
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Submits so many lines and waits for the end: items a second, from the first start.
#[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
async fn batch(server: &Server, task: &str, count: u64) -> Result<f64, Fault> {
    // Named before by another part: as good.
    let _named_before = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let lines: Vec<String> = (1..=count).map(|seq| format!("line {seq}")).collect();
    let request = client.post(format!("{}/api/v1/batches", server.base)).bearer_auth(&server.token);
    let mut batch: Value =
        request.json(&json!({"task": task, "items": lines})).send().await?.error_for_status()?.json().await?;
    let url = format!("{}/api/v1/batches/{}", server.base, batch["id"].as_str().ok_or("no id")?);
    let deadline = Instant::now() + PATIENCE;
    while batch["finished_at"].is_null() {
        if Instant::now() > deadline {
            return Err(format!("{task}: not finished in time: {batch}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        batch = client.get(&url).bearer_auth(&server.token).send().await?.json().await?;
    }
    if batch["succeeded"] != count {
        return Err(format!("{task}: not all succeeded: {batch}").into());
    }
    let at = |name: &str| -> Result<OffsetDateTime, Fault> {
        Ok(OffsetDateTime::parse(batch[name].as_str().ok_or("no time")?, &Rfc3339)?)
    };
    let took = at("finished_at")? - at("started_at")?;
    Ok(count as f64 / took.as_seconds_f64())
}
