//! A text of any length, all of it: an item's input, error, result, log.
//!
//! Each part is one text node to every browser, and none is the first child of the `pre`, where the HTML parser would
//! drop a line feed.

use leptos::prelude::*;

use crate::client::words;

/// Characters of one part: at most two UTF-16 units each, and browsers break text that they parse at 65,536 of them.
const PART_CHARS: usize = 16_384;

/// `text` in parts that stand seamlessly one after the other.
pub fn long_text(text: &str) -> Vec<AnyView> {
    parts(&words::legible(text)).map(|part| view! { <span>{part.to_owned()}</span> }.into_any()).collect()
}

/// The parts of `text`, at least one.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match text.char_indices().nth(PART_CHARS) {
            Some((end, _)) => {
                rest = Some(&text[end..]);
                Some(&text[..end])
            }
            None => rest.take(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole_and_fit_a_text_node() {
        for text in ["", "\n", "short", &"ä😀".repeat(20_000), &"x".repeat(PART_CHARS), &"x".repeat(65_536)]
        {
            let all: Vec<&str> = parts(text).collect();
            assert!(!all.is_empty());
            assert_eq!(all.concat(), *text);
            assert!(all.iter().all(|part| part.encode_utf16().count() < 65_536));
            assert!(text.is_empty() || all.iter().all(|part| !part.is_empty()));
        }
    }
}
