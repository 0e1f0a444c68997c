//! The encodings in which spreadsheets and editors save text, into UTF-8 as the bytes come.
//!
//! A byte order mark decides where nothing else was asked for. Any chunking of the same bytes gives the same text.

use std::borrow::Cow;

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::protocol::ApiError;

/// The encoding of a text, as it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextEncoding {
    /// What the byte order mark says; UTF-8 without one.
    #[default]
    Auto,
    /// UTF-8, strictly.
    Utf8,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
    /// Windows-1252, which also reads ISO 8859-1: what Excel calls CSV on a western Windows.
    Windows1252,
}

impl TextEncoding {
    /// The name by which it is asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// The encoding named `text`, in any case; an empty one is [`TextEncoding::Auto`].
    ///
    /// # Errors
    /// `invalid` with the names that there are.
    pub fn read(text: &str) -> Result<Self, ApiError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::Auto);
        }
        [Self::Auto, Self::Utf8, Self::Utf16Le, Self::Utf16Be, Self::Windows1252]
            .into_iter()
            .find(|encoding| encoding.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                ApiError::invalid("encoding: expected auto, utf-8, utf-16le, utf-16be or windows-1252.")
            })
    }
}

/// Byte order marks, and what they say.
const MARKS: [(&[u8], TextEncoding); 3] = [
    (b"\xEF\xBB\xBF", TextEncoding::Utf8),
    (b"\xFF\xFE", TextEncoding::Utf16Le),
    (b"\xFE\xFF", TextEncoding::Utf16Be),
];
/// Bytes of which every second is NUL, from which on a table without a mark is taken for UTF-16.
const NUL_PATTERN_BYTES: usize = 4;

/// Whether UTF-16 is also known by its NUL bytes where it has no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NulBytes {
    /// Yes: in a table no NUL is text.
    MeanUtf16,
    /// No: they are text.
    AreText,
}

/// Chunks in any encoding into chunks of UTF-8.
pub struct Transcoder {
    asked: TextEncoding,
    nul_bytes: NulBytes,
    state: TranscoderState,
}

enum TranscoderState {
    /// These first bytes do not tell yet.
    Start(Vec<u8>),
    /// UTF-8: bytes pass as they are, their mark too; whoever reads them checks them and knows the line.
    Passing,
    Decoding(TextEncoding, Decoder),
}

/// What the first bytes say.
enum FirstBytes {
    NotEnough,
    Plain,
    /// In this encoding, after a mark of so many bytes.
    Marked(TextEncoding, usize),
}

impl Transcoder {
    /// From the encoding that was asked for.
    #[must_use]
    pub fn new(asked: TextEncoding, nul_bytes: NulBytes) -> Self {
        Self { asked, nul_bytes, state: TranscoderState::Start(Vec::new()) }
    }

    /// The encoding that is read; none before enough bytes came.
    #[must_use]
    pub fn encoding(&self) -> Option<TextEncoding> {
        match &self.state {
            TranscoderState::Start(_) => None,
            TranscoderState::Passing => Some(TextEncoding::Utf8),
            TranscoderState::Decoding(encoding, _) => Some(*encoding),
        }
    }

    /// Reads a chunk: the text up to a fault, and the fault, whose line is for the caller to name.
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> (Cow<'b, [u8]>, Result<(), ApiError>) {
        self.read(bytes, Last::No)
    }

    /// The stream has ended: what was held back.
    pub fn finish(&mut self) -> (Cow<'static, [u8]>, Result<(), ApiError>) {
        let (text, fault) = self.read(&[], Last::Yes);
        (Cow::Owned(text.into_owned()), fault)
    }

    fn read<'b>(&mut self, bytes: &'b [u8], last: Last) -> (Cow<'b, [u8]>, Result<(), ApiError>) {
        let mut bytes = Cow::Borrowed(bytes);
        if let TranscoderState::Start(held) = &mut self.state {
            held.extend_from_slice(&bytes);
            let first = first_bytes(held, self.nul_bytes, last);
            let held = std::mem::take(held);
            match begin(self.asked, first) {
                Err(fault) => return (Cow::Borrowed(&[]), Err(fault.at_line(1))),
                Ok(None) => {
                    self.state = TranscoderState::Start(held);
                    return (Cow::Borrowed(&[]), Ok(()));
                }
                Ok(Some((state, skipped))) => {
                    self.state = state;
                    bytes = Cow::Owned(held[skipped..].to_vec());
                }
            }
        }
        match &mut self.state {
            TranscoderState::Start(_) | TranscoderState::Passing => (bytes, Ok(())),
            TranscoderState::Decoding(encoding, decoder) => {
                let (text, fault) = decoded(*encoding, decoder, &bytes, last);
                (Cow::Owned(text), fault)
            }
        }
    }
}

