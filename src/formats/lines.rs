//! Bytes into lines, as they come.
//!
//! Any chunking of the same bytes gives the same lines and numbers. At most one line is held, of at most
//! [`ITEM_BYTES_MAX`] bytes.

use super::encoding::looks_like_windows_1252;
use crate::protocol::limits::ITEM_BYTES_MAX;
use crate::protocol::{ApiError, ErrorCode};

/// A byte order mark, which editors put before the first line.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What a reader does with a line: its number from 1, and its bytes without the ending.
pub trait LineSink {
    /// Receives one line that is not empty.
    fn line(&mut self, number: u64, bytes: &[u8]) -> Result<(), ApiError>;
}

/// Cuts chunks into lines; `\n` and `\r\n` end a line, the last line needs no ending.
#[derive(Debug, Default)]
pub struct LineCutter {
    /// The line that has begun in an earlier chunk.
    begun: Vec<u8>,
    /// Lines ended so far, empty ones included.
    ended: u64,
}

impl LineCutter {
    /// Reads a chunk and gives every line that ends in it.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl LineSink) -> Result<(), ApiError> {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..at], &bytes[at + 1..]);
            if self.begun.is_empty() {
                self.give(line, sink)?;
            } else {
                self.hold(line)?;
                let whole = std::mem::take(&mut self.begun);
                self.give(&whole, sink)?;
                self.begun = whole;
                self.begun.clear();
            }
            bytes = rest;
        }
        self.hold(bytes)
    }

    /// The stream has ended: gives the last line, if it has no ending.
    pub fn finish(&mut self, sink: &mut impl LineSink) -> Result<(), ApiError> {
        let last = std::mem::take(&mut self.begun);
        if last.is_empty() { Ok(()) } else { self.give(&last, sink) }
    }

    /// Lines that ended so far.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        // Two more bytes: an ending that was cut in the middle, and the line feed itself.
        if self.begun.len() + bytes.len() > ITEM_BYTES_MAX + BOM.len() + 2 {
            return Err(too_long(self.ended + 1));
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    fn give(&mut self, line: &[u8], sink: &mut impl LineSink) -> Result<(), ApiError> {
        self.ended += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if self.ended == 1 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if line.len() > ITEM_BYTES_MAX {
            return Err(too_long(self.ended));
        }
        if line.is_empty() { Ok(()) } else { sink.line(self.ended, line) }
    }
}

/// The refusal of an item over the bound.
pub fn too_long(line: u64) -> ApiError {
    ApiError::new(ErrorCode::TooLarge, format!("One item has more than {ITEM_BYTES_MAX} bytes."))
        .at_line(line)
}

/// The bytes of an item as text.
pub fn utf8(bytes: &[u8], line: u64) -> Result<&str, ApiError> {
    std::str::from_utf8(bytes).map_err(|fault| {
        let at = fault.valid_up_to() + 1;
        let advice = if looks_like_windows_1252(bytes) {
            "It looks like windows-1252, in which spreadsheets on Windows save CSV: send it with encoding=windows-1252, or \
             save it as UTF-8."
        } else {
            "Save it as UTF-8, or name its encoding: encoding=utf-16le, utf-16be or windows-1252."
        };
        ApiError::invalid(format!("Expected UTF-8 text; byte {at} is none. {advice}")).at_line(line)
    })
}
