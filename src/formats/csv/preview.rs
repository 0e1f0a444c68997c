//! The first rows of a CSV, before anything is submitted.
//!
//! Read by the same code as a submit: what the preview shows is what the batch will get.

use std::collections::BTreeMap;

use super::decoder::{CsvDecoder, seen_delimiter};
use super::options::{CsvOptions, FirstRow};
use crate::formats::encoding::{NulBytes, TextEncoding, Transcoder, looks_like_windows_1252};
use crate::protocol::{ApiError, Json};

/// The first bytes of a CSV, and how they are to be read.
#[derive(Clone, Debug)]
pub struct CsvHead<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Nothing comes after them.
    pub is_whole: bool,
    /// The encoding that was asked for.
    pub encoding: TextEncoding,
    /// What the first row was said to be; none: by the look of it.
    pub first_row: Option<FirstRow>,
    /// What else was asked for.
    pub options: CsvOptions,
}

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
    /// The columns as they are called in the file, without those of an export.
    pub header: Vec<String>,
    /// Columns that an export had added, and that are left out.
    pub left_out: Vec<String>,
    /// All rows in the bytes, each with a field per column of `header`.
    pub rows: Vec<Vec<String>>,
    /// The same as items, as a submit would make them.
    pub items: Vec<Json>,
    /// The line on which each begins, from 1.
    pub lines: Vec<u64>,
}

impl CsvPreview {
    /// True where the first row names the columns.
    #[must_use]
    pub fn has_header(&self) -> bool {
        self.first_row == FirstRow::Header
    }
}

/// Reads the rows in the first bytes of a file; one that is cut off at their end is left out. Where a setting is missing,
/// the bytes decide.
///
/// # Errors
/// `invalid` with the line, as the submit would answer it.
pub fn csv_preview(head: CsvHead<'_>) -> Result<CsvPreview, ApiError> {
    let CsvHead { bytes, is_whole, encoding, first_row, mut options } = head;
    let encoding = if encoding == TextEncoding::Auto { seen_encoding(bytes) } else { encoding };
    let mut transcoder = Transcoder::new(encoding, NulBytes::MeanUtf16);
    let text = whole_text(&mut transcoder, bytes, is_whole)?;
    options.delimiter.get_or_insert_with(|| seen_delimiter(&text));
    options.first_row = first_row.unwrap_or_else(|| seen_first_row(&text, &options));
    let mut mapped = CsvDecoder::new(options.clone()).keeping_lines();
    let items = decoded(&mut mapped, &text, is_whole)?;
    let mut original = CsvDecoder::new(CsvOptions { columns: BTreeMap::new(), ..options.clone() });
    let rows = decoded(&mut original, &text, is_whole)?;
    Ok(CsvPreview {
        delimiter: char::from(mapped.delimiter().unwrap_or(b',')),
        encoding: transcoder.encoding().unwrap_or(TextEncoding::Utf8),
        first_row: options.first_row,
        header: original.columns().to_vec(),
        left_out: mapped.left_out().to_vec(),
        rows: rows.iter().filter_map(texts).collect(),
        lines: mapped.take_lines(),
        items,
    })
}

/// The bytes as text.
fn whole_text(transcoder: &mut Transcoder, bytes: &[u8], is_whole: bool) -> Result<Vec<u8>, ApiError> {
    let (text, fault) = transcoder.push(bytes);
    let mut text = text.into_owned();
    let fault = fault.and_then(|()| {
        // Short bytes are held back until they are known to be all; a character that the end cuts is no fault.
        if !is_whole && transcoder.encoding().is_some() {
            return Ok(());
        }
        let (rest, fault) = transcoder.finish();
        text.extend_from_slice(&rest);
        fault
    });
    let line = memchr::memchr_iter(b'\n', &text).count() as u64 + 1;
    fault.map_err(|fault| fault.at_line(line))?;
    Ok(text)
}

