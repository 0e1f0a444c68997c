//! `milepost task check`: sample items run here and now, as the engine would run them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::declared::{Secrets, registry};
use super::samples::{self, SAMPLES_MAX, Sample};
use crate::cli::columns::visible;
use crate::cli::{CliError, InstallationArgs};
use crate::protocol::{BatchId, InputKind, Json, Seq};
use crate::tasks::{Item, Prepared, TaskContext, WorkCell};

/// Lines between an item and its process that wait to be printed; more are left out.
const LINES_WAITING_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    place: InstallationArgs,
    /// Name of the task.
    name: String,
    /// Samples for a task that takes files.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A sample: a file's path, a line, or a record as a JSON object; may be given several times.
    #[arg(long, value_name = "INPUT", allow_hyphen_values = true)]
    input: Vec<String>,
    /// A file of samples, one a line: texts, or JSON objects; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    lines: Option<PathBuf>,
    /// A CSV of samples; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// A parameter.
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    param: Vec<String>,
}

impl Check {
    fn samples(&self, kind: InputKind) -> Result<Vec<Sample>, CliError> {
        let mut samples = Vec::new();
        if !self.files.is_empty() && kind != InputKind::File {
            let problem = "the task takes no files: give samples with --input, --lines or --csv";
            return Err(CliError::Tried(problem.to_owned()));
        }
        for path in &self.files {
            samples.push(samples::file(path)?);
        }
        for input in &self.input {
            samples.push(samples::given(kind, input)?);
        }
        if let Some(path) = &self.lines {
            samples.extend(samples::lines(kind, path)?);
        }
        if let Some(path) = &self.csv {
            samples.extend(samples::csv(kind, path)?);
        }
        if samples.is_empty() {
            let problem = "no samples: give some with --input, --lines or --csv, or name files";
            return Err(CliError::Tried(problem.to_owned()));
        }
        Ok(samples)
    }
}

/// How a sample ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Succeeded,
    Failed,
}

pub(super) async fn check(check: Check) -> Result<(), CliError> {
    let tasks = registry(&check.place.read()?, Secrets::OfTask(&check.name))?;
    let Some(info) = tasks.info(&check.name) else {
        let known: Vec<String> = tasks.infos().iter().map(|info| info.name.clone()).collect();
        let known = known.join(", ");
        return Err(CliError::Tried(format!("there is no task named {:?}: there are {known}", check.name)));
    };
    let params = params(&check.param, &info.params.to_value())?;
    let ready = tasks.prepare(&check.name, &params).expect("it was found a moment ago");
    let (params, prepared) = ready.map_err(|faults| CliError::Tried(faults.join("; ")))?;
    let samples = check.samples(info.input)?;
    let count = samples.len();
    say(&format!("{}: params {params:?}", check.name));
    if count >= SAMPLES_MAX {
        say(&format!("of the samples the first {SAMPLES_MAX} of each file are run"));
    }
    let folder = tempfile::tempdir()?;
    let (begun, mut failed) = (Instant::now(), Vec::new());
    for (seq, Sample { title, input }) in (1..).zip(samples) {
        say(&format!("\nitem {seq}: {title}"));
        let item = Item { batch: BatchId::from_u128(0), seq, generation: 1, attempt: 1, input };
        if run(prepared.as_ref(), item, folder.path()).await == End::Failed {
            failed.push(seq);
        }
    }
    tasks.close().await;
    let succeeded = count - failed.len();
    let ms = begun.elapsed().as_millis();
    say(&format!("\n{succeeded} of {count} succeeded, {} failed, in {ms} ms", failed.len()));
    if failed.is_empty() {
        return Ok(());
    }
    let numbers = failed.iter().take(20).map(Seq::to_string).collect::<Vec<_>>().join(", ");
    let more = if failed.len() > 20 { ", …" } else { "" };
    let failed = failed.len();
    Err(CliError::Tried(format!("{failed} of {count} sample items did not succeed: {numbers}{more}")))
}

/// Prints a line, with whatever a terminal would obey in it made visible. Nobody may be reading any more: that stops
/// nothing.
fn say(line: &str) {
    let _nobody_reads = writeln!(std::io::stdout().lock(), "{}", visible(line));
}

/// Parameters from `NAME=VALUE`: JSON where the value is JSON of a type that the schema names, else text.
fn params(given: &[String], schema: &Value) -> Result<Json, CliError> {
    let mut params = Map::new();
    for pair in given {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| CliError::Tried(format!("--param {pair}: expected NAME=VALUE")))?;
        let is_text = schema["properties"][name]["type"] == "string";
        let value = if is_text { None } else { serde_json::from_str(text).ok() };
        params.insert(name.to_owned(), value.unwrap_or_else(|| Value::String(text.to_owned())));
    }
    Ok(Json::from_value(&Value::Object(params)))
}

/// Runs one item and prints what comes of it.
async fn run(prepared: &dyn Prepared, item: Item, folder: &Path) -> End {
    let (cell, token) = (Arc::new(WorkCell::default()), CancellationToken::new());
    let limit = Duration::from_secs(u64::from(prepared.timeout_seconds()));
    let (witness, mut lines) = mpsc::channel::<String>(LINES_WAITING_MAX);
    let out = folder.join(format!("{}-1", item.seq));
    let context =
        TaskContext::new(Arc::clone(&cell), token.clone(), out).within(limit).witnessed(witness.clone());
    let printing = tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            say(&format!("  {line}"));
        }
    });
    let begun = Instant::now();
    let mut running = prepared.run(item, context);
    let outcome = tokio::select! {
        outcome = &mut running => Some(outcome),
        () = async { cell.time_runs().await; tokio::time::sleep(limit).await } => None,
    };
    if outcome.is_none() {
        token.cancel();
        let _ended = tokio::time::timeout(prepared.stop_grace(), &mut running).await;
    }
    drop(running);
    drop(witness);
    let _printed = printing.await;
    let ms = begun.elapsed().as_millis();
    let end = if matches!(outcome, Some(Ok(_))) { End::Succeeded } else { End::Failed };
    match outcome {
        Some(Ok(result)) => say(&format!("  succeeded after {ms} ms, result: {}", result.as_str())),
        Some(Err(error)) => say(&format!("  failed after {ms} ms ({}): {error}", error.kind)),
        None => say(&format!("  timed out after {} s", limit.as_secs())),
    }
    for (name, path) in cell.files() {
        say(&format!("  file: {name} ({} bytes)", std::fs::metadata(path).map_or(0, |file| file.len())));
    }
    if let Some((fraction, note)) = cell.progress() {
        say(&format!("  progress: {:.0} % {}", fraction * 100.0, note.unwrap_or_default()));
    }
    for line in cell.log().1.lines() {
        say(&format!("  log: {line}"));
    }
    end
}
