//! Text of others in a line of a terminal: made harmless, measured, shortened.
//!
//! Nothing that leaves [`plain`] moves the cursor. Widths are those of `unicode-width`.

use serde::Serialize;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::protocol::text::is_unseen;

/// `text` without what moves the cursor, ends a line or turns the direction of writing: a `·` stands for each.
pub(in crate::cli) fn plain(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if unseen(c) { '·' } else { c }).collect()
}

/// `text` of several lines, with whatever a terminal would obey in it made visible.
pub(in crate::cli) fn visible(text: &str) -> String {
    let seen = |c: char| match c {
        '\n' => '\n',
        // Controls have pictures of their own; those of the second page, and what turns text around, have none.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        c if is_unseen(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(seen).collect()
}

/// JSON on one line, in which whatever a terminal would obey is written as `\u202e` is.
pub(in crate::cli) fn json_line(value: &impl Serialize) -> String {
    escaped_json(&serde_json::to_string(value).expect("what the server tells is plain data"))
}

/// As [`json_line`], of JSON that is written already.
pub(in crate::cli) fn escaped_json(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unseen(c) {
            // All of them are of the first 65,536: one escape each.
            line.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    line
}

/// Columns that `text` takes.
pub(in crate::cli) fn columns(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns_max` columns, ended by `…` where that is not all of it.
pub(in crate::cli) fn shortened(text: &str, columns_max: usize) -> String {
    if columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut left = columns_max.saturating_sub(1);
    let kept = text.chars().take_while(|c| {
        let columns = c.width().unwrap_or(0);
        let fits = columns <= left;
        left = left.saturating_sub(columns);
        fits
    });
    let kept: String = kept.collect();
    if columns_max == 0 { kept } else { format!("{}…", kept.trim_end()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_before_it_is_too_wide() {
        assert_eq!(shortened("June photos", 11), "June photos");
        assert_eq!(shortened("June photos", 6), "June…");
        assert_eq!(shortened("照片照片", 5), "照片…");
        assert_eq!(shortened("ab", 1), "…");
        assert_eq!(shortened("ab", 0), "");
    }

    #[test]
    fn a_column_is_what_a_terminal_takes_it_for() {
        for (text, width) in
            [("€", 1), ("ἀλήθεια", 7), ("e\u{301}", 1), ("照片", 4), ("\u{1f389}", 2), ("—…", 2)]
        {
            assert_eq!(columns(text), width, "{text}");
        }
    }

    #[test]
    fn json_says_the_same_and_moves_no_cursor() {
        let value = serde_json::json!({"name": "a\x1b\u{9b}2J\u{202e}b\u{feff}照片\u{7f}"});
        let line = json_line(&value);
        assert!(!line.chars().any(is_unseen), "{line:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2J\r\n\u{9b}\u{202e}b"), "a·[2J····b");
        assert_eq!(plain("Café – 照片"), "Café – 照片");
        let several = visible("a\x1b]0;x\x07\nb\u{9b}2J\u{2066}c\t照片\u{7f}");
        assert_eq!(several, "a␛]0;x␇\nb\u{fffd}2J\u{fffd}c␉照片␡");
    }
}
