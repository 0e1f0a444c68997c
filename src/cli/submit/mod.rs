//! `milepost run`: a batch made of files, lines or records, while they are still being read.
//!
//! ```text
//! params   K=V -> the task's parameters, by its schema      input    bytes of a file or standard input, as they come
//! chunks   lines and records -> bodies of requests          files    files and folders -> bodies of requests
//! upload   an open batch, filled by `first_seq` and sealed  names    what the batch is called by default
//! ```
//!
//! The batch is open while it is filled: its items run meanwhile, and after a lost connection the upload goes on where
//! the server says it stands, so that no item comes twice.

mod chunks;
mod files;
mod input;
mod params;
mod upload;

use std::cell::Cell;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args};

use self::chunks::{ChunkReader, TextFormat};
use self::files::{FileList, name_of};
use self::input::InputText;
use self::upload::{BatchUpload, UploadSource};
use super::api_client::ApiClient;
use super::columns::json_line;
use super::reach::Reach;
use super::watch::{Show, end_with, follow};
use super::{CliError, EXIT_INTERRUPTED};
use crate::protocol::{Batch, InputKind, TaskInfo, TaskPage, default_name};

/// How long a batch that is given up may take to be cancelled.
const CANCEL_MAX: Duration = Duration::from_secs(5);

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["files", "lines", "csv", "ndjson"]))]
pub(super) struct RunArgs {
    /// Task to run, as `GET /api/v1/tasks` names it.
    #[arg(long, value_name = "NAME")]
    task: String,
    /// A parameter of the task; may be given many times.
    #[arg(long = "param", value_name = "K=V", value_parser = params::key_value)]
    params: Vec<(String, String)>,
    /// An option of the batch, like concurrency=4, priority=5, attempts_max=1, rate_per_s=10, private=true; may be given
    /// many times.
    #[arg(long = "option", value_name = "K=V", value_parser = params::key_value)]
    options: Vec<(String, String)>,
    /// Title of the batch; by default made of the input.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Files, and folders with all that is in them: one item each. A link in a folder is not followed.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A text, one item per line; - is standard input.
    #[arg(long, value_name = "FILE|-")]
    lines: Option<PathBuf>,
    /// A CSV with a header, one item per row; - is standard input.
    #[arg(long, value_name = "FILE|-")]
    csv: Option<PathBuf>,
    /// JSON, one item per line; - is standard input.
    #[arg(long, value_name = "FILE|-")]
    ndjson: Option<PathBuf>,
    /// What parts the fields of the CSV; by default guessed among , ; tab |
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// How the text is encoded, like windows-1252; by default UTF-8, or as its byte order mark says.
    #[arg(long, value_name = "NAME", value_parser = input::encoding)]
    encoding: Option<&'static encoding_rs::Encoding>,
    /// Draws the bar of the batch until it has finished.
    #[arg(long)]
    wait: bool,
    /// Writes the batch (with --wait: each state of it) to standard output as one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Gives up after so many seconds without contact.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    give_up: u32,
    #[command(flatten)]
    reach: Reach,
}

