//! CSV into items: the first record names the columns, each further one is an item.

use super::delimiter::guess_delimiter;
use super::header::CsvHeader;
use super::options::CsvOptions;
use super::reader::CsvReader;
use crate::formats::encoding::{NulBytes, TextEncoding, Transcoder};
use crate::protocol::{ApiError, Json};

/// Bytes and line ends after which the delimiter is guessed, whichever comes first.
const GUESS_BYTES_MAX: usize = 64 * 1024;
const GUESS_LINES: usize = 12;

/// Chunks of UTF-8 into JSON objects of strings, in the order of the header.
#[derive(Debug)]
pub struct CsvDecoder {
    rows: CsvRows,
    header: CsvHeader,
}

#[derive(Debug)]
enum CsvRows {
    /// The first bytes, while the delimiter is not known.
    Held(Vec<u8>),
    Read(CsvReader),
}

impl CsvDecoder {
    /// As `options` say.
    pub fn new(options: CsvOptions) -> Self {
        let rows = match options.delimiter {
            Some(delimiter) => CsvRows::Read(CsvReader::new(delimiter)),
            None => CsvRows::Held(Vec::new()),
        };
        Self { rows, header: CsvHeader::new(options) }
    }

    /// Keeps the line of each item, for [`CsvDecoder::take_lines`]: for a text of bounded size.
    pub(super) fn keeping_lines(mut self) -> Self {
        self.header.keep_lines();
        self
    }

    /// The line on which each item so far begins, from 1, where they are kept.
    pub(super) fn take_lines(&mut self) -> Vec<u64> {
        self.header.take_lines()
    }

    /// Reads a chunk; items before a fault go `into` too.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<Json>) -> Result<(), ApiError> {
        let Self { rows, header } = self;
        match rows {
            CsvRows::Read(reader) => reader.push(bytes, |record| header.read_record(&record, into)),
            CsvRows::Held(held) => {
                held.extend_from_slice(bytes);
                match guess_end(held) {
                    Some(end) => self.guess(end, into),
                    None => Ok(()),
                }
            }
        }
    }

    /// The stream has ended.
    pub fn finish(&mut self, into: &mut Vec<Json>) -> Result<(), ApiError> {
        if let CsvRows::Held(held) = &self.rows {
            self.guess(held.len(), into)?;
        }
        let Self { rows, header } = self;
        match rows {
            CsvRows::Read(reader) => reader.finish(|record| header.read_record(&record, into)),
            CsvRows::Held(_) => Ok(()),
        }
    }

    /// Guesses the delimiter from what is held up to `end`, and reads all that is held.
    fn guess(&mut self, end: usize, into: &mut Vec<Json>) -> Result<(), ApiError> {
        let CsvRows::Held(held) = &mut self.rows else { return Ok(()) };
        let held = std::mem::take(held);
        self.rows = CsvRows::Read(CsvReader::new(guess_delimiter(&held[..end])));
        self.push(&held, into)
    }

    /// Lines that ended so far.
    pub fn lines(&self) -> u64 {
        match &self.rows {
            CsvRows::Held(held) => held.iter().filter(|byte| **byte == b'\n').count() as u64,
            CsvRows::Read(reader) => reader.lines(),
        }
    }

    /// What parts the fields; none while it is not known.
    pub fn delimiter(&self) -> Option<u8> {
        match &self.rows {
            CsvRows::Held(_) => None,
            CsvRows::Read(reader) => Some(reader.delimiter()),
        }
    }

    /// Names of the columns; empty before the header was read.
    pub fn columns(&self) -> &[String] {
        self.header.columns()
    }

    /// Names of the columns that an export had added, and that are left out.
    pub fn left_out(&self) -> &[String] {
        self.header.left_out()
    }
}

/// The items of a whole CSV, as an upload of it would be read: its encoding by its byte order mark, its delimiter guessed.
///
/// # Errors
/// `invalid` or `too_large`, with the line.
pub fn read_whole(bytes: &[u8]) -> Result<Vec<Json>, ApiError> {
    let mut transcoder = Transcoder::new(TextEncoding::Auto, NulBytes::MeanUtf16);
    let mut decoder = CsvDecoder::new(CsvOptions::default());
    let mut items = Vec::new();
    let (text, fault) = transcoder.push(bytes);
    decoder.push(&text, &mut items)?;
    let (rest, last_fault) = transcoder.finish();
    decoder.push(&rest, &mut items)?;
    fault.and(last_fault).map_err(|fault| fault.at_line(decoder.lines() + 1))?;
    decoder.finish(&mut items)?;
    Ok(items)
}

/// The delimiter that a decoder guesses for a text that begins so.
pub fn seen_delimiter(text: &[u8]) -> u8 {
    guess_delimiter(&text[..guess_end(text).unwrap_or(text.len())])
}

/// Where the bytes that a guess needs end, the same for any chunking; none while more are needed.
fn guess_end(held: &[u8]) -> Option<usize> {
    let looked = &held[..held.len().min(GUESS_BYTES_MAX)];
    let line = memchr::memchr_iter(b'\n', looked).nth(GUESS_LINES - 1);
    line.map(|at| at + 1).or((held.len() >= GUESS_BYTES_MAX).then_some(GUESS_BYTES_MAX))
}
