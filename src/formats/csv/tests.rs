//! Tests of the CSV decoder: quirks by example, chunking and agreement with the `csv` crate by property.
//!
//! What the `csv` crate reads from well-formed text, the decoder reads too.

use proptest::prelude::*;

use super::decoder::CsvDecoder;
use super::options::{CsvOptions, DuplicateColumns, FirstRow};
use crate::protocol::limits::{COLUMNS_MAX, ITEM_BYTES_MAX};
use crate::protocol::{ApiError, ErrorCode};

fn decode<'a>(
    delimiter: u8,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<String>, Vec<String>), ApiError> {
    read(CsvOptions { delimiter: Some(delimiter), ..CsvOptions::default() }, chunks)
}

fn read<'a>(
    options: CsvOptions,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<String>, Vec<String>), ApiError> {
    let (mut decoder, mut items) = (CsvDecoder::new(options), Vec::new());
    for chunk in chunks {
        decoder.push(chunk, &mut items)?;
    }
    decoder.finish(&mut items)?;
    let texts = items.iter().map(|item| item.as_str().to_owned()).collect();
    Ok((decoder.columns().to_vec(), texts))
}

#[test]
fn records_are_objects_in_header_order() {
    let body = "\u{feff}name,age\r\nada,36\r\n\r\n\"a \"\"b\"\",\r\nc\",\n\"\",\"\"";
    let (columns, items) = decode(b',', [body.as_bytes()]).unwrap();
    assert_eq!(columns, ["name", "age"]);
    assert_eq!(
        items,
        [r#"{"name":"ada","age":"36"}"#, r#"{"name":"a \"b\",\r\nc","age":""}"#, r#"{"name":"","age":""}"#]
    );
}

#[test]
fn other_delimiters_and_old_line_ends_are_read() {
    assert_eq!(decode(b';', [&b"a;b\r1;2,0\r"[..]]).unwrap().1, [r#"{"a":"1","b":"2,0"}"#]);
    assert_eq!(decode(b'\t', [&b"z\ta\n1\t2\n"[..]]).unwrap().1, [r#"{"z":"1","a":"2"}"#]);
    assert!(decode(b',', [&b""[..]]).unwrap().0.is_empty());
    assert_eq!(decode(b',', [&b"a,b"[..]]).unwrap(), (vec!["a".to_owned(), "b".to_owned()], vec![]));
}

#[test]
fn faults_name_the_line_on_which_the_record_begins() {
    for (body, line) in [
        (&b"a,b\n1,2\n3\n"[..], 3),
        (b"a,b\r\n1,2\r\n3,4,5\r\n", 3),
        (b"a,b\n\"1\n\n\",2\n\nx\n", 6),
        (b"a,b\n\"1\r\n\r\n\",2\r\nx\r\n", 5),
        (b"a,b\n1,2\n3,\"open\n\n", 3),
        (b"a,a\n", 1),
        (b"\n\n,a\n", 3),
        (b"a,,\n1,,\n1,,2\n", 3),
        (b"a,b\n1,2,\n1,2,3\n", 3),
        (b",,\n1,2,3\n", 1),
        (b"a\n\xFF\n", 2),
        (b"a,b\nx\xC3,\xA9y\n", 2),
    ] {
        let fault = decode(b',', [body]).unwrap_err();
        assert_eq!((fault.code, fault.line), (ErrorCode::Invalid, Some(line)), "{body:?}");
    }
}

#[test]
fn columns_with_neither_name_nor_content_are_left_out() {
    let (columns, items) = decode(b',', [&b"id,name,,\n1,Ada,,\n2,Bob,,\n"[..]]).unwrap();
    assert_eq!(columns, ["id", "name"]);
    assert_eq!(items, [r#"{"id":"1","name":"Ada"}"#, r#"{"id":"2","name":"Bob"}"#]);
    assert_eq!(decode(b',', [&b"a,b\n1,2,,\n"[..]]).unwrap().1, [r#"{"a":"1","b":"2"}"#]);
    let fault = decode(b',', [&b"a,,\n1,,2\n"[..]]).unwrap_err();
    assert!(fault.detail.contains("Column 3 has no name"), "{fault}");
}

#[test]
fn columns_of_an_export_are_left_out() {
    let exported =
        b"id,age,milepost_seq,milepost_state,milepost_error,valid,result_valid,milepost_seq,milepost_state,\
                     milepost_error,result\n1,x,1,failed,e,,,2,failed,e,\n";
    let (columns, items) = decode(b',', [&exported[..]]).unwrap();
    assert_eq!(columns, ["id", "age", "valid"]);
    assert_eq!(items, [r#"{"id":"1","age":"x","valid":""}"#]);
    // The results of others are theirs.
    assert_eq!(decode(b',', [&b"result,result_a\n1,2\n"[..]]).unwrap().0, ["result", "result_a"]);
    assert_eq!(decode(b',', [&b"milepost_seq\n1\n"[..]]).unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn columns_of_one_name_are_refused_or_renamed() {
    let body = &b"a,b,a,a_2,a\n1,2,3,4,5\n"[..];
    let fault = decode(b',', [body]).unwrap_err();
    assert!(fault.detail.starts_with(r#"Columns 1 and 3 are both named "a""#), "{fault}");
    let options = CsvOptions { duplicates: DuplicateColumns::Renamed, ..CsvOptions::default() };
    assert_eq!(read(options, [body]).unwrap().0, ["a", "b", "a_3", "a_2", "a_4"]);
}

#[test]
fn columns_are_renamed_and_left_out_as_asked() {
    let mapped = |columns: &str| {
        let mut options = CsvOptions::default();
        options.set("columns", columns).unwrap();
        read(options, [&b"a,b,milepost_seq\n1,2,3\n"[..]])
    };
    let (columns, items) = mapped(r#"{"a":"id","b":null,"milepost_seq":"seq"}"#).unwrap();
    assert_eq!(columns, ["id", "seq"]);
    assert_eq!(items, [r#"{"id":"1","seq":"3"}"#]);
    assert!(mapped(r#"{"c":"d"}"#).unwrap_err().detail.contains(r#"no column "c""#));
    assert!(mapped(r#"{"a":"b"}"#).unwrap_err().detail.contains("Columns 1 and 2"));
    assert!(mapped(r#"{"a":null,"b":null}"#).is_err());
}

#[test]
fn a_table_without_a_header_has_numbered_columns() {
    let options = CsvOptions { first_row: FirstRow::Record, ..CsvOptions::default() };
    let (columns, items) = read(options, [&b"1;a\n2;b\n"[..]]).unwrap();
    assert_eq!(columns, ["column_1", "column_2"]);
    assert_eq!(items, [r#"{"column_1":"1","column_2":"a"}"#, r#"{"column_1":"2","column_2":"b"}"#]);
}

#[test]
fn bounds_hold_without_an_end_in_sight() {
    let mut body = b"a\n\"".to_vec();
    body.resize(ITEM_BYTES_MAX + 10, b'\n');
    let fault = decode(b',', [&body[..]]).unwrap_err();
    assert_eq!((fault.code, fault.line), (ErrorCode::TooLarge, Some(2)));
    let fault = decode(b',', [&vec![b','; COLUMNS_MAX + 5][..]]).unwrap_err();
    assert_eq!(fault.code, ErrorCode::Invalid);
}

proptest! {
    #[test]
    fn chunking_changes_nothing_and_the_csv_crate_agrees(
        rows in proptest::collection::vec(proptest::collection::vec("[a-z\",;\r\né ]{0,5}", 3), 1..6),
        crlf in any::<bool>(),
        cut in 1usize..6,
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["x", "y", "z"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let body = writer.into_inner().unwrap();
        let (_, whole) = decode(b',', [&body[..]]).unwrap();
        let (_, pieces) = decode(b',', body.chunks(cut)).unwrap();
        prop_assert_eq!(&whole, &pieces);
        let expected: Vec<serde_json::Value> = rows
            .iter()
            .map(|row| serde_json::json!({"x": row[0], "y": row[1], "z": row[2]}))
            .collect();
        let found: Vec<serde_json::Value> =
            whole.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_upset_it(body in proptest::collection::vec(any::<u8>(), 0..64), cut in 1usize..9) {
        let whole = decode(b',', [&body[..]]);
        let pieces = decode(b',', body.chunks(cut));
        prop_assert_eq!(whole, pieces);
        let whole = read(CsvOptions::default(), [&body[..]]);
        let pieces = read(CsvOptions::default(), body.chunks(cut));
        prop_assert_eq!(whole, pieces);
    }
}

#[test]
fn cells_of_an_export_come_back_as_they_were() {
    let body = "'=col,milepost_seq,milepost_state,milepost_error,result\n'=1+1,1,succeeded,,'@x\n''=2,2,failed,,\n'tis,3,failed,,\n";
    let (columns, items) = decode(b',', [body.as_bytes()]).unwrap();
    assert_eq!(columns, ["=col"]);
    assert_eq!(items, [r#"{"=col":"=1+1"}"#, r#"{"=col":"'=2"}"#, r#"{"=col":"'tis"}"#]);
    // Any other table says what it says.
    let (_columns, items) = decode(b',', [&b"a,milepost_seq\n'=1,1\n"[..]]).unwrap();
    assert_eq!(items, [r#"{"a":"'=1"}"#]);
}
