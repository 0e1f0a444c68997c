//! How a CSV is to be read: what parts its fields, whether it has a header, and what becomes of its columns.

use std::collections::BTreeMap;

use super::delimiter::read_delimiter;
use crate::formats::json_body::parse_setting;
use crate::protocol::{ApiError, Json};

/// How a CSV is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// What parts the fields: one ASCII character; none: guessed from the first rows.
    pub delimiter: Option<u8>,
    /// What the first row is.
    pub first_row: FirstRow,
    /// Columns of the header by name: what each is called in the records, or none where it is left out. One that is not
    /// here keeps its name.
    pub columns: BTreeMap<String, Option<String>>,
    /// What becomes of two columns of one name.
    pub duplicates: DuplicateColumns,
}

/// What the first row of a CSV is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstRow {
    /// The names of the columns.
    #[default]
    Header,
    /// A record: the columns are called `column_1`, `column_2` and so on.
    Record,
}

/// What becomes of columns of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DuplicateColumns {
    /// The CSV is refused.
    #[default]
    Refused,
    /// The later ones are called `name_2`, `name_3` and so on.
    Renamed,
}

impl CsvOptions {
    /// Reads one option as a query or a form brings it; false where there is none of this name. An empty text is the
    /// default.
    ///
    /// # Errors
    /// `invalid` or `malformed` with what was expected.
    pub fn set(&mut self, name: &str, text: &str) -> Result<bool, ApiError> {
        match name {
            // A tab would be trimmed away.
            "delimiter" => self.delimiter = read_delimiter(text)?,
            "header" => {
                self.first_row = match text.trim() {
                    "" | "true" => FirstRow::Header,
                    "false" => FirstRow::Record,
                    _ => return Err(ApiError::invalid("header: expected true or false.")),
                };
            }
            "duplicate" => {
                self.duplicates = match text.trim() {
                    "" | "refuse" => DuplicateColumns::Refused,
                    "rename" => DuplicateColumns::Renamed,
                    _ => return Err(ApiError::invalid("duplicate: expected refuse or rename.")),
                };
            }
            "columns" => self.columns = read_columns(text)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn read_columns(text: &str) -> Result<BTreeMap<String, Option<String>>, ApiError> {
    let expected = || {
        ApiError::invalid(
            "columns: expected a JSON object from names of the header to names, or to null for a column that is left out.",
        )
    };
    let Some(object) = parse_setting::<Json>("columns", Some(text))? else { return Ok(BTreeMap::new()) };
    let mut columns = BTreeMap::new();
    for (from, to) in object.members().ok_or_else(expected)? {
        let to: Option<String> = serde_json::from_str(to.as_str()).map_err(|_form| expected())?;
        if to.as_deref() == Some("") {
            return Err(ApiError::invalid(format!(
                "columns: {from:?} is given an empty name; null leaves a column out."
            )));
        }
        columns.insert(from, to);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_they_are_written() {
        let mut options = CsvOptions::default();
        for (name, text) in [
            ("delimiter", "\t"),
            ("header", "false"),
            ("duplicate", "rename"),
            ("columns", r#"{"a":"b","c":null}"#),
        ] {
            assert!(options.set(name, text).unwrap(), "{name}");
        }
        assert_eq!(options.delimiter, Some(b'\t'));
        assert_eq!((options.first_row, options.duplicates), (FirstRow::Record, DuplicateColumns::Renamed));
        let expected = BTreeMap::from([("a".to_owned(), Some("b".to_owned())), ("c".to_owned(), None)]);
        assert_eq!(options.columns, expected);
        assert!(!options.set("task", "x").unwrap());
        for (name, text) in [
            ("header", "yes"),
            ("duplicate", "drop"),
            ("columns", "[]"),
            ("columns", "{"),
            ("columns", r#"{"a":1}"#),
            ("columns", r#"{"a":""}"#),
        ] {
            assert!(options.set(name, text).is_err(), "{name}={text}");
        }
    }
}
