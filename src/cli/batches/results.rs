//! `milepost results`: what a batch has made, to a file or to standard output.
//!
//! A file appears whole or not at all. What goes to standard output is sent once: where it is cut off, the command fails.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use reqwest::Response;
use tempfile::NamedTempFile;

use super::{AskArgs, lookup};
use crate::cli::CliError;
use crate::cli::columns::visible;
use crate::cli::watch::BatchName;
use crate::client::words;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ResultsFormat {
    /// The input's columns, then state, error and result.
    Csv,
    /// One JSON object per item.
    Ndjson,
    /// The files of all items.
    Zip,
}

impl ResultsFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Zip => "zip",
        }
    }

    /// That of a file's ending.
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::value_variants().iter().copied().find(|format| format.as_str() == ending)
    }
}

/// Flags of `results`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResultsArgs {
    /// Id of the batch, or its number: 128, or '#128' in quotes.
    #[arg(value_name = "BATCH")]
    batch: BatchName,
    #[command(flatten)]
    ask: AskArgs,
    /// How they are written; by default as the ending of the file says, else ndjson.
    #[arg(long, value_enum)]
    format: Option<ResultsFormat>,
    /// Failed items only.
    #[arg(long)]
    failed: bool,
    /// Writes to this file, by default to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Fetches them.
///
/// # Errors
/// Where there is no such batch, the file cannot be written, or the server does not answer.
pub(in crate::cli) async fn results(args: ResultsArgs) -> Result<(), CliError> {
    let client = args.ask.client()?;
    let format = args.format.or_else(|| ResultsFormat::of(args.output.as_deref()?));
    let format = format.unwrap_or(ResultsFormat::Ndjson);
    if args.output.is_none() && format == ResultsFormat::Zip && io::stdout().is_terminal() {
        return Err(CliError::Argument("a zip is no text for a terminal: name a file with -o".to_owned()));
    }
    // The file is tried before the server is asked for much.
    let draft = args.output.as_deref().map(draft_beside).transpose()?;
    let batch = lookup::find(&client, args.batch).await?;
    let path = format!("/batches/{}/results", batch.id);
    let mut query = vec![("format", format.as_str())];
    query.extend(args.failed.then_some(("only", "failed")));
    let request = |http: &reqwest::Client, base: &str| http.get(format!("{base}{path}")).query(&query);
    let (Some(path), Some(draft)) = (args.output, draft) else {
        let response = client.ask(request, async |response| Ok(response)).await?;
        return to_standard_output(response).await;
    };
    let draft = std::sync::Mutex::new(draft);
    let written = client.ask(request, async |response| into_file(response, &draft).await).await?;
    let draft = draft.into_inner().expect("nothing panics while it is held");
    let bytes = written.map_err(|error| unwritten(&path, &error))?;
    draft.as_file().sync_all().map_err(|error| unwritten(&path, &error))?;
    draft.persist(&path).map_err(|error| unwritten(&path, &error.error))?;
    eprintln!("{}: {}", path.display(), words::bytes(bytes));
    Ok(())
}

/// A file in the folder of `path`, to be renamed.
fn draft_beside(path: &Path) -> Result<NamedTempFile, CliError> {
    if path.is_dir() {
        return Err(CliError::Argument(format!("{} is a folder: name a file", path.display())));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    tempfile::Builder::new()
        .prefix(".milepost-")
        .permissions(permissions)
        .tempfile_in(folder)
        .map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &io::Error) -> CliError {
    CliError::Argument(format!("{} cannot be written: {error}", path.display()))
}

/// Writes an answer to the file, from its start: an earlier try may have left a part. A file that takes nothing is no
/// matter of the connection, and is not tried again.
async fn into_file(
    response: Response,
    draft: &std::sync::Mutex<NamedTempFile>,
) -> reqwest::Result<io::Result<u64>> {
    let file = || draft.lock().unwrap_or_else(std::sync::PoisonError::into_inner).reopen();
    let mut file = match file().and_then(|file| file.set_len(0).map(|()| file)) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut bytes = 0;
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        bytes += chunk.len() as u64;
        if let Err(error) = file.write_all(&chunk) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(bytes))
}

async fn to_standard_output(response: Response) -> Result<(), CliError> {
    let mut chunks = response.bytes_stream();
    let mut shown = io::stdout().is_terminal().then(ShownText::default);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            CliError::Tried(format!("the results were cut off ({error}): what was printed is not all"))
        })?;
        match &mut shown {
            // A terminal would obey what an item has written.
            Some(shown) => io::stdout().write_all(shown.next(&chunk).as_bytes())?,
            None => io::stdout().write_all(&chunk)?,
        }
    }
    io::stdout().flush()?;
    Ok(())
}

/// Bytes of a text as they come, for a terminal.
#[derive(Default)]
struct ShownText {
    /// The start of a character.
    held: Vec<u8>,
}

impl ShownText {
    /// What can be shown by now.
    fn next(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.held) {
            Err(fault) if fault.error_len().is_none() => fault.valid_up_to(),
            Ok(_) | Err(_) => self.held.len(),
        };
        let rest = self.held.split_off(whole);
        let text = std::mem::replace(&mut self.held, rest);
        visible(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_move_no_cursor_wherever_their_bytes_are_cut() {
        let text = "a,\u{1b}[2J\u{9b}2J\n照片,\u{202e}b\n";
        for cut in 0..text.len() {
            let mut shown = ShownText::default();
            let (first, second) = text.as_bytes().split_at(cut);
            let all = shown.next(first) + &shown.next(second);
            assert_eq!(all, "a,␛[2J\u{fffd}2J\n照片,\u{fffd}b\n", "cut at {cut}");
        }
    }
}
