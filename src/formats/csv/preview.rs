//! The first rows of a CSV, before anything is submitted.
//!
//! Read by the same code as a submit: what the preview shows is what the batch will get.

use super::decoder::{CsvDecoder, seen_delimiter};
use super::options::{CsvOptions, FirstRow};
use crate::formats::encoding::{NulBytes, TextEncoding, Transcoder, looks_like_windows_1252};
use crate::protocol::ApiError;

/// Rows of a preview at most; more are left out.
pub const PREVIEW_ROWS_MAX: usize = 20;

/// The first rows of a CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvPreview {
    /// What parts the fields.
    pub delimiter: char,
    /// The encoding in which it was read. Where none was asked for and the bytes are no UTF-8, the one that they look
    /// like: a submit needs to be told.
    pub encoding: TextEncoding,
    /// Whether the first row names the columns: as it was asked for, or by the look of it.
    pub first_row: FirstRow,
    /// The columns, as they are called in the records.
    pub columns: Vec<String>,
    /// Columns that an export had added, and that are left out.
    pub left_out: Vec<String>,
    /// At most [`PREVIEW_ROWS_MAX`] rows, each with a field per column.
    pub rows: Vec<Vec<String>>,
}

impl CsvPreview {
    /// True where the first row names the columns.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.first_row == FirstRow::Header
    }
}

/// Reads the first rows from the first bytes of a file; what is cut off at their end is left out. The settings are those
/// of a form: where one is empty, the bytes decide.
///
/// # Errors
/// `invalid` with the line, as the submit would answer it; `invalid` for a setting.
pub fn csv_preview(
    bytes: &[u8],
    delimiter: &str,
    encoding: &str,
    header: &str,
) -> Result<CsvPreview, ApiError> {
    let mut options = CsvOptions::default();
    options.set("delimiter", delimiter)?;
    options.set("header", header)?;
    let encoding = TextEncoding::read(encoding)?;
    let encoding = if encoding == TextEncoding::Auto { seen_encoding(bytes) } else { encoding };
    let mut transcoder = Transcoder::new(encoding, NulBytes::MeanUtf16);
    let (text, fault) = transcoder.push(bytes);
    fault?;
    let mut text = text.into_owned();
    if transcoder.encoding().is_none() {
        let (rest, fault) = transcoder.finish();
        fault?;
        text.extend_from_slice(&rest);
    }
    // Known before the rows are read, so that a fault in them is told from one of the end.
    options.delimiter.get_or_insert_with(|| seen_delimiter(&text));
    if header.is_empty() {
        options.first_row = seen_first_row(&text, &options);
    }
    let mut decoder = CsvDecoder::new(options.clone());
    let mut items = Vec::new();
    let read = decoder.push(&text, &mut items);
    // A short file without an ending shows its last row too; a cut one fails here, and that is no fault.
    if read.is_ok() && items.len() < PREVIEW_ROWS_MAX {
        let mut last = Vec::new();
        let finished = decoder.finish(&mut last);
        items.append(&mut last);
        // A header that cannot be read is a fault, wherever the bytes end.
        if decoder.columns().is_empty() {
            finished?;
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
    Ok(CsvPreview {
        delimiter: char::from(decoder.delimiter().unwrap_or(b',')),
        encoding: transcoder.encoding().unwrap_or(TextEncoding::Utf8),
        first_row: options.first_row,
        left_out: decoder.left_out().to_vec(),
        columns,
        rows,
    })
}

/// What bytes of no named encoding are to be read as: windows-1252 where they cannot be anything else.
fn seen_encoding(bytes: &[u8]) -> TextEncoding {
    let is_marked = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF");
    match std::str::from_utf8(bytes) {
        // A character that the end of the bytes cuts is none of another encoding.
        Err(fault) if fault.error_len().is_some() && !is_marked && looks_like_windows_1252(bytes) => {
            TextEncoding::Windows1252
        }
        Ok(_) | Err(_) => TextEncoding::Auto,
    }
}

/// A first row that holds a number names no columns.
fn seen_first_row(text: &[u8], options: &CsvOptions) -> FirstRow {
    let mut decoder = CsvDecoder::new(CsvOptions {
        delimiter: options.delimiter,
        first_row: FirstRow::Record,
        ..CsvOptions::default()
    });
    let mut items = Vec::new();
    // Faults end the look; the first row is there before them.
    let _looked_at = decoder.push(text, &mut items).and_then(|()| decoder.finish(&mut items));
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok_and(f64::is_finite);
    let first = items.first().and_then(texts);
    match first {
        Some(fields) if fields.iter().any(|field| is_number(field)) => FirstRow::Record,
        Some(_) | None => FirstRow::Header,
    }
}

fn texts(item: &crate::protocol::Json) -> Option<Vec<String>> {
    let members = item.members()?;
    Some(members.into_iter().map(|(_name, value)| value.display_text()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(bytes: &[u8]) -> Result<CsvPreview, ApiError> {
        csv_preview(bytes, "", "", "")
    }

    #[test]
    fn a_preview_shows_what_was_read() {
        let shown = preview(b"\xEF\xBB\xBFname;age\nada;36\nbob;7").unwrap();
        assert_eq!((shown.delimiter, shown.encoding), (';', TextEncoding::Utf8));
        assert_eq!(shown.columns, ["name", "age"]);
        assert_eq!(shown.rows, [["ada", "36"], ["bob", "7"]]);
        let long = format!("n\n{}\"cut", "x\n".repeat(50));
        assert_eq!(preview(long.as_bytes()).unwrap().rows.len(), PREVIEW_ROWS_MAX);
        assert_eq!(preview(b"a,b\n1\n").unwrap_err().line, Some(2));
    }

    #[test]
    fn the_encoding_is_told() {
        let latin = preview(b"id,name\n1,Zo\xEB\n2,J\xFCrgen\n").unwrap();
        assert_eq!(latin.encoding, TextEncoding::Windows1252);
        assert_eq!(latin.rows, [["1", "Zoë"], ["2", "Jürgen"]]);
        let utf16: Vec<u8> = "\u{feff}id\tname\n1\tZoë\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let wide = preview(&utf16).unwrap();
        assert_eq!((wide.encoding, wide.delimiter), (TextEncoding::Utf16Le, '\t'));
        assert_eq!(wide.rows, [["1", "Zoë"]]);
        let cut = preview("name\nZoë".as_bytes().split_last().unwrap().1).unwrap();
        assert_eq!(cut.encoding, TextEncoding::Utf8);
    }

    #[test]
    fn a_first_row_of_data_is_seen() {
        let shown = preview(b"1,ada\n2,bob\n").unwrap();
        assert_eq!(shown.first_row, FirstRow::Record);
        assert_eq!(shown.columns, ["column_1", "column_2"]);
        assert_eq!(shown.rows.len(), 2);
        assert_eq!(csv_preview(b"1,ada\n", "", "", "true").unwrap().columns, ["1", "ada"]);
    }

    #[test]
    fn what_an_export_added_is_told() {
        let shown =
            preview(b"id,milepost_seq,milepost_state,milepost_error,result\n7,1,failed,x,\n").unwrap();
        assert_eq!(shown.columns, ["id"]);
        assert_eq!(shown.left_out.len(), 4);
    }
}
