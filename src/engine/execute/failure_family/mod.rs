//! Which failures have one cause: pure text work.
//!
//! Two messages that differ only in what their items brought, or in numbers, dates, quoted texts, paths, addresses, names of
//! files or ids, are of one family. The work is bounded by [`COMPARED_BYTES_MAX`] and by what [`own_input`] keeps.

mod common_words;
mod own_input;
mod word_kind;

use self::common_words::is_common;
pub use self::own_input::InputSample;
use self::word_kind::{Piece, pieces};
use crate::protocol::FamilyId;

/// Characters of a message that are kept; the rest is cut off with an ellipsis.
const MESSAGE_CHARS_MAX: usize = 300;
/// Bytes of a message that are compared; what differs after them does not count.
const COMPARED_BYTES_MAX: usize = 4 * 1024;
/// Hexadecimal characters of an id.
const ID_CHARS: usize = 16;
/// What stands for a part that may differ.
const MARK: &str = "*";

/// The family of a failure and its message as people see it. `input` is what the item brought.
pub fn family(task: &str, kind: &str, message: &str, input: &InputSample) -> (FamilyId, String) {
    let mut hasher = blake3::Hasher::new();
    for part in [task, kind, &normal_form(message, input)] {
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

/// `message` in lower case, with [`MARK`] for whatever may differ between failures of one cause.
fn normal_form(message: &str, input: &InputSample) -> String {
    let compared = &message[..message.floor_char_boundary(COMPARED_BYTES_MAX)];
    // Before the quotes: a name may hold one.
    let foreign = input.taken_out_of(compared.to_lowercase());
    let mut pieces = pieces(&without_quotes(&foreign));
    mark_words_of_dates(&mut pieces);
    joined(&pieces)
}

/// The mark that closes a quotation which `opening` begins.
fn closing_of(opening: char) -> Option<char> {
    Some(match opening {
        '"' | '`' | '\'' => opening,
        '“' | '„' => '”',
        '‘' | '‚' => '’',
        '«' => '»',
        '‹' => '›',
        '「' => '」',
        '『' => '』',
        _ => return None,
    })
}

/// Replaces what stands between quotes by a mark. An apostrophe inside a word is no quote, and a quotation of nothing but
/// the usual words of messages is kept: it says what happened, not to what.
fn without_quotes(message: &str) -> String {
    let mut bare = String::with_capacity(message.len());
    let mut rest = message;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let tail = &rest[next.len_utf8()..];
        let opens = closing_of(next).filter(|_| next != '\'' || !before.is_alphanumeric());
        if let Some((quoted, length)) = opens.and_then(|closing| quotation(tail, next, closing)) {
            bare.push_str(if is_saying(quoted) { quoted } else { MARK });
            rest = &tail[length..];
        } else {
            bare.push(next);
            rest = tail;
        }
        before = next;
    }
    bare
}

/// What is quoted at the start of `tail`, and how many bytes it takes with the mark that closes it.
fn quotation(tail: &str, opening: char, closing: char) -> Option<(&str, usize)> {
    // German closes what „ opens with “ or ”; both are taken.
    let closes = |c: char| c == closing || (opening == '„' && c == '“') || (opening == '‚' && c == '‘');
    let mut escaped = false;
    for (at, c) in tail.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if opening == '"' => escaped = true,
            _ if closes(c) => {
                let after = tail[at + c.len_utf8()..].chars().next();
                // The apostrophe of "isn't" does not close what `'` opened.
                if opening == '\'' && after.is_some_and(char::is_alphanumeric) {
                    continue;
                }
                return Some((&tail[..at], at + c.len_utf8()));
            }
            _ => {}
        }
    }
    None
}

/// True for two or more words, all of them usual in messages.
fn is_saying(text: &str) -> bool {
    let mut words = 0;
    text.split_whitespace().all(|word| {
        words += 1;
        is_common(word.trim_matches(|c: char| !c.is_alphanumeric()))
    }) && words > 1
}

/// Words that belong to a date where a number stands beside them.
const WORDS_OF_DATES: &[&str] = &[
    "jan",
    "january",
    "feb",
    "february",
    "mar",
    "march",
    "apr",
    "april",
    "may",
    "jun",
    "june",
    "jul",
    "july",
    "aug",
    "august",
    "sep",
    "sept",
    "september",
    "oct",
    "october",
    "nov",
    "november",
    "dec",
    "december",
    "mon",
    "monday",
    "tue",
    "tuesday",
    "wed",
    "wednesday",
    "thu",
    "thursday",
    "fri",
    "friday",
    "sat",
    "saturday",
    "sun",
    "sunday",
    "am",
    "pm",
    "utc",
    "gmt",
];

fn mark_words_of_dates(pieces: &mut [Piece]) {
    // Twice, for the weekday before the month before the number.
    for _ in 0..2 {
        for at in 0..pieces.len() {
            let Piece::Word(word) = &pieces[at] else { continue };
            let is_mark = |other: Option<usize>| {
                other.and_then(|other| pieces.get(other)).is_some_and(|piece| *piece == Piece::Mark)
            };
            let beside = is_mark(at.checked_sub(2)) || is_mark(Some(at + 2));
            if beside && WORDS_OF_DATES.contains(&word.as_str()) {
                pieces[at] = Piece::Mark;
            }
        }
    }
}

/// The pieces in a row; marks between which nothing but blanks stands are one.
fn joined(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Word(word) => text.push_str(word),
            Piece::Gap(gap) => text.push_str(gap),
            Piece::Mark => {
                if text.trim_end().ends_with(MARK) {
                    text.truncate(text.trim_end().len());
                } else {
                    text.push_str(MARK);
                }
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests;
