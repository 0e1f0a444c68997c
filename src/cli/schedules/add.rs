//! `milepost schedule add`: a new schedule. One that is sent again is made once.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::AskArgs;
use super::show::{AsJson, print};
use crate::cli::CliError;
use crate::cli::batches::find_batch;
use crate::cli::watch::BatchName;
use crate::protocol::limits::SCHEDULE_BATCH_BYTES_MAX;
use crate::protocol::{Json, NewSchedule, Overlap, RunWindow, Schedule};

/// Flags of `schedule add`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["from", "batch"]))]
pub(in crate::cli) struct AddArgs {
    /// When it is due: minute, hour, day of month, month and day of week; or @hourly, @daily, @weekly, @monthly, @yearly.
    #[arg(long, value_name = "PATTERN")]
    cron: String,
    /// Whose clock that is, like Europe/Berlin; by default UTC.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A batch to make again, by its id or number: its task, parameters, options and items.
    #[arg(long, value_name = "BATCH")]
    from: Option<BatchName>,
    /// A batch to make, as the JSON of POST /api/v1/batches; - is standard input.
    #[arg(long, value_name = "FILE|-")]
    batch: Option<PathBuf>,
    /// Title; by default that of the batch.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The part of the day in which runs may start, like 22:00-06:00; by default any time.
    #[arg(long, value_name = "FROM-UNTIL", value_parser = window)]
    window: Option<RunWindow>,
    /// What becomes of a run while the last batch has not finished: skip (the default) or queue.
    #[arg(long, value_name = "WORD", value_parser = overlap, default_value = "skip")]
    overlap: Overlap,
    /// Makes it, but paused.
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    ask: AskArgs,
    /// Writes the schedule as one JSON object.
    #[arg(long)]
    json: bool,
}

fn window(text: &str) -> Result<RunWindow, String> {
    let (from, until) = text.split_once('-').ok_or("expected two times of day, like 22:00-06:00")?;
    let time = |text: &str| text.trim().parse().map_err(|fault| format!("{fault}"));
    Ok(RunWindow { from: time(from)?, until: time(until)? })
}

fn overlap(text: &str) -> Result<Overlap, String> {
    Overlap::parse(text).ok_or_else(|| "expected skip or queue".to_owned())
}

/// Makes it and prints it.
///
/// # Errors
/// Where a file cannot be read, the server refuses, or does not answer.
pub(super) async fn add(args: AddArgs) -> Result<(), CliError> {
    let client = args.ask.client()?;
    let batch = args.batch.as_deref().map(read).transpose()?;
    let from_batch = match args.from {
        Some(name) => Some(find_batch(&client, name).await?.id),
        None => None,
    };
    let new = NewSchedule {
        name: args.name,
        cron: args.cron,
        time_zone: args.time_zone,
        batch,
        from_batch,
        window: args.window,
        overlap: args.overlap,
        paused: args.paused,
    };
    let key = uuid::Uuid::now_v7().to_string();
    let schedule: Schedule = client
        .json(|http, base| http.post(format!("{base}/schedules")).header("idempotency-key", &key).json(&new))
        .await?;
    print(&schedule, if args.json { AsJson::Yes } else { AsJson::No })
}

/// A batch in JSON.
fn read(path: &Path) -> Result<Json, CliError> {
    let refused = |reason: String| CliError::Argument(format!("--batch {}: {reason}", path.display()));
    let most = SCHEDULE_BATCH_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    let taken = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    taken.map_err(|fault| refused(fault.to_string()))?;
    if text.len() as u64 >= most {
        return Err(refused(format!("more than {SCHEDULE_BATCH_BYTES_MAX} bytes")));
    }
    let json = Json::parse(&text).map_err(|fault| refused(format!("no JSON: {fault}")))?;
    if json.as_str().starts_with('{') {
        Ok(json)
    } else {
        Err(refused("expected a JSON object, like {\"task\":\"demo\",\"items\":{\"count\":100}}".to_owned()))
    }
}
