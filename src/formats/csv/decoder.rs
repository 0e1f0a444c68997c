//! CSV into items: the first record names the columns, each further one is an item.
//!
//! Every value stays a string: `007` and `1.10` are what they were in the file.

use super::reader::{CsvReader, CsvRecord};
use crate::protocol::limits::COLUMNS_MAX;
use crate::protocol::{ApiError, Json};

/// Chunks into JSON objects of strings, in the order of the header.
#[derive(Debug)]
pub struct CsvDecoder {
    reader: CsvReader,
    header: CsvHeader,
}

/// The columns, once the header was read.
#[derive(Debug, Default)]
struct CsvHeader {
    columns: Vec<String>,
    /// `"name":` of each column, as JSON.
    keys: Vec<String>,
}

impl CsvDecoder {
    /// With fields parted by `delimiter`.
    pub fn new(delimiter: u8) -> Self {
        Self { reader: CsvReader::new(delimiter), header: CsvHeader::default() }
    }

    /// Reads a chunk; items before a fault go `into` too.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<Json>) -> Result<(), ApiError> {
        let Self { reader, header } = self;
        reader.push(bytes, |record| header.read_record(&record, into))
    }

    /// The stream has ended.
    pub fn finish(&mut self, into: &mut Vec<Json>) -> Result<(), ApiError> {
        let Self { reader, header } = self;
        reader.finish(|record| header.read_record(&record, into))
    }

    /// Lines that ended so far.
    pub fn lines(&self) -> u64 {
        self.reader.lines()
    }

    /// Names of the columns; empty before the header was read.
    pub fn columns(&self) -> &[String] {
        &self.header.columns
    }
}

impl CsvHeader {
    fn read_record(&mut self, record: &CsvRecord<'_>, into: &mut Vec<Json>) -> Result<(), ApiError> {
        if self.columns.is_empty() {
            return self.read_names(record);
        }
        if record.width() != self.columns.len() {
            let (expected, found) = (self.columns.len(), record.width());
            return Err(ApiError::invalid(format!(
                "Expected {expected} fields, as in the header, and found {found}."
            ))
            .at_line(record.line()));
        }
        let mut object = String::with_capacity(record.bytes() + self.keys.len() * 16);
        for (key, field) in self.keys.iter().zip(record.fields()) {
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(key);
            object.push_str(Json::string(field?).as_str());
        }
        object.push('}');
        into.push(Json::parse(&object).expect("an object of JSON strings is JSON"));
        Ok(())
    }

    fn read_names(&mut self, record: &CsvRecord<'_>) -> Result<(), ApiError> {
        if record.width() > COLUMNS_MAX {
            let detail = format!("The header has more than {COLUMNS_MAX} columns.");
            return Err(ApiError::invalid(detail).at_line(record.line()));
        }
        let mut columns: Vec<String> = Vec::with_capacity(record.width());
        for name in record.fields() {
            let name = name?;
            if name.is_empty() {
                let at = columns.len() + 1;
                return Err(ApiError::invalid(format!("Column {at} has no name in the header."))
                    .at_line(record.line()));
            }
            columns.push(name.to_owned());
        }
        let mut sorted: Vec<&String> = columns.iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ApiError::invalid(format!("Two columns of the header are named {:?}.", pair[0]))
                .at_line(record.line()));
        }
        self.keys = columns.iter().map(|name| format!("{}:", Json::string(name).as_str())).collect();
        self.columns = columns;
        Ok(())
    }
}
