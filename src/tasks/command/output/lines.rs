//! Lines of a process, each of a bounded length, without secrets, and not more of them than one item may say.
//!
//! At most the bound of one line is in memory, and no byte is lost where a read is dropped half-way.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::mask::Mask;
use super::quota::{OutputLimits, Quota};

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tasks::command) enum Line {
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
pub(in crate::tasks::command) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
    too_long: bool,
    mask: Arc<Mask>,
    quota: Quota,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Of an item that may say as much as `limits` say.
    pub fn new(pipe: R, bytes_max: usize, mask: &Arc<Mask>, limits: OutputLimits) -> Self {
        Self {
            reader: BufReader::new(pipe),
            line: Vec::new(),
            bytes_max,
            too_long: false,
            mask: Arc::clone(mask),
            quota: Quota::new(limits),
        }
    }

    /// From now on it is another item that speaks.
    pub fn begin_item(&mut self, limits: OutputLimits) {
        self.quota = Quota::new(limits);
    }

    /// The next line; none at the end. Cancel-safe: what was read of a line is kept.
    ///
    /// # Errors
    /// What the pipe says, or `QuotaExceeded` with a sentence where the item says too much.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        // Lines that are there already cost no read: a flood of them gives way to others all the same.
        tokio::task::coop::consume_budget().await;
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
            let counted = self.quota.count(u64::from(end.is_some()), used);
            counted.map_err(|told| io::Error::new(io::ErrorKind::QuotaExceeded, told))?;
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
        if !self.mask.is_empty() {
            self.mask.hide(&mut text, too_long);
        }
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

    fn lines<R: AsyncRead + Unpin>(pipe: R, bytes_max: usize) -> Lines<R> {
        Lines::new(pipe, bytes_max, &Arc::default(), OutputLimits::default())
    }

    async fn all(bytes: &[u8]) -> Vec<Line> {
        let mut lines = lines(bytes, 8);
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
    async fn too_many_lines_or_bytes_are_refused_and_the_next_item_begins_anew() {
        let limits = OutputLimits { lines_max: 2, output_bytes_max: 8, ..OutputLimits::default() };
        let mut lines = Lines::new(&b"1\n2\n3\n123456789"[..], 64, &Arc::default(), limits);
        for _line in 0..2 {
            lines.next().await.unwrap().unwrap();
        }
        assert_eq!(lines.next().await.unwrap_err().to_string(), "The item wrote more than 2 lines.");
        lines.begin_item(limits);
        // A line without an end counts as it comes.
        let told = lines.next().await.unwrap_err().to_string();
        assert_eq!(told, "The item wrote more than 8 bytes of output.");
    }

    #[tokio::test]
    async fn a_read_that_was_dropped_loses_nothing() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let mut lines = lines(theirs, 64);
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
