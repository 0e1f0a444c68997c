//! The samples of `task check`: given on the command line, or read of a file.

use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::formats::csv::decoder::CsvDecoder;
use crate::formats::csv::delimiter::guess_delimiter;
use crate::protocol::{InputKind, Json};
use crate::tasks::ItemInput;

/// Samples of one check at most: more is what a batch is for.
pub(super) const SAMPLES_MAX: usize = 1_000;

/// One sample: what it is for people, and what it is for the task.
pub(super) struct Sample {
    pub title: String,
    pub input: ItemInput,
}

fn wrong(what: &str, problem: impl std::fmt::Display) -> CliError {
    CliError::Tried(format!("{what}: {problem}"))
}

/// The sample that `input` gives to a task of this kind.
///
/// # Errors
/// What was expected.
pub(super) fn given(kind: InputKind, input: &str) -> Result<Sample, CliError> {
    let value = match kind {
        InputKind::Line => ItemInput::Value(Json::string(input)),
        InputKind::Record => match Json::parse(input) {
            Ok(json) if input.trim_start().starts_with('{') => ItemInput::Value(json),
            Ok(_) | Err(_) => return Err(wrong(&format!("--input {input}"), "expected a JSON object")),
        },
        InputKind::File => return file(Path::new(input)),
    };
    Ok(Sample { title: input.to_owned(), input: value })
}

/// The file at `path`.
///
/// # Errors
/// What the system says, or that it is no file.
pub(super) fn file(path: &Path) -> Result<Sample, CliError> {
    let title = path.display().to_string();
    let kind = std::fs::metadata(path).map_err(|fault| wrong(&title, fault))?;
    if !kind.is_file() {
        return Err(wrong(&title, "expected a file"));
    }
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let (path, media_type) = (PathBuf::from(path), String::new());
    Ok(Sample { title, input: ItemInput::File { name, path, bytes: kind.len(), media_type } })
}

/// The lines of the file at `path` (`-` for standard input): texts, or JSON objects for a task of records. Empty ones
/// are left out.
///
/// # Errors
/// The line at fault.
pub(super) fn lines(kind: InputKind, path: &Path) -> Result<Vec<Sample>, CliError> {
    let place = format!("--lines {}", path.display());
    let bytes = read(path).map_err(|fault| wrong(&place, fault))?;
    let text = String::from_utf8(bytes).map_err(|_bytes| wrong(&place, "expected UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let sample = |(number, line): (u64, &str)| match kind {
        InputKind::Line | InputKind::Record => {
            let sample = given(kind, line);
            sample.map_err(|_no_object| wrong(&format!("{place}: line {number}"), "expected a JSON object"))
        }
        InputKind::File => Err(wrong(&place, "the task takes files: give their paths")),
    };
    lines.take(SAMPLES_MAX).map(sample).collect()
}

/// The records of the CSV at `path` (`-` for standard input), as an upload of it would be read.
///
/// # Errors
/// The line at fault.
pub(super) fn csv(kind: InputKind, path: &Path) -> Result<Vec<Sample>, CliError> {
    let place = format!("--csv {}", path.display());
    if kind != InputKind::Record {
        return Err(wrong(&place, "the task takes no records"));
    }
    let bytes = read(path).map_err(|fault| wrong(&place, fault))?;
    let mut decoder = CsvDecoder::new(guess_delimiter(&bytes));
    let mut records = Vec::new();
    let decoded = decoder.push(&bytes, &mut records).and_then(|()| decoder.finish(&mut records));
    decoded.map_err(|fault| wrong(&place, fault))?;
    let samples = records.into_iter().take(SAMPLES_MAX);
    Ok(samples
        .map(|json| Sample { title: json.as_str().to_owned(), input: ItemInput::Value(json) })
        .collect())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
}
