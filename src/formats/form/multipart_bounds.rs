//! The bounds of a multipart body that its reader does not keep: how much may come before a part's content.
//!
//! A stream around the body that follows the boundaries as they pass and changes no byte. What the reader must hold until
//! it is whole (a preamble, the headers of a part) is bounded, and it is handed one chunk a poll: neither its memory nor
//! the time it takes between two polls grows with the body.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use memchr::memmem::Finder;

use crate::formats::body::ByteStream;

/// Bytes of the headers of one part, and of what stands before the first part; more are refused as `too_large`.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The refusal, as it travels in an error of the stream.
#[derive(Debug, thiserror::Error)]
#[error("The headers of a part have more than {HEAD_BYTES_MAX} bytes.")]
struct HeadTooLarge;

/// True where an error of a stream is this refusal, however it was wrapped.
pub fn is_head_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<HeadTooLarge>() || inner.is_some_and(|inner| is_head_refusal(inner)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The refusal as a sentence.
pub fn head_refusal_text() -> String {
    HeadTooLarge.to_string()
}

/// `bytes` as a form with this boundary may bring them.
#[must_use]
pub fn bounded(bytes: ByteStream, boundary: &str) -> ByteStream {
    Box::pin(BoundedHeads { bytes, tracker: PartTracker::new(boundary), next: NextPoll::Reads })
}

struct BoundedHeads {
    bytes: ByteStream,
    tracker: PartTracker,
    next: NextPoll,
}

/// The reader polls for as long as something is ready before it looks at any of it: after a chunk, one poll finds nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NextPoll {
    Reads,
    Yields,
}

impl Stream for BoundedHeads {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.next == NextPoll::Yields {
            self.next = NextPoll::Reads;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.bytes.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            if let Err(refusal) = self.tracker.follow(chunk) {
                return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::FileTooLarge, refusal))));
            }
            self.next = NextPoll::Yields;
        }
        next
    }
}

/// Where in the form the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormPlace {
    /// Before the first boundary.
    Preamble,
    /// After a boundary: two dashes end the form.
    Boundary,
    /// In what may stand between a boundary and its line end.
    Padding,
    /// In the headers of a part.
    Headers,
    /// In its content.
    Content,
    /// After the last boundary.
    End,
}

/// Follows the parts of a form.
struct PartTracker {
    at: FormPlace,
    /// `--boundary`
    first: Finder<'static>,
    /// The same after a line end.
    next: Finder<'static>,
    line_end: Finder<'static>,
    headers_end: Finder<'static>,
    /// What of the last chunk may be the start of what is looked for.
    carry: Vec<u8>,
    /// Bytes since the place began, without `carry`.
    passed: usize,
}

impl PartTracker {
    fn new(boundary: &str) -> Self {
        Self {
            at: FormPlace::Preamble,
            first: Finder::new(&format!("--{boundary}")).into_owned(),
            next: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            line_end: Finder::new("\r\n").into_owned(),
            headers_end: Finder::new("\r\n\r\n").into_owned(),
            carry: Vec::new(),
            passed: 0,
        }
    }

    fn follow(&mut self, chunk: &[u8]) -> Result<(), HeadTooLarge> {
        if self.carry.is_empty() {
            return self.look(chunk);
        }
        let mut joined = std::mem::take(&mut self.carry);
        joined.extend_from_slice(chunk);
        self.look(&joined)
    }

    fn look(&mut self, mut bytes: &[u8]) -> Result<(), HeadTooLarge> {
        loop {
            let (wanted, then) = match self.at {
                FormPlace::End => return Ok(()),
                FormPlace::Boundary => {
                    if bytes.len() < 2 {
                        self.carry = bytes.to_vec();
                        return Ok(());
                    }
                    self.at = if bytes.starts_with(b"--") { FormPlace::End } else { FormPlace::Padding };
                    continue;
                }
                FormPlace::Preamble => (&self.first, FormPlace::Boundary),
                FormPlace::Padding => (&self.line_end, FormPlace::Headers),
                FormPlace::Headers => (&self.headers_end, FormPlace::Content),
                FormPlace::Content => (&self.next, FormPlace::Boundary),
            };
            let Some(found) = wanted.find(bytes) else {
                let carried = carried(bytes, wanted.needle());
                self.carry = bytes[bytes.len() - carried..].to_vec();
                self.passed += bytes.len() - carried;
                return self.within(self.passed + carried);
            };
            self.within(self.passed + found)?;
            bytes = &bytes[found + wanted.needle().len()..];
            (self.at, self.passed) = (then, 0);
        }
    }

