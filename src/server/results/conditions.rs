//! What a request says of bytes that its sender may have already: `If-None-Match`, `Range` and `If-Range` of RFC 9110.
//!
//! Only what can be answered with one part is read as a range: several, or one that is no range, are as none, and the whole
//! is sent.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, Method, header};

/// One part of a content whose length is not looked at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedRange {
    /// From a byte on, to one that is included; without it to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl AskedRange {
    /// The bytes of a content of `length` bytes; none where it has none of them.
    pub(super) fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first, last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            Self::Last(bytes) => length.saturating_sub(bytes)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// True where the sender has what `etag` stands for: 304 is the answer.
pub(in crate::server) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let weak = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let known = |tag: &str| tag == "*" || etag.to_str().is_ok_and(|etag| weak(tag) == weak(etag));
    let lists = headers.get_all(header::IF_NONE_MATCH).iter();
    lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).any(|tag| known(tag.trim()))
}

/// The part that is asked for, if one is, and if the sender has the rest of what `etag` stands for.
pub(super) fn asked_range(method: &Method, headers: &HeaderMap, etag: &HeaderValue) -> Option<AskedRange> {
    if method != Method::GET {
        return None;
    }
    // A date never matches: no content here has one.
    if headers.get(header::IF_RANGE).is_some_and(|known| known != etag) {
        return None;
    }
    let mut all = headers.get_all(header::RANGE).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    read_range(only.to_str().ok()?)
}

fn read_range(text: &str) -> Option<AskedRange> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    match (first, last) {
        ("", last) => number(last).map(AskedRange::Last),
        (first, "") => Some(AskedRange::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(AskedRange::From(first, Some(last)))
        }
    }
}

/// Digits only; a number beyond 64 bits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: HeaderValue = HeaderValue::from_static("\"a\"");

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn ranges_are_read_and_cut() {
        for (text, length, part) in [
            ("bytes=0-0", 10, Some(Some(0..1))),
            ("bytes=100-199", 1_000, Some(Some(100..200))),
            ("BYTES=2-", 10, Some(Some(2..10))),
            ("bytes=-3", 10, Some(Some(7..10))),
            ("bytes=-30", 10, Some(Some(0..10))),
            ("bytes=9-99999999999999999999999", 10, Some(Some(9..10))),
            ("bytes=10-", 10, Some(None)),
            ("bytes=99999999999999999999999-", 10, Some(None)),
            ("bytes=-0", 10, Some(None)),
            ("bytes=-5", 0, Some(None)),
            ("bytes=5-2", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=", 10, None),
            ("bytes=-", 10, None),
            ("bytes=+1-2", 10, None),
            ("bytes=a-b", 10, None),
            ("items=0-1", 10, None),
        ] {
            assert_eq!(read_range(text).map(|asked| asked.within(length)), part, "{text}");
        }
    }

    #[test]
    fn a_part_is_sent_only_of_what_the_sender_knows() {
        let asked = |method: &Method, pairs: &[(http::HeaderName, &'static str)]| {
            asked_range(method, &headers(pairs), &TAG).is_some()
        };
        let range = (header::RANGE, "bytes=0-1");
        assert!(asked(&Method::GET, std::slice::from_ref(&range)));
        assert!(!asked(&Method::HEAD, std::slice::from_ref(&range)));
        assert!(asked(&Method::GET, &[range.clone(), (header::IF_RANGE, "\"a\"")]));
        for other in ["\"b\"", "W/\"a\"", "Sat, 28 Nov 2026 00:00:00 GMT"] {
            assert!(!asked(&Method::GET, &[range.clone(), (header::IF_RANGE, other)]), "{other}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for (list, known) in [
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(is_known(&headers(&[(header::IF_NONE_MATCH, list)]), &TAG), known, "{list}");
        }
        assert!(!is_known(&HeaderMap::new(), &TAG));
    }
}
