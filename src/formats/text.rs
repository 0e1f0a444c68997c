//! Plain text into items: one a line.
//!
//! A line is kept as it came, but for its ending: a blank is text. Empty lines are no items.

use super::lines::{LineCutter, LineSink, utf8};
use crate::protocol::{ApiError, Json};

/// Chunks into JSON strings.
#[derive(Debug, Default)]
pub struct TextDecoder {
    lines: LineCutter,
}

struct Strings<'a>(&'a mut Vec<Json>);

impl LineSink for Strings<'_> {
    fn line(&mut self, number: u64, bytes: &[u8]) -> Result<(), ApiError> {
        self.0.push(Json::string(utf8(bytes, number)?));
        Ok(())
    }
}

impl TextDecoder {
    /// Reads a chunk; items before a fault go `into` too.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<Json>) -> Result<(), ApiError> {
        self.lines.push(bytes, &mut Strings(into))
    }

    /// The stream has ended.
    pub fn finish(&mut self, into: &mut Vec<Json>) -> Result<(), ApiError> {
        self.lines.finish(&mut Strings(into))
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
    use crate::protocol::limits::ITEM_BYTES_MAX;

    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, ApiError> {
        let (mut decoder, mut items) = (TextDecoder::default(), Vec::new());
        for chunk in chunks {
            decoder.push(chunk, &mut items)?;
        }
        decoder.finish(&mut items)?;
        Ok(items.iter().map(Json::display_text).collect())
    }

    #[test]
    fn one_item_a_line() {
        let bytes = b"\xEF\xBB\xBFa\r\n\n\r\n b \nc\rd\nlast";
        assert_eq!(decode([&bytes[..]]).unwrap(), ["a", " b ", "c\rd", "last"]);
        assert!(decode([&b"\xEF\xBB\xBF\r\n"[..]]).unwrap().is_empty());
    }

    #[test]
    fn faults_name_their_line() {
        let fault = decode([&b"a\n\nb\n\xFF\nc"[..]]).unwrap_err();
        assert_eq!((fault.code, fault.line), (ErrorCode::Invalid, Some(4)));
        let long = vec![b'x'; ITEM_BYTES_MAX + 1];
        let fault = decode([&b"a\n"[..], &long, b"\n"]).unwrap_err();
        assert_eq!((fault.code, fault.line), (ErrorCode::TooLarge, Some(2)));
        assert_eq!(decode([&long[1..], b"\r\n"]).unwrap().len(), 1);
        let endless = vec![b'x'; ITEM_BYTES_MAX * 2];
        assert_eq!(decode([&endless[..]]).unwrap_err().line, Some(1), "without waiting for an ending");
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            lines in proptest::collection::vec("[a-zé\r ]{0,6}", 0..12),
            ending in prop_oneof![Just("\n"), Just("\r\n")],
            cut in 1usize..7,
        ) {
            let text = lines.join(ending);
            let whole = decode([text.as_bytes()]).unwrap();
            prop_assert_eq!(&decode(text.as_bytes().chunks(cut)).unwrap(), &whole);
            let expected: Vec<&str> = text
                .split('\n')
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .filter(|line| !line.is_empty())
                .collect();
            prop_assert_eq!(whole, expected);
        }
    }
}
