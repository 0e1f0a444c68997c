//! The header of a CSV into the columns of its records, and each row into a record.
//!
//! Every value stays a string: `007` and `1.10` are what they were in the file. Columns that an export of Milepost has
//! added are left out, so that an export can be submitted any number of times.

use std::collections::{HashMap, HashSet};

use super::formula::unmarked;
use super::options::{CsvOptions, DuplicateColumns, FirstRow};
use super::reader::CsvRecord;
use crate::formats::lines::too_long;
use crate::protocol::limits::{COLUMNS_MAX, ITEM_BYTES_MAX};
use crate::protocol::{ApiError, Json};

/// Columns that an export adds. Those after them that are called `result` or `result_…` are its own too.
const EXPORTED_COLUMNS: [&str; 3] = ["milepost_seq", "milepost_state", "milepost_error"];

/// What becomes of one column.
#[derive(Debug)]
enum ColumnUse {
    /// Its values stand in the records, after this: `"name":` as JSON.
    Kept(String),
    LeftOut,
}

/// The columns, once the first row was read.
#[derive(Debug, Default)]
pub(super) struct CsvHeader {
    options: CsvOptions,
    is_read: bool,
    /// It has all columns of an export: its cells are marked as those of one are.
    is_export: bool,
    /// Names of those that are kept.
    columns: Vec<String>,
    uses: Vec<ColumnUse>,
    /// Bytes of all names that are kept.
    names_bytes: usize,
    /// Fields of the header, those without a name at its end included.
    width: usize,
    /// Columns that an export had added.
    left_out: Vec<String>,
    /// The line on which each record begins, where that is asked for.
    lines: Option<Vec<u64>>,
}

impl CsvHeader {
    pub(super) fn new(options: CsvOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Keeps the line of each record from here on.
    pub(super) fn keep_lines(&mut self) {
        self.lines = Some(Vec::new());
    }

    /// The lines of the records so far, where they are kept.
    pub(super) fn take_lines(&mut self) -> Vec<u64> {
        self.lines.take().unwrap_or_default()
    }

    /// Names of the columns; empty before the first row was read.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Names of the columns that an export had added, and that are left out.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    pub(super) fn read_record(
        &mut self,
        record: &CsvRecord<'_>,
        into: &mut Vec<Json>,
    ) -> Result<(), ApiError> {
        if !self.is_read {
            self.read_first(record).map_err(|fault| fault.at_line(record.line()))?;
            self.is_read = true;
            if self.options.first_row == FirstRow::Header {
                return Ok(());
            }
        }
        if record.bytes() + self.names_bytes > ITEM_BYTES_MAX {
            return Err(too_long(record.line()));
        }
        if record.width() < self.uses.len() {
            return Err(self.unexpected_width(record));
        }
        let mut object = String::with_capacity(record.bytes() + self.names_bytes + self.uses.len() * 6 + 2);
        for (at, field) in record.fields().enumerate() {
            let field = field?;
            match self.uses.get(at) {
                Some(ColumnUse::Kept(key)) => {
                    let field = if self.is_export { unmarked(field) } else { field };
                    object.push(if object.is_empty() { '{' } else { ',' });
                    object.push_str(key);
                    object.push_str(Json::string(field).as_str());
                }
                Some(ColumnUse::LeftOut) => {}
                // A spreadsheet ends rows with empty fields of columns that hold nothing.
                None if field.is_empty() => {}
                None if at < self.width => {
                    let column = at + 1;
                    return Err(ApiError::invalid(format!(
                        "Column {column} has no name in the header, and holds a value here."
                    ))
                    .at_line(record.line()));
                }
                None => return Err(self.unexpected_width(record)),
            }
        }
        object.push('}');
        into.push(Json::parse(&object).expect("an object of JSON strings is JSON"));
        if let Some(lines) = &mut self.lines {
            lines.push(record.line());
        }
        Ok(())
    }

    fn unexpected_width(&self, record: &CsvRecord<'_>) -> ApiError {
        let (expected, found) = (self.uses.len(), record.width());
        let detail = match self.options.first_row {
            FirstRow::Header => format!("Expected {expected} fields, as in the header, and found {found}."),
            FirstRow::Record => {
                format!("Expected {expected} fields, as in the first row, and found {found}.")
            }
        };
        ApiError::invalid(detail).at_line(record.line())
    }

