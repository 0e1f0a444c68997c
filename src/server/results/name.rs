//! File names that any system takes.
//!
//! No name leads out of a folder, and no header can be broken by one.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::protocol::text::is_unseen;

/// Characters of a name made from a batch's name at most.
const STEM_CHARS_MAX: usize = 60;

/// All but `attr-char` of RFC 5987, section 3.2.1: what may stand in `filename*` as it is.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The start of a file name for a batch.
pub(super) fn stem(batch_name: &str, number: i64) -> String {
    let mut stem = String::new();
    for c in batch_name.chars().take(STEM_CHARS_MAX) {
        if c.is_alphanumeric() || matches!(c, '.' | '_') {
            stem.push(c);
        } else if !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let stem = stem.trim_matches(['-', '.']);
    if stem.is_empty() { format!("batch-{number}") } else { stem.to_owned() }
}

/// `Content-Disposition: attachment` with the last part of `name`.
pub(super) fn disposition(name: &str) -> HeaderValue {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = if name.is_empty() { "file" } else { name };
    // A browser shows the name, and its ending is what people go by.
    let name: String = name.chars().map(|c| if is_unseen(c) { '_' } else { c }).collect();
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(&name, NOT_ATTR_CHAR);
    HeaderValue::try_from(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .expect("only graphic ASCII is left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        assert_eq!(stem("June photos / 2026", 7), "June-photos-2026");
        assert_eq!(stem("../..", 7), "batch-7");
        assert_eq!(
            disposition("x/Grüße \"1\".txt").to_str().unwrap(),
            "attachment; filename=\"Gr__e _1_.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.txt"
        );
        assert!(
            disposition("!#$&+-.^_`|~*'()%").to_str().unwrap().ends_with("''!#$&+-.^_`|~%2A%27%28%29%25")
        );
        assert!(disposition("a\r\nb").to_str().unwrap().contains("a__b"));
    }
}
