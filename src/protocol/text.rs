//! Characters that nobody sees, what they do to the text around them, and numbers as people read them.

/// True for a character that is not seen and changes what is: a control (line ends among them), one that turns the
/// direction of writing, a separator, a filler, or one that takes no room. What only joins its neighbours, as emoji
/// and Persian need it (U+200C, U+200D, variation selectors), is none.
///
/// No name of a batch or a schedule holds one. Of files they are kept, and shown as `U+FFFD`.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}')
}

/// `37580` as `37,580`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_hides_text_is_known_and_words_are_left() {
        let bidi = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{200e}', '\u{200f}']);
        for c in bidi.chain(['\0', '\n', '\u{7f}', '\u{9b}', '\u{2028}', '\u{feff}', '\u{3164}']) {
            assert!(is_unseen(c), "{c:?}");
        }
        assert!(!"Café – 照片 می\u{200c}خواهم 👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} שלום".chars().any(is_unseen));
    }
}
