//! The first rows of a CSV, before anything is submitted.
//!
//! Read by the same decoder as a submit: what the preview shows is what the batch will get.

use serde::{Deserialize, Serialize};

use super::decoder::CsvDecoder;
use super::delimiter::guess_delimiter;
use crate::protocol::ApiError;

/// Rows of a preview at most; more are left out.
pub const PREVIEW_ROWS_MAX: usize = 20;

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

#[cfg(test)]
mod tests {
    use super::*;

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