/// Whether more bytes may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Yes,
}

fn first_bytes(held: &[u8], nul_bytes: NulBytes, last: Last) -> FirstBytes {
    for (mark, encoding) in MARKS {
        if held.starts_with(mark) {
            return FirstBytes::Marked(encoding, mark.len());
        }
        if last == Last::No && mark.starts_with(held) {
            return FirstBytes::NotEnough;
        }
    }
    if nul_bytes == NulBytes::AreText {
        return FirstBytes::Plain;
    }
    let looked = &held[..held.len().min(NUL_PATTERN_BYTES)];
    for (nul_at, encoding) in [(1, TextEncoding::Utf16Le), (0, TextEncoding::Utf16Be)] {
        if looked.iter().enumerate().all(|(at, byte)| (at % 2 == nul_at) == (*byte == 0)) {
            if looked.len() == NUL_PATTERN_BYTES || (last == Last::Yes && looked.len() == 2) {
                return FirstBytes::Marked(encoding, 0);
            }
            if last == Last::No {
                return FirstBytes::NotEnough;
            }
        }
    }
    FirstBytes::Plain
}

/// How a text is read whose first bytes are known, and how many of them are its mark; none where they are not enough.
fn begin(asked: TextEncoding, first: FirstBytes) -> Result<Option<(TranscoderState, usize)>, ApiError> {
    let (encoding, mark) = match (asked, first) {
        (_, FirstBytes::NotEnough) => return Ok(None),
        (TextEncoding::Auto, FirstBytes::Plain) => (TextEncoding::Utf8, 0),
        (TextEncoding::Auto, FirstBytes::Marked(found, mark)) => (found, mark),
        (asked, FirstBytes::Plain | FirstBytes::Marked(_, 0)) => (asked, 0),
        (asked, FirstBytes::Marked(found, mark)) if asked == found => (asked, mark),
        (asked, FirstBytes::Marked(found, _)) => {
            let (asked, found) = (asked.name(), found.name());
            return Err(ApiError::invalid(format!(
                "The text begins with the byte order mark of {found}, and encoding={asked} was asked for: send it with \
                 encoding={found} or encoding=auto."
            )));
        }
    };
    let decoder = match encoding {
        TextEncoding::Auto | TextEncoding::Utf8 => return Ok(Some((TranscoderState::Passing, 0))),
        TextEncoding::Utf16Le => UTF_16LE,
        TextEncoding::Utf16Be => UTF_16BE,
        TextEncoding::Windows1252 => WINDOWS_1252,
    };
    let decoder = decoder.new_decoder_without_bom_handling();
    Ok(Some((TranscoderState::Decoding(encoding, decoder), mark)))
}

fn decoded(
    encoding: TextEncoding,
    decoder: &mut Decoder,
    mut bytes: &[u8],
    last: Last,
) -> (Vec<u8>, Result<(), ApiError>) {
    let mut text = String::new();
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len());
        text.reserve(room.max(4));
        let (result, read) =
            decoder.decode_to_string_without_replacement(bytes, &mut text, last == Last::Yes);
        bytes = &bytes[read..];
        match result {
            DecoderResult::InputEmpty => return (text.into_bytes(), Ok(())),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(_, _) => {
                let name = encoding.name();
                let detail = format!(
                    "The text is not {name}: a character is cut short, or half of a surrogate pair stands alone."
                );
                return (text.into_bytes(), Err(ApiError::invalid(detail)));
            }
        }
    }
}

