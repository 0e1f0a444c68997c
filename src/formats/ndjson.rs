//! NDJSON into items: one JSON value a line.
//!
//! A value is kept as it was written, and not looked into but for what no item may be.

use super::item_kind::check_value;
use super::lines::{LineCutter, LineSink, utf8};
use crate::protocol::{ApiError, InputKind, Json};

/// Chunks into JSON values.
#[derive(Debug)]
pub struct NdjsonDecoder {
    lines: LineCutter,
    input: InputKind,
}

struct NdjsonLines<'a> {
    input: InputKind,
    into: &'a mut Vec<Json>,
}

impl LineSink for NdjsonLines<'_> {
    fn line(&mut self, number: u64, bytes: &[u8]) -> Result<(), ApiError> {
        let text = utf8(bytes, number)?;
        if text.trim_matches([' ', '\t', '\r']).is_empty() {
            return Ok(());
        }
        let value = Json::parse(text).map_err(|fault| {
            let column = fault.column();
            ApiError::invalid(format!("Expected one JSON value; column {column} is none.")).at_line(number)
        })?;
        check_value(self.input, &value).map_err(|fault| fault.at_line(number))?;
        self.into.push(value);
        Ok(())
    }
}

impl NdjsonDecoder {
    /// For items of kind `input`.
    pub fn new(input: InputKind) -> Self {
        Self { lines: LineCutter::default(), input }
    }

    /// Reads a chunk; items before a fault go `into` too.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<Json>) -> Result<(), ApiError> {
        self.lines.push(bytes, &mut NdjsonLines { input: self.input, into })
    }

    /// The stream has ended.
    pub fn finish(&mut self, into: &mut Vec<Json>) -> Result<(), ApiError> {
        self.lines.finish(&mut NdjsonLines { input: self.input, into })
    }

    /// Lines that ended so far.
    pub fn lines(&self) -> u64 {
        self.lines.ended()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::ErrorCode;

    fn decode<'a>(
        input: InputKind,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<String>, ApiError> {
        let (mut decoder, mut items) = (NdjsonDecoder::new(input), Vec::new());
        for chunk in chunks {
            decoder.push(chunk, &mut items)?;
        }
        decoder.finish(&mut items)?;
        Ok(items.iter().map(|item| item.as_str().to_owned()).collect())
    }

    #[test]
    fn values_stay_as_written() {
        let body = b"\xEF\xBB\xBF{\"b\":1.10,\"a\":2}\r\n\n  \"x\" \n7";
        assert_eq!(decode(InputKind::Line, [&body[..]]).unwrap(), [r#"{"b":1.10,"a":2}"#, r#""x""#, "7"]);
    }

    #[test]
    fn faults_name_their_line() {
        for (input, body, line) in [
            (InputKind::Line, &b"1\n\n{\"a\":"[..], 3),
            (InputKind::Line, b"1 2\n", 1),
            (InputKind::Record, b"{}\n[]\n", 2),
            (InputKind::Line, b"\"\\ud83d\\ude00\"\n\"\\ud83d\"\n", 2),
        ] {
            let fault = decode(input, [body]).unwrap_err();
            assert_eq!((fault.code, fault.line), (ErrorCode::Invalid, Some(line)));
        }
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            values in proptest::collection::vec("[a-zé\"\\\\]{0,8}", 0..8),
            cut in 1usize..7,
        ) {
            let expected: Vec<String> = values.iter().map(|text| Json::string(text).as_str().to_owned()).collect();
            let body = expected.join("\n");
            prop_assert_eq!(decode(InputKind::Line, body.as_bytes().chunks(cut)).unwrap(), expected);
        }
    }
}