    /// Checks what has come of a place that the reader holds whole.
    fn within(&self, held: usize) -> Result<(), HeadTooLarge> {
        let bounded = match self.at {
            FormPlace::Preamble | FormPlace::Padding | FormPlace::Headers => true,
            FormPlace::Boundary | FormPlace::Content | FormPlace::End => false,
        };
        if bounded && held > HEAD_BYTES_MAX { Err(HeadTooLarge) } else { Ok(()) }
    }
}

/// Bytes at the end of `bytes` that may be the start of `wanted`.
fn carried(bytes: &[u8], wanted: &[u8]) -> usize {
    (1..wanted.len()).rev().find(|count| bytes.ends_with(&wanted[..*count])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use proptest::prelude::*;

    use super::*;

    fn form(parts: &[(&str, &str)]) -> String {
        let mut text = "before\r\n".to_owned();
        for (head, content) in parts {
            text.push_str(&format!(
                "--b0\r\nContent-Disposition: form-data; name=\"{head}\"\r\n\r\n{content}\r\n"
            ));
        }
        text + "--b0--\r\nafter"
    }

    fn tracked(text: &[u8], cut: usize) -> Result<FormPlace, HeadTooLarge> {
        let mut tracker = PartTracker::new("b0");
        for chunk in text.chunks(cut) {
            tracker.follow(chunk)?;
            assert!(tracker.carry.len() < 8, "no more is kept than may be a boundary");
        }
        Ok(tracker.at)
    }

    #[test]
    fn heads_are_bounded_wherever_they_are_cut() {
        let long = "x".repeat(HEAD_BYTES_MAX);
        for cut in [1, 7, 1_024, 1 << 20] {
            assert_eq!(tracked(form(&[("a", &long), ("b", &long)]).as_bytes(), cut).unwrap(), FormPlace::End);
            assert!(tracked(form(&[("a", ""), (&long, "")]).as_bytes(), cut).is_err(), "headers");
            assert!(tracked(format!("{long}\r\n{}", form(&[])).as_bytes(), cut).is_err(), "a preamble");
            assert!(tracked(format!("--b0{}\r\n", " ".repeat(HEAD_BYTES_MAX + 1)).as_bytes(), cut).is_err());
        }
    }

    #[tokio::test]
    async fn the_reader_is_given_one_chunk_a_turn_and_all_of_them() {
        let text = form(&[("a", "one"), ("b", "two\r\n--b two")]);
        let chunks: Vec<io::Result<Bytes>> =
            text.as_bytes().chunks(3).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let body: ByteStream = Box::pin(futures_util::stream::iter(chunks));
        let mut parts = multer::Multipart::new(bounded(body, "b0"), "b0");
        let mut found = Vec::new();
        while let Some(field) = parts.next_field().await.unwrap() {
            found.push((field.name().unwrap().to_owned(), field.text().await.unwrap()));
        }
        assert_eq!(found, [("a".into(), "one".into()), ("b".into(), "two\r\n--b two".to_owned())]);
        let endless = futures_util::stream::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 4096])));
        let body: ByteStream = Box::pin(
            futures_util::stream::iter([Ok(Bytes::from_static(b"--b0\r\nContent-Disposition: "))])
                .chain(endless),
        );
        let mut parts = multer::Multipart::new(bounded(body, "b0"), "b0");
        let multer::Error::StreamReadFailed(cause) = parts.next_field().await.unwrap_err() else {
            panic!("another error")
        };
        assert!(is_head_refusal(cause.as_ref()), "{cause}");
    }

    proptest! {
        #[test]
        fn any_form_passes_whole_however_it_is_cut(
            parts in proptest::collection::vec(("[a-z]{0,4}", "[-b0\r\n ]{0,24}"), 0..5),
            cut in 1usize..9,
        ) {
            // What is no boundary is content: only a form that ends is one.
            let parts: Vec<(&str, &str)> = parts.iter().map(|(head, text)| (&**head, &**text)).collect();
            let text = form(&parts);
            prop_assert_eq!(tracked(text.as_bytes(), cut).unwrap(), tracked(text.as_bytes(), text.len()).unwrap());
        }
    }
}
