//! Lines and records into bodies of requests: by size, and by time where they come slowly.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::input::InputText;
use crate::cli::CliError;
use crate::formats::csv::delimiter::{guess_delimiter, read_delimiter};
use crate::formats::csv::reader::{CsvReader, CsvRecord};
use crate::formats::lines::{LineCutter, LineSink};
use crate::protocol::ApiError;

/// Bytes of a chunk from which on it is sent.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a row that are written without asking for more memory.
const ROW_BYTES: usize = 512;
/// How long the first item of a chunk waits for more.
const CHUNK_WAIT: Duration = Duration::from_millis(50);

/// How a text holds items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextFormat {
    /// One a line.
    Lines,
    /// One JSON value a line.
    Ndjson,
    /// A header, and one record a row; parted by this, or by what the first bytes look like.
    Csv(Option<u8>),
}

impl TextFormat {
    /// The content type of a body.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "text/plain",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv(_) => "text/csv",
        }
    }
}

/// What parts the fields of a CSV, as it is named on the command line.
///
/// # Errors
/// What was expected.
pub(super) fn delimiter(named: Option<&str>) -> Result<Option<u8>, CliError> {
    read_delimiter(named.unwrap_or_default()).map_err(|error| CliError::Argument(format!("--{error}")))
}

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ItemPlace {
    /// End of it in the text of its chunk.
    end: usize,
    /// Its line in the input, from 1.
    line: u64,
}

/// Items as one body.
#[derive(Debug)]
pub(super) struct TextChunk {
    /// What every body begins with: the header of a CSV.
    head: Bytes,
    text: Bytes,
    places: Vec<ItemPlace>,
}

impl TextChunk {
    /// How many items.
    pub(super) fn items(&self) -> u64 {
        self.places.len() as u64
    }

    /// The body, without the first `skipped` items.
    pub(super) fn body(&self, skipped: u64) -> [Bytes; 2] {
        let at = usize::try_from(skipped).ok().and_then(|skipped| self.places.get(skipped.checked_sub(1)?));
        [self.head.clone(), self.text.slice(at.map_or(0, |place| place.end)..)]
    }

    /// The line of the input that is line `line` of a body without the first `skipped` items.
    pub(super) fn line(&self, line: u64, skipped: u64) -> Option<u64> {
        let from = usize::try_from(skipped).ok()?;
        let body = self.body(skipped);
        let newlines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        // Records may span lines: the item is the first whose end lies on that line, or after it.
        let mut reached = newlines(&body[0]);
        let mut start = from.checked_sub(1).map_or(0, |before| self.places[before].end);
        for place in &self.places[from.min(self.places.len())..] {
            reached += newlines(&self.text[start..place.end]);
            start = place.end;
            if reached >= line {
                return Some(place.line);
            }
        }
        None
    }
}

/// An input that is cut into chunks.
pub(super) struct ChunkReader {
    input: InputText,
    format: TextFormat,
    splitter: Option<Splitter>,
    ended: bool,
    head: Bytes,
    text: Vec<u8>,
    places: Vec<ItemPlace>,
}

impl ChunkReader {
    /// Of nothing yet.
    pub(super) fn new(input: InputText, format: TextFormat) -> Self {
        let (text, places) = (Vec::new(), Vec::new());
        Self { input, format, splitter: None, ended: false, head: Bytes::new(), text, places }
    }

    /// How the bodies are written.
    pub(super) fn format(&self) -> TextFormat {
        self.format
    }

    /// The next items: as many as come together; none at the end.
    ///
    /// # Errors
    /// Where the input cannot be read on; for a CSV that is none, with its line.
    pub(super) async fn next(&mut self) -> Result<Option<TextChunk>, CliError> {
        let mut due = None;
        while !self.ended && self.text.len() < CHUNK_BYTES {
            let next = match due {
                Some(due) => match timeout_at(due, self.input.next()).await {
                    Ok(next) => next?,
                    Err(_elapsed) => break,
                },
                None => self.input.next().await?,
            };
            match next {
                Some(bytes) => self.split(&bytes)?,
                None => self.end()?,
            }
            if due.is_none() && !self.places.is_empty() {
                due = Some(Instant::now() + CHUNK_WAIT);
            }
        }
        if self.places.is_empty() {
            return Ok(None);
        }
        let (text, places) = (Bytes::from(std::mem::take(&mut self.text)), std::mem::take(&mut self.places));
        Ok(Some(TextChunk { head: self.head.clone(), text, places }))
    }

    fn split(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let format = self.format;
        let splitter = self.splitter.get_or_insert_with(|| Splitter::new(format, bytes));
        match splitter {
            Splitter::Lines(lines) => {
                let mut writer = LineWriter { text: &mut self.text, places: &mut self.places };
                lines.push(bytes, &mut writer).map_err(refused)
            }
            Splitter::Csv(csv, rows) => {
                let (text, places) = (&mut self.text, &mut self.places);
                csv.push(bytes, |record| rows.write(&record, text, places)).map_err(refused)?;
                self.head = rows.head.clone();
                Ok(())
            }
        }
    }