/// Makes the batch; with `--wait`, follows it to its end.
///
/// # Errors
/// Where nothing can be read, the server refuses or does not answer. A batch that was begun is cancelled then, but for
/// lost contact.
pub(super) async fn run(args: RunArgs) -> Result<ExitCode, CliError> {
    let patience = Duration::from_secs(args.give_up.into());
    // What is wrong here is said before anybody is asked.
    let (source, kind) = source(&args)?;
    let client = ApiClient::new(args.reach.clone().server()?, patience)?;
    let page: TaskPage = client.get("/tasks", &[]).await?;
    let task = task(&page, &args.task)?;
    fits(task, kind)?;
    let params = params::of_task(task, &args.params)?;
    let options = params::options(&args.options)?;
    let name = args.name.clone().or_else(|| source_name(&args));
    let upload = BatchUpload::begin(&client, &args.task, name, params, options).await?;
    let batch = upload.batch().clone();
    let uploaded = Cell::new(false);
    let work = async {
        let batch = upload.fill(source).await?;
        uploaded.set(true);
        Ok::<_, CliError>(batch)
    };
    if !args.wait {
        let Some(filled) = interruptible(&client, &batch, &uploaded, work).await? else {
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        };
        report(&args, &client, &filled)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut show = if args.json { Show::Rows } else { Show::fit(&client.server.url.to_string()) };
    let watching = follow(&client.server, batch.id, patience, |event| show.receive(event));
    let both = async { tokio::try_join!(work, watching).map(|(_filled, finished)| finished) };
    match interruptible(&client, &batch, &uploaded, both).await {
        Ok(Some(finished)) => end_with(show, &finished),
        Ok(None) => {
            show.leave();
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
        Err(error) => {
            show.leave();
            Err(error)
        }
    }
}

/// Does `work` until it is done, or Ctrl-C. A batch whose upload fails or is given up does not wait for ever: it is
/// cancelled, but where the server cannot be reached.
async fn interruptible<T>(
    client: &ApiClient,
    batch: &Batch,
    uploaded: &Cell<bool>,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<Option<T>, CliError> {
    let done = tokio::select! {
        done = work => done.map(Some),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None).map_err(CliError::from),
    };
    let whole = uploaded.get();
    match &done {
        Ok(Some(_)) => return done,
        Err(error) if whole || error.is_lost_contact() => return done,
        Ok(None) if whole => return done,
        Ok(None) | Err(_) => {}
    }
    match tokio::time::timeout(CANCEL_MAX, give_up(client, batch)).await {
        Ok(Ok(0)) => eprintln!("nothing was submitted"),
        Ok(Ok(items)) => {
            let items = crate::client::words::counted(items, "item");
            eprintln!("batch #{} is cancelled: its input did not come whole, {items} had come", batch.number);
        }
        Ok(Err(_)) | Err(_) => eprintln!("batch #{} is open: `milepost cancel {0}` ends it", batch.number),
    }
    done
}

/// Ends a batch whose input did not come whole; how many items had come. Without any nothing is left of it.
async fn give_up(client: &ApiClient, batch: &Batch) -> Result<u64, CliError> {
    let path = format!("/batches/{}", batch.id);
    let cancelled: Batch = client.post(&format!("{path}/cancel"), &serde_json::json!({})).await?;
    if cancelled.total == 0 {
        let remove = |http: &reqwest::Client, base: &str| http.delete(format!("{base}{path}"));
        client.ask(remove, async |response| response.bytes().await).await?;
    }
    Ok(cancelled.total)
}

/// Where items come from, and which kind they are.
fn source(args: &RunArgs) -> Result<(UploadSource, ItemSource), CliError> {
    if args.delimiter.is_some() && args.csv.is_none() {
        return Err(CliError::Argument("--delimiter goes with --csv".to_owned()));
    }
    if args.encoding.is_some() && !args.files.is_empty() {
        return Err(CliError::Argument("--encoding goes with --lines, --csv and --ndjson".to_owned()));
    }
    let opened = |path: &PathBuf| InputText::open(path, args.encoding);
    let (input, format, kind) = match (&args.lines, &args.csv, &args.ndjson) {
        (Some(path), _, _) => (opened(path)?, TextFormat::Lines, ItemSource::Lines),
        (_, Some(path), _) => {
            let delimiter = chunks::delimiter(args.delimiter.as_deref())?;
            (opened(path)?, TextFormat::Csv(delimiter), ItemSource::Records)
        }
        (_, _, Some(path)) => (opened(path)?, TextFormat::Ndjson, ItemSource::Json),
        (None, None, None) => {
            return Ok((UploadSource::Files(FileList::find(&args.files)?), ItemSource::Files));
        }
    };
    Ok((UploadSource::Text(ChunkReader::new(input, format)), kind))
}

/// Which flag brought the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemSource {
    Files,
    Lines,
    Records,
    Json,
}

fn task<'a>(page: &'a TaskPage, name: &str) -> Result<&'a TaskInfo, CliError> {
    page.tasks.iter().find(|task| task.name == name).ok_or_else(|| {
        let known: Vec<_> = page.tasks.iter().map(|task| task.name.as_str()).collect();
        CliError::Argument(format!("--task: expected one of {}, found {name:?}", known.join(", ")))
    })
}

fn fits(task: &TaskInfo, source: ItemSource) -> Result<(), CliError> {
    let (fits, wanted) = match task.input {
        InputKind::File => (source == ItemSource::Files, "files: name them, or a folder"),
        InputKind::Line => (source != ItemSource::Files, "lines: --lines FILE, or - for standard input"),
        InputKind::Record => {
            (matches!(source, ItemSource::Records | ItemSource::Json), "records: --csv FILE or --ndjson FILE")
        }
    };
    if fits { Ok(()) } else { Err(CliError::Argument(format!("the task {:?} takes {wanted}", task.name))) }
}

/// What the input is called, where the server cannot know: it is sent the text of one file, and not its name.
fn source_name(args: &RunArgs) -> Option<String> {
    let path = args.lines.as_ref().or(args.csv.as_ref()).or(args.ndjson.as_ref())?;
    if path.as_os_str() == "-" { None } else { default_name::after_source(&name_of(path)) }
}

/// Says which batch was made: a sentence in a terminal, the id alone to a program.
fn report(args: &RunArgs, client: &ApiClient, batch: &Batch) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", json_line(batch));
    }
    if !out.is_terminal() {
        return writeln!(out, "{}", batch.id);
    }
    let items = crate::client::words::counted(batch.total, "item");
    writeln!(out, "batch #{}: {items}, {}/batches/{}", batch.number, client.server.url, batch.id)
}
