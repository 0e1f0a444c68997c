//! Lines of a process, each of a bounded length.
//!
//! At most the bound of one line is in memory, and no byte is lost where a read is dropped half-way.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(String),
    /// Whole, with U+FFFD where its bytes were no UTF-8.
    Repaired(String),
    /// Its start: it was longer than the bound.
    TooLong(String),
}

impl Line {
    /// What there is of it.
    pub fn text(&self) -> &str {
        let (Self::Whole(text) | Self::Repaired(text) | Self::TooLong(text)) = self;
        text
    }
}

/// Reads lines of at most `bytes_max` bytes.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(pipe: R, bytes_max: usize) -> Self {
        Self { reader: BufReader::new(pipe), line: Vec::new(), bytes_max, too_long: false }
    }

    /// The next line; none at the end. Cancel-safe: what was read of a line is kept.
    ///
    /// # Errors
    /// What the pipe says.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let read = match self.reader.fill_buf().await {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read.is_empty() {
                let last = !self.line.is_empty() || self.too_long;
                return Ok(last.then(|| self.take()));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = &read[..end.unwrap_or(read.len())];
            let room = self.bytes_max - self.line.len();
            self.too_long |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(read.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.line);
        let too_long = std::mem::take(&mut self.too_long);
        let (mut text, line): (_, fn(String) -> Line) = match String::from_utf8(bytes) {
            Ok(text) => (text, Line::Whole),
            Err(fault) => (String::from_utf8_lossy(fault.as_bytes()).into_owned(), Line::Repaired),
        };
        if too_long {
            return Line::TooLong(text);
        }
        if text.ends_with('\r') {
            text.pop();
        }
        line(text)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn all(bytes: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(bytes, 8);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_is_whole() {
        let whole = |text: &str| Line::Whole(text.to_owned());
        assert_eq!(
            all(b"a\r\n\n12345678\n123456789\nb\xff\nend").await,
            [
                whole("a"),
                whole(""),
                whole("12345678"),
                Line::TooLong("12345678".to_owned()),
                Line::Repaired("b\u{fffd}".to_owned()),
                whole("end")
            ]
        );
        assert_eq!(all(b"").await, []);
    }

    #[tokio::test]
    async fn a_read_that_was_dropped_loses_nothing() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let mut lines = Lines::new(theirs, 64);
        ours.write_all(b"first ha").await.unwrap();
        tokio::select! {
            biased;
            _ = lines.next() => panic!("no line has ended"),
            () = tokio::task::yield_now() => {}
        }
        ours.write_all(b"lf\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), Some(Line::Whole("first half".to_owned())));
    }
}
