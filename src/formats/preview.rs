//! The first rows of a CSV, before anything is submitted.
//!
//! Owns the guess of the delimiter. Called by the page that makes a batch, and by forms that name no delimiter.
//! Invariant: it reads exactly as the submit would. Deliberately looks at the first bytes only.

use serde::{Deserialize, Serialize};

use super::csv::{CsvDecoder, CsvReader};
use crate::protocol::ApiError;

/// Rows of a preview at most; more are left out.
pub const PREVIEW_ROWS_MAX: usize = 20;
/// Rows that a guess looks at.
const GUESS_ROWS_MAX: usize = 10;
/// What fields may be parted by, the likeliest first.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// The first rows of a CSV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvPreview {
    /// What parts the fields.
    pub delimiter: char,
    /// The header.
    pub columns: Vec<String>,
    /// At most [`PREVIEW_ROWS_MAX`] rows, each with a field per column.
    pub rows: Vec<Vec<String>>,
}

/// Reads the first rows from the first bytes of a file; what is cut off at their end is left out.
///
/// # Errors
/// `invalid` with the line, as the submit would answer it.
pub fn csv_preview(bytes: &[u8]) -> Result<CsvPreview, ApiError> {
    let delimiter = guess_delimiter(bytes);
    let mut decoder = CsvDecoder::new(delimiter);
    let mut items = Vec::new();
    let read = decoder.push(bytes, &mut items);
    // A short file without an ending shows its last row too; a cut one fails here, and that is no fault.
    if read.is_ok() && items.len() < PREVIEW_ROWS_MAX {
        let mut last = Vec::new();
        if decoder.finish(&mut last).is_ok() {
            items.append(&mut last);
        }
    }
    if items.len() < PREVIEW_ROWS_MAX {
        read?;
    }
    let columns = decoder.columns().to_vec();
    let rows = items
        .iter()
        .take(PREVIEW_ROWS_MAX)
        .map(|item| {
            let record = item.to_value();
            columns.iter().map(|name| record[name].as_str().unwrap_or_default().to_owned()).collect()
        })
        .collect();
    Ok(CsvPreview { delimiter: char::from(delimiter), columns, rows })
}

/// The delimiter that parts most rows into as many fields as the first, more than one.
pub fn guess_delimiter(bytes: &[u8]) -> u8 {
    let score = |delimiter: char| {
        let mut widths = Vec::new();
        let mut reader = CsvReader::new(delimiter as u8);
        // Faults end the look; what came before them counts.
        let _looked_at = reader.push(bytes, |record| {
            widths.push(record.width());
            if widths.len() == GUESS_ROWS_MAX { Err(ApiError::invalid("enough")) } else { Ok(()) }
        });
        if widths.is_empty() {
            let _looked_at = reader.finish(|record| {
                widths.push(record.width());
                Ok(())
            });
        }
        let first = widths.first().copied().unwrap_or(0);
        let alike = widths.iter().filter(|width| **width == first).count();
        if first > 1 { alike * 1_000 + first } else { 0 }
    };
    let mut best = (DELIMITERS[0], 0);
    for delimiter in DELIMITERS {
        let found = score(delimiter);
        if found > best.1 {
            best = (delimiter, found);
        }
    }
    best.0 as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_guessed() {
        for (bytes, delimiter) in [
            ("a,b\n1,2\n", ','),
            ("a;b\n1,5;2,5\n3,1;4,1\n", ';'),
            ("a\tb\n1\t2\n", '\t'),
            ("a|b|c\n1|2|3\n", '|'),
            ("alone\n1\n", ','),
            ("\"a;b\",c\n1,2\n", ','),
            ("a;b", ';'),
        ] {
            assert_eq!(char::from(guess_delimiter(bytes.as_bytes())), delimiter, "{bytes:?}");
        }
    }

    #[test]
    fn a_preview_shows_what_was_read() {
        let shown = csv_preview(b"\xEF\xBB\xBFname;age\nada;36\nbob;7").unwrap();
        assert_eq!(shown.columns, ["name", "age"]);
        assert_eq!(shown.rows, [["ada", "36"], ["bob", "7"]]);
        let long = format!("n\n{}\"cut", "x\n".repeat(50));
        assert_eq!(csv_preview(long.as_bytes()).unwrap().rows.len(), PREVIEW_ROWS_MAX);
        assert_eq!(csv_preview(b"a,b\n1\n").unwrap_err().line, Some(2));
    }
}
