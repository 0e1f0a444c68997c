//! CSV into records: RFC 4180, fields as bytes.
//!
//! A state machine of our own, because the line on which a record begins and a quote that is never closed must be
//! known. Any chunking gives the same records and line numbers. One record is held at a time, of at most
//! [`ITEM_BYTES_MAX`] bytes and [`COLUMNS_MAX`] fields.

use crate::formats::lines::{too_long, utf8};
use crate::protocol::ApiError;
use crate::protocol::limits::{COLUMNS_MAX, ITEM_BYTES_MAX};

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Before the first byte of a record.
    RecordStart,
    /// Before the first byte of a field.
    FieldStart,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: it closes, or it was the first of two.
    QuoteSeen,
}

/// Chunks into records: fields, and the line on which they begin.
#[derive(Debug)]
pub struct CsvReader {
    delimiter: u8,
    at: Position,
    /// Bytes of the fields so far, one after the other.
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`.
    ends: Vec<usize>,
    /// The line that is being read, from 1.
    line: u64,
    /// The line on which the record began.
    began: u64,
    /// The last byte was a carriage return that ended a line.
    after_return: bool,
    /// Bytes of a byte order mark that were seen at the very start; none once past it.
    mark: Option<usize>,
}

/// A record as read: fields by their ends.
pub struct CsvRecord<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
    line: u64,
}

impl CsvRecord<'_> {
    /// The line on which it begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Bytes of all fields.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many fields.
    pub fn width(&self) -> usize {
        self.ends.len()
    }

    /// The fields as text.
    pub fn fields(&self) -> impl Iterator<Item = Result<&str, ApiError>> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let field = &self.bytes[from..*end];
            from = *end;
            utf8(field, self.line)
        })
    }
}

impl CsvReader {
    /// With fields parted by `delimiter`.
    pub fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            at: Position::RecordStart,
            bytes: Vec::new(),
            ends: Vec::new(),
            line: 1,
            began: 1,
            after_return: false,
            mark: Some(0),
        }
    }

    /// What parts the fields.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Lines that ended so far.
    pub fn lines(&self) -> u64 {
        self.line - 1
    }

    /// Reads a chunk and gives every record that ends in it.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut give: impl FnMut(CsvRecord<'_>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for byte in chunk {
            if self.skip_mark(*byte) {
                continue;
            }
            if std::mem::take(&mut self.after_return) && *byte == b'\n' && self.at != Position::Quoted {
                continue;
            }
            if self.step(*byte) {
                self.end_record(&mut give)?;
            }
            if self.bytes.len() > ITEM_BYTES_MAX || self.ends.len() > COLUMNS_MAX {
                return Err(self.over());
            }
        }
        Ok(())
    }

    /// The stream has ended: gives the last record, if it has no ending.
    pub fn finish(
        &mut self,
        mut give: impl FnMut(CsvRecord<'_>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        match self.at {
            Position::RecordStart => Ok(()),
            Position::Quoted => {
                Err(ApiError::invalid("A field begins with a quote that is never closed.")
                    .at_line(self.began))
            }
            Position::FieldStart | Position::Plain | Position::QuoteSeen => {
                self.ends.push(self.bytes.len());
                self.end_record(&mut give)
            }
        }
    }

    /// Reads one byte; true where it ended a record.
    fn step(&mut self, byte: u8) -> bool {
        let ends_line = byte == b'\n' || byte == b'\r';
        if self.at == Position::Quoted {
            if byte == b'"' {
                self.at = Position::QuoteSeen;
            } else {
                // A line is counted once, whether it ends in one character or in both.
                if byte == b'\r' || (byte == b'\n' && self.bytes.last() != Some(&b'\r')) {
                    self.line += 1;
                }
                self.bytes.push(byte);
            }
            return false;
        }
        if self.at == Position::RecordStart {
            self.began = self.line;
            if ends_line {
                self.count_line(byte);
                return false;
            }
        }
        if ends_line {
            self.ends.push(self.bytes.len());
            self.count_line(byte);
            return true;
        }
        if byte == self.delimiter {
            self.ends.push(self.bytes.len());
            self.at = Position::FieldStart;
        } else if byte == b'"' && self.at != Position::Plain {
            if self.at == Position::QuoteSeen {
                self.bytes.push(b'"');
            }
            self.at = Position::Quoted;
        } else {
            self.bytes.push(byte);
            self.at = Position::Plain;
        }
        false
    }

    fn count_line(&mut self, byte: u8) {
        self.line += 1;
        self.after_return = byte == b'\r';
    }

    /// True where `byte` belongs to a byte order mark at the very start.
    fn skip_mark(&mut self, byte: u8) -> bool {
        const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
        let Some(seen) = self.mark else { return false };
        if byte == MARK[seen] {
            self.mark = if seen + 1 < MARK.len() { Some(seen + 1) } else { None };
            return true;
        }
        // Not a mark after all: what was held back is the start of the first field.
        self.mark = None;
        if seen > 0 {
            self.bytes.extend_from_slice(&MARK[..seen]);
            self.at = Position::Plain;
        }
        false
    }

    fn end_record(
        &mut self,
        give: &mut impl FnMut(CsvRecord<'_>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let given = give(CsvRecord { bytes: &self.bytes, ends: &self.ends, line: self.began });
        self.bytes.clear();
        self.ends.clear();
        self.at = Position::RecordStart;
        given
    }

    fn over(&self) -> ApiError {
        if self.ends.len() > COLUMNS_MAX {
            return ApiError::invalid(format!("A row has more than {COLUMNS_MAX} fields."))
                .at_line(self.began);
        }
        too_long(self.began)
    }
}
