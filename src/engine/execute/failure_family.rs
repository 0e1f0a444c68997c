//! Which failures have one cause: pure text work.
//!
//! Two messages that differ in numbers, quoted names, paths or ids only are of one family.

use crate::protocol::FamilyId;

/// Characters of a message that are kept; the rest is cut off with an ellipsis.
const MESSAGE_CHARS_MAX: usize = 300;
/// Hexadecimal characters of an id.
const ID_CHARS: usize = 16;
/// From this length on a word of hexadecimal digits, some of them decimal, is an id.
const HEX_WORD_CHARS_MIN: usize = 8;

/// The family of a failure and its message as people see it.
pub fn family(task: &str, kind: &str, message: &str) -> (FamilyId, String) {
    let mut hasher = blake3::Hasher::new();
    for part in [task, kind, &normal_form(message)] {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let mut id = hasher.finalize().to_hex().to_string();
    id.truncate(ID_CHARS);
    (FamilyId(id), shortened(message))
}

/// The first [`MESSAGE_CHARS_MAX`] characters.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

/// `message` with quoted parts, paths, ids and numbers each replaced by a mark.
fn normal_form(message: &str) -> String {
    let bare = without_quotes(message);
    let mut normal = String::with_capacity(bare.len());
    for word in bare.split_whitespace().take(MESSAGE_CHARS_MAX) {
        if !normal.is_empty() {
            normal.push(' ');
        }
        push_word(&mut normal, word);
    }
    normal
}

/// Replaces what stands between a pair of quotes by one mark. An apostrophe inside a word is no quote.
fn without_quotes(message: &str) -> String {
    let mut bare = String::with_capacity(message.len());
    let mut rest = message;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let tail = &rest[next.len_utf8()..];
        let opens = matches!(next, '"' | '`' | '“') || (next == '\'' && !before.is_alphanumeric());
        let close = if next == '“' { '”' } else { next };
        if let (true, Some(end)) = (opens, tail.find(close)) {
            bare.push('*');
            rest = &tail[end + close.len_utf8()..];
        } else {
            bare.push(next);
            rest = tail;
        }
        before = next;
    }
    bare
}

fn push_word(normal: &mut String, word: &str) {
    if word.contains('/') || word.contains('\\') {
        normal.push_str("<path>");
        return;
    }
    for piece in word.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')) {
        let end = piece.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
        if is_id(end) {
            normal.push_str("<id>");
        } else {
            push_without_numbers(normal, end);
        }
        normal.push_str(&piece[end.len()..]);
    }
}

/// UUIDs, and words of hexadecimal digits that hold a decimal one.
fn is_id(word: &str) -> bool {
    let digits = word.chars().filter(|c| *c != '-' && *c != '_');
    let (mut count, mut decimal) = (0, false);
    for digit in digits {
        if !digit.is_ascii_hexdigit() {
            return false;
        }
        count += 1;
        decimal |= digit.is_ascii_digit();
    }
    count >= HEX_WORD_CHARS_MIN && decimal && word.chars().any(|c| c.is_ascii_alphabetic() || c == '-')
}

fn push_without_numbers(normal: &mut String, word: &str) {
    let mut in_number = false;
    for c in word.chars() {
        if c.is_numeric() {
            if !in_number {
                normal.push('#');
            }
            in_number = true;
        } else {
            in_number = false;
            normal.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        family("t", "k", a).0 == family("t", "k", b).0
    }

    #[test]
    fn details_do_not_split_a_family() {
        for (a, b) in [
            ("line 4: bad value", "line 1234: bad value"),
            ("cannot open /tmp/a.png: gone", "cannot open /var/x/b.png: gone"),
            ("no user \"ada\" here", "no user \"bob the third\" here"),
            ("no user 'ada' here", "no user 'bob' here"),
            ("id 0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b lost", "id 0298a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0c lost"),
            ("key deadbeef01 lost", "key 0badcafe77 lost"),
            ("took 1.5s", "took 22.75s"),
        ] {
            assert!(same(a, b), "{a} / {b}: {} / {}", normal_form(a), normal_form(b));
        }
    }

    #[test]
    fn causes_stay_apart() {
        assert!(!same("cannot decode", "cannot open"));
        assert!(!same("it isn't there", "it isn't here"));
        assert_ne!(family("t", "io", "x").0, family("t", "decode", "x").0);
        assert_ne!(family("a", "io", "x").0, family("b", "io", "x").0);
    }

    #[test]
    fn messages_are_kept_raw_and_short() {
        assert_eq!(family("t", "k", "line 4: bad").1, "line 4: bad");
        assert_eq!(family("t", "k", &"ä".repeat(999)).1.chars().count(), MESSAGE_CHARS_MAX + 1);
    }
}
