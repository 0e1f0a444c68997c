//! CSV into items: RFC 4180, one record an item.
//!
//! Owns the decoder of `text/csv`. Called by the pump and the preview. Invariant: any chunking gives the same records
//! and line numbers; one record is held, bounded by [`ITEM_BYTES_MAX`]. A machine of our own, because the line on which
//! a record begins and a quote that is never closed must be known. Deliberately keeps every value a string.

use super::lines::{too_long, utf8};
use crate::protocol::limits::{COLUMNS_MAX, ITEM_BYTES_MAX};
use crate::protocol::{ApiError, Json};

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
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

/// Takes chunks, gives records: fields, and the line on which they begin.
#[derive(Debug)]
pub struct CsvReader {
    delimiter: u8,
    at: At,
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
pub struct Record<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
    line: u64,
}

impl Record<'_> {
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
            at: At::RecordStart,
            bytes: Vec::new(),
            ends: Vec::new(),
            line: 1,
            began: 1,
            after_return: false,
            mark: Some(0),
        }
    }

    /// Takes a chunk and gives every record that ends in it.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut give: impl FnMut(Record<'_>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for byte in chunk {
            if self.skip_mark(*byte) {
                continue;
            }
            if std::mem::take(&mut self.after_return) && *byte == b'\n' && self.at != At::Quoted {
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
        mut give: impl FnMut(Record<'_>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        match self.at {
            At::RecordStart => Ok(()),
            At::Quoted => {
                Err(ApiError::invalid("A field begins with a quote that is never closed.")
                    .at_line(self.began))
            }
            At::FieldStart | At::Plain | At::QuoteSeen => {
                self.ends.push(self.bytes.len());
                self.end_record(&mut give)
            }
        }
    }

    /// Takes one byte; true where it ended a record.
    fn step(&mut self, byte: u8) -> bool {
        let ends_line = byte == b'\n' || byte == b'\r';
        if self.at == At::Quoted {
            if byte == b'"' {
                self.at = At::QuoteSeen;
            } else {
                // A line is counted once, whether it ends in one character or in both.
                if byte == b'\r' || (byte == b'\n' && self.bytes.last() != Some(&b'\r')) {
                    self.line += 1;
                }
                self.bytes.push(byte);
            }
            return false;
        }
        if self.at == At::RecordStart {
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
            self.at = At::FieldStart;
        } else if byte == b'"' && self.at != At::Plain {
            if self.at == At::QuoteSeen {
                self.bytes.push(b'"');
            }
            self.at = At::Quoted;
        } else {
            self.bytes.push(byte);
            self.at = At::Plain;
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
            self.at = At::Plain;
        }
        false
    }

    fn end_record(
        &mut self,
        give: &mut impl FnMut(Record<'_>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let given = give(Record { bytes: &self.bytes, ends: &self.ends, line: self.began });
        self.bytes.clear();
        self.ends.clear();
        self.at = At::RecordStart;
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

/// Takes chunks, gives records as JSON objects of strings, in the order of the header.
#[derive(Debug)]
pub struct CsvDecoder {
    reader: CsvReader,
    header: Header,
}

/// The columns, once the header was read.
#[derive(Debug, Default)]
struct Header {
    columns: Vec<String>,
    /// `"name":` of each column, as JSON.
    keys: Vec<String>,
}

impl CsvDecoder {
    /// With fields parted by `delimiter`.
    pub fn new(delimiter: u8) -> Self {
        Self { reader: CsvReader::new(delimiter), header: Header::default() }
    }

    /// Takes a chunk; items before a fault are given too.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<Json>) -> Result<(), ApiError> {
        let Self { reader, header } = self;
        reader.push(bytes, |record| header.take(&record, into))
    }

    /// The stream has ended.
    pub fn finish(&mut self, into: &mut Vec<Json>) -> Result<(), ApiError> {
        let Self { reader, header } = self;
        reader.finish(|record| header.take(&record, into))
    }

    /// Lines that ended so far.
    pub fn lines(&self) -> u64 {
        self.reader.line - 1
    }

    /// Names of the columns; empty before the header was read.
    pub fn columns(&self) -> &[String] {
        &self.header.columns
    }
}

impl Header {
    fn take(&mut self, record: &Record<'_>, into: &mut Vec<Json>) -> Result<(), ApiError> {
        if self.columns.is_empty() {
            return self.read(record);
        }
        if record.width() != self.columns.len() {
            let (expected, found) = (self.columns.len(), record.width());
            return Err(ApiError::invalid(format!(
                "Expected {expected} fields, as in the header, and found {found}."
            ))
            .at_line(record.line));
        }
        let mut object = String::with_capacity(record.bytes.len() + self.keys.len() * 16);
        for (key, field) in self.keys.iter().zip(record.fields()) {
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(key);
            object.push_str(Json::string(field?).as_str());
        }
        object.push('}');
        into.push(Json::parse(&object).expect("an object of JSON strings is JSON"));
        Ok(())
    }

    fn read(&mut self, record: &Record<'_>) -> Result<(), ApiError> {
        if record.width() > COLUMNS_MAX {
            let detail = format!("The header has more than {COLUMNS_MAX} columns.");
            return Err(ApiError::invalid(detail).at_line(record.line));
        }
        let mut columns: Vec<String> = Vec::with_capacity(record.width());
        for name in record.fields() {
            let name = name?;
            if name.is_empty() {
                let at = columns.len() + 1;
                return Err(
                    ApiError::invalid(format!("Column {at} has no name in the header.")).at_line(record.line)
                );
            }
            columns.push(name.to_owned());
        }
        let mut sorted: Vec<&String> = columns.iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ApiError::invalid(format!("Two columns of the header are named {:?}.", pair[0]))
                .at_line(record.line));
        }
        self.keys = columns.iter().map(|name| format!("{}:", Json::string(name).as_str())).collect();
        self.columns = columns;
        Ok(())
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