/// The items of a text; where it goes on, what its end cuts off is left out.
fn decoded(decoder: &mut CsvDecoder, text: &[u8], is_whole: bool) -> Result<Vec<Json>, ApiError> {
    let mut items = Vec::new();
    decoder.push(text, &mut items)?;
    // A header that cannot be read is a fault, wherever the bytes end.
    if is_whole || decoder.columns().is_empty() {
        decoder.finish(&mut items)?;
    }
    Ok(items)
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

fn texts(item: &Json) -> Option<Vec<String>> {
    let members = item.members()?;
    Some(members.into_iter().map(|(_name, value)| value.display_text()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> CsvHead<'_> {
        let (encoding, options) = (TextEncoding::Auto, CsvOptions::default());
        CsvHead { bytes, is_whole: true, encoding, first_row: None, options }
    }

    fn preview(bytes: &[u8]) -> Result<CsvPreview, ApiError> {
        csv_preview(head(bytes))
    }

    #[test]
    fn a_preview_shows_what_was_read() {
        let shown = preview(b"\xEF\xBB\xBFname;age\nada;36\n\nbob;7").unwrap();
        assert_eq!((shown.delimiter, shown.encoding), (';', TextEncoding::Utf8));
        assert_eq!(shown.header, ["name", "age"]);
        assert_eq!(shown.rows, [["ada", "36"], ["bob", "7"]]);
        assert_eq!(shown.lines, [2, 4]);
        assert_eq!(shown.items[1].as_str(), r#"{"name":"bob","age":"7"}"#);
        let ragged = format!("a,b\n{}3\n", "1,2\n".repeat(500));
        assert_eq!(preview(ragged.as_bytes()).unwrap_err().line, Some(502), "wherever it is");
    }

    #[test]
    fn what_the_end_cuts_off_is_no_fault() {
        let cut = |bytes| csv_preview(CsvHead { is_whole: false, ..head(bytes) });
        assert_eq!(cut(b"a,b\n1,2\n3").unwrap().rows, [["1", "2"]]);
        assert_eq!(cut(b"a,b\n1,2\n\"3").unwrap().rows, [["1", "2"]]);
        assert_eq!(preview(b"a,b\n1,2\n3").unwrap_err().line, Some(3));
        assert!(preview(b"a,b\n1,2\n\"3").is_err());
    }

    #[test]
    fn columns_are_called_otherwise_or_left_out() {
        let mut options = CsvOptions::default();
        options.set("columns", r#"{"a":"b","c":null}"#).unwrap();
        let seen = csv_preview(CsvHead { options, ..head(b"a,c,d\n1,2,3\n") }).unwrap();
        assert_eq!(
            (&seen.header[..], seen.items[0].as_str()),
            (&["a", "c", "d"].map(String::from)[..], r#"{"b":"1","d":"3"}"#)
        );
        assert_eq!(seen.rows, [["1", "2", "3"]]);
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
        let bytes = "name\nZoë".as_bytes().split_last().unwrap().1;
        let cut = csv_preview(CsvHead { is_whole: false, ..head(bytes) }).unwrap();
        assert_eq!(cut.encoding, TextEncoding::Utf8);
    }

    #[test]
    fn a_first_row_of_data_is_seen() {
        let shown = preview(b"1,ada\n2,bob\n").unwrap();
        assert_eq!(shown.first_row, FirstRow::Record);
        assert_eq!(shown.header, ["column_1", "column_2"]);
        assert_eq!(shown.rows.len(), 2);
        let said = csv_preview(CsvHead { first_row: Some(FirstRow::Header), ..head(b"1,ada\n") }).unwrap();
        assert_eq!(said.header, ["1", "ada"]);
    }

    #[test]
    fn what_an_export_added_is_told() {
        let shown =
            preview(b"id,milepost_seq,milepost_state,milepost_error,result\n7,1,failed,x,\n").unwrap();
        assert_eq!(shown.header, ["id"]);
        assert_eq!(shown.left_out.len(), 4);
    }
}