    fn read_first(&mut self, record: &CsvRecord<'_>) -> Result<(), ApiError> {
        if record.width() > COLUMNS_MAX {
            return Err(ApiError::invalid(format!("The first row has more than {COLUMNS_MAX} columns.")));
        }
        self.width = record.width();
        let names = match self.options.first_row {
            FirstRow::Header => self.named(record)?,
            FirstRow::Record => (1..=record.width()).map(|at| format!("column_{at}")).collect(),
        };
        let kept = self.mapped(&names)?;
        let kept = self.distinct(kept)?;
        if kept.iter().all(Option::is_none) {
            return Err(ApiError::invalid("No column of the header is left: all of them are left out."));
        }
        for name in kept {
            self.uses.push(match name {
                None => ColumnUse::LeftOut,
                Some(name) => {
                    let key = format!("{}:", Json::string(&name).as_str());
                    self.names_bytes += name.len();
                    self.columns.push(name);
                    ColumnUse::Kept(key)
                }
            });
        }
        Ok(())
    }

    /// What each column is called in the records; none for one that is left out.
    fn mapped(&mut self, names: &[String]) -> Result<Vec<Option<String>>, ApiError> {
        if let Some(unknown) = self.options.columns.keys().find(|from| !names.contains(from)) {
            return Err(ApiError::invalid(format!("columns: the header has no column {unknown:?}.")));
        }
        let is_table_of_ours = names.iter().any(|name| EXPORTED_COLUMNS.contains(&name.as_str()));
        let mut after_ours = false;
        let mut kept = Vec::with_capacity(names.len());
        for name in names {
            let exported = EXPORTED_COLUMNS.contains(&name.as_str());
            let result = after_ours && (name == "result" || name.starts_with("result_"));
            after_ours |= exported;
            kept.push(match self.options.columns.get(name) {
                // Whoever names a column says what becomes of it, whosever it is.
                Some(to) => to.clone(),
                None if is_table_of_ours && (exported || result) => {
                    self.left_out.push(name.clone());
                    None
                }
                None => Some(name.clone()),
            });
        }
        Ok(kept)
    }

    /// The same names, none of them twice.
    fn distinct(&self, names: Vec<Option<String>>) -> Result<Vec<Option<String>>, ApiError> {
        let mut taken: HashSet<String> = names.iter().flatten().cloned().collect();
        let mut first_at: HashMap<String, usize> = HashMap::new();
        // The number up to which `name_2`, `name_3` and so on are known to be taken.
        let mut numbered: HashMap<String, usize> = HashMap::new();
        let mut distinct = Vec::with_capacity(names.len());
        for (at, name) in names.into_iter().enumerate() {
            let Some(name) = name else {
                distinct.push(None);
                continue;
            };
            let Some(first) = first_at.get(&name) else {
                first_at.insert(name.clone(), at + 1);
                distinct.push(Some(name));
                continue;
            };
            if self.options.duplicates == DuplicateColumns::Refused {
                let second = at + 1;
                return Err(ApiError::invalid(format!(
                    "Columns {first} and {second} are both named {name:?}: name one of them otherwise, or send the CSV with \
                     duplicate=rename."
                )));
            }
            let number = numbered.entry(name.clone()).or_insert(1);
            let renamed = loop {
                *number += 1;
                let renamed = format!("{name}_{number}");
                if taken.insert(renamed.clone()) {
                    break renamed;
                }
            };
            distinct.push(Some(renamed));
        }
        Ok(distinct)
    }

    /// The names in the header, without the empty ones at its end.
    fn named(&mut self, record: &CsvRecord<'_>) -> Result<Vec<String>, ApiError> {
        let mut names = Vec::with_capacity(record.width());
        for name in record.fields() {
            names.push(name?.to_owned());
        }
        let width = names.iter().rposition(|name| !name.is_empty()).map_or(0, |at| at + 1);
        let nameless = names[..width].iter().position(String::is_empty);
        if let Some(at) = nameless.or((width == 0).then_some(0)) {
            return Err(ApiError::invalid(format!("Column {} has no name in the header.", at + 1)));
        }
        names.truncate(width);
        self.is_export = EXPORTED_COLUMNS.iter().all(|own| names.iter().any(|name| name == own));
        if self.is_export {
            names.iter_mut().for_each(|name| *name = unmarked(name).to_owned());
        }
        Ok(names)
    }
}