/// True where bytes that are not UTF-8 may be windows-1252: all of them are letters, signs or white space there.
#[must_use]
pub fn looks_like_windows_1252(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| match byte {
        b'\t' | b'\n' | b'\r' => true,
        0x81 | 0x8D | 0x8F | 0x90 | 0x9D | 0x7F => false,
        byte => *byte >= b' ',
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::ErrorCode;

    fn read(asked: TextEncoding, nul_bytes: NulBytes, bytes: &[u8], cut: usize) -> Result<String, ApiError> {
        let mut transcoder = Transcoder::new(asked, nul_bytes);
        let mut text = Vec::new();
        for chunk in bytes.chunks(cut) {
            let (some, fault) = transcoder.push(chunk);
            text.extend_from_slice(&some);
            fault?;
        }
        let (some, fault) = transcoder.finish();
        text.extend_from_slice(&some);
        fault?;
        let text = String::from_utf8(text).map_err(|_none| ApiError::invalid("not UTF-8"))?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes_of).collect()
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(TextEncoding::read(" UTF-16LE ").unwrap(), TextEncoding::Utf16Le);
        assert_eq!(TextEncoding::read("").unwrap(), TextEncoding::Auto);
        assert_eq!(TextEncoding::read("latin1").unwrap_err().code, ErrorCode::Invalid);
    }

    #[test]
    fn a_mark_that_contradicts_is_refused() {
        let fault = read(TextEncoding::Utf8, NulBytes::MeanUtf16, b"\xFF\xFEa\0", 9).unwrap_err();
        assert_eq!((fault.code, fault.line), (ErrorCode::Invalid, Some(1)));
        assert!(fault.detail.contains("encoding=utf-16le"), "{fault}");
    }

    #[test]
    fn what_is_cut_inside_a_character_is_refused() {
        for bytes in [&b"\xFF\xFEa\0b"[..], b"\xFF\xFE\x3D\xD8", b"\xFF\xFE\x3D\xD8a\0"] {
            assert!(read(TextEncoding::Auto, NulBytes::MeanUtf16, bytes, 1).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_first_bytes_are_not_held_longer_than_needed() {
        let mut transcoder = Transcoder::new(TextEncoding::Auto, NulBytes::AreText);
        assert_eq!(transcoder.push(b"a").0.as_ref(), b"a");
        let mut transcoder = Transcoder::new(TextEncoding::Auto, NulBytes::MeanUtf16);
        assert_eq!(transcoder.push(b"a\n").0.as_ref(), b"a\n");
    }

    #[test]
    fn nul_bytes_of_lines_are_text() {
        assert_eq!(read(TextEncoding::Auto, NulBytes::AreText, b"a\0b\0", 1).unwrap(), "a\0b\0");
        assert_eq!(read(TextEncoding::Auto, NulBytes::MeanUtf16, b"a\0b\0", 1).unwrap(), "ab");
        assert_eq!(read(TextEncoding::Auto, NulBytes::MeanUtf16, b"\0a\0b", 3).unwrap(), "ab");
    }

    proptest! {
        #[test]
        fn any_text_reads_back_the_same(text in "[^\u{feff}\u{fffe}\0]{0,24}", cut in 1usize..7) {
            for (mark, asked, bytes) in [
                ("\u{feff}", TextEncoding::Auto, text.as_bytes().to_vec()),
                ("", TextEncoding::Utf8, text.as_bytes().to_vec()),
            ] {
                let bytes = [mark.as_bytes(), &bytes].concat();
                prop_assert_eq!(&read(asked, NulBytes::MeanUtf16, &bytes, cut).unwrap(), &text);
            }
            let marked = format!("\u{feff}{text}");
            for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
                let bytes = utf16(&marked, bytes_of);
                prop_assert_eq!(&read(TextEncoding::Auto, NulBytes::AreText, &bytes, cut).unwrap(), &text);
            }
            let bytes = utf16(&text, u16::to_be_bytes);
            prop_assert_eq!(&read(TextEncoding::Utf16Be, NulBytes::MeanUtf16, &bytes, cut).unwrap(), &text);
        }

        #[test]
        fn windows_1252_reads_back_the_same(text in "[ -~äöüßéèçñ€–“”]{1,24}", cut in 1usize..7) {
            let (bytes, _encoding, lossy) = WINDOWS_1252.encode(&text);
            prop_assert!(!lossy);
            prop_assert!(looks_like_windows_1252(&bytes));
            prop_assert_eq!(read(TextEncoding::Windows1252, NulBytes::MeanUtf16, &bytes, cut).unwrap(), text);
        }
    }
}