    fn end(&mut self) -> Result<(), CliError> {
        self.ended = true;
        match &mut self.splitter {
            None => Ok(()),
            Some(Splitter::Lines(lines)) => {
                let mut writer = LineWriter { text: &mut self.text, places: &mut self.places };
                lines.finish(&mut writer).map_err(refused)
            }
            Some(Splitter::Csv(csv, rows)) => {
                let (text, places) = (&mut self.text, &mut self.places);
                csv.finish(|record| rows.write(&record, text, places)).map_err(refused)?;
                self.head = rows.head.clone();
                Ok(())
            }
        }
    }
}

fn refused(error: ApiError) -> CliError {
    CliError::Argument(error.to_string())
}

/// Bytes into items.
enum Splitter {
    Lines(LineCutter),
    Csv(Box<CsvReader>, RowWriter),
}

impl Splitter {
    fn new(format: TextFormat, first: &[u8]) -> Self {
        match format {
            TextFormat::Lines | TextFormat::Ndjson => Self::Lines(LineCutter::default()),
            TextFormat::Csv(delimiter) => {
                let delimiter = delimiter.unwrap_or_else(|| guess_delimiter(first));
                Self::Csv(Box::new(CsvReader::new(delimiter)), RowWriter::default())
            }
        }
    }
}

/// Lines into the text of a chunk, each with its ending.
struct LineWriter<'a> {
    text: &'a mut Vec<u8>,
    places: &'a mut Vec<ItemPlace>,
}

impl LineSink for LineWriter<'_> {
    fn line(&mut self, number: u64, bytes: &[u8]) -> Result<(), ApiError> {
        self.text.extend_from_slice(bytes);
        self.text.push(b'\n');
        self.places.push(ItemPlace { end: self.text.len(), line: number });
        Ok(())
    }
}

/// Records as rows of a CSV with commas, the first as the header.
#[derive(Default)]
struct RowWriter {
    head: Bytes,
}

impl RowWriter {
    fn write(
        &mut self,
        record: &CsvRecord<'_>,
        text: &mut Vec<u8>,
        places: &mut Vec<ItemPlace>,
    ) -> Result<(), ApiError> {
        let fields = record.fields().collect::<Result<Vec<_>, _>>()?;
        let mut row = csv::WriterBuilder::new().buffer_capacity(ROW_BYTES).from_writer(Vec::new());
        // Into memory: nothing of it can fail but for want of that.
        let written = row.write_record(&fields).ok().and_then(|()| row.into_inner().ok());
        let written =
            written.ok_or_else(|| ApiError::invalid("The row cannot be written.").at_line(record.line()))?;
        if self.head.is_empty() {
            self.head = Bytes::from(written);
        } else {
            text.extend_from_slice(&written);
            places.push(ItemPlace { end: text.len(), line: record.line() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of `pieces`, as chunks of one.
    fn split(format: TextFormat, pieces: &[&str]) -> TextChunk {
        let mut splitter = Splitter::new(format, pieces[0].as_bytes());
        let (mut text, mut places, mut head) = (Vec::new(), Vec::new(), Bytes::new());
        for piece in pieces {
            match &mut splitter {
                Splitter::Lines(lines) => {
                    let mut writer = LineWriter { text: &mut text, places: &mut places };
                    lines.push(piece.as_bytes(), &mut writer).unwrap();
                }
                Splitter::Csv(csv, rows) => {
                    csv.push(piece.as_bytes(), |record| rows.write(&record, &mut text, &mut places)).unwrap()
                }
            }
        }
        match &mut splitter {
            Splitter::Lines(lines) => {
                let mut writer = LineWriter { text: &mut text, places: &mut places };
                lines.finish(&mut writer).unwrap();
            }
            Splitter::Csv(csv, rows) => {
                csv.finish(|record| rows.write(&record, &mut text, &mut places)).unwrap();
                head = rows.head.clone();
            }
        }
        TextChunk { head, text: Bytes::from(text), places }
    }

    fn text(chunk: &TextChunk, skipped: u64) -> String {
        String::from_utf8(chunk.body(skipped).concat()).unwrap()
    }

    #[test]
    fn lines_are_items_but_for_empty_ones() {
        let chunk = split(TextFormat::Lines, &["one\r\n\ntw", "o\n\r\nthree"]);
        assert_eq!((chunk.items(), text(&chunk, 0).as_str()), (3, "one\ntwo\nthree\n"));
        assert_eq!((text(&chunk, 1).as_str(), text(&chunk, 3).as_str()), ("two\nthree\n", ""));
        assert_eq!((chunk.line(1, 0), chunk.line(2, 0), chunk.line(3, 0)), (Some(1), Some(3), Some(5)));
        assert_eq!(chunk.line(1, 2), Some(5));
    }

    #[test]
    fn every_body_of_a_csv_has_its_header() {
        let chunk = split(TextFormat::Csv(None), &["a;b\n1;\"x\ny\"\n", "2;\"q\"\"\"\n"]);
        assert_eq!(text(&chunk, 0), "a,b\n1,\"x\ny\"\n2,\"q\"\"\"\n");
        assert_eq!((chunk.items(), text(&chunk, 1).as_str()), (2, "a,b\n2,\"q\"\"\"\n"));
        assert_eq!((chunk.line(2, 0), chunk.line(4, 0), chunk.line(2, 1)), (Some(2), Some(4), Some(4)));
    }
}
