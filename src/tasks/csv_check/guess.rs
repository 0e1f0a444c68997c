//! What a column seems to hold, from the first rows of a CSV: a first word that people correct.
//!
//! A type is guessed where nearly all values are of it, so that the few that are not are named as faults instead of making
//! the column a text.

use super::value::{self, ColumnKind};
use crate::tasks::task::GuessedColumn;

/// Of so many values that are there, …
const VALUES: usize = 10;
/// … at least these are of the type.
const OF_TYPE_MIN: usize = 9;

/// Types from the narrowest on; what is none of them is a text.
const NARROW_FIRST: [ColumnKind; 7] = [
    ColumnKind::Datetime,
    ColumnKind::Date,
    ColumnKind::Integer,
    ColumnKind::Number,
    ColumnKind::Boolean,
    ColumnKind::Email,
    ColumnKind::Url,
];

/// What column `at` of `rows` seems to hold. Of no value nothing is known: a text that may be missing.
pub(super) fn column(rows: &[Vec<String>], at: usize) -> GuessedColumn {
    let cells = || rows.iter().map(|row| row.get(at).map_or("", String::as_str));
    let values: Vec<&str> = cells().filter(|cell| !cell.is_empty()).collect();
    let is_mostly = |kind: &ColumnKind| {
        let of_type = values.iter().filter(|value| is(*kind, value)).count();
        of_type * VALUES >= values.len() * OF_TYPE_MIN
    };
    let kind = NARROW_FIRST.iter().find(|kind| !values.is_empty() && is_mostly(kind));
    let kind = kind.copied().unwrap_or(ColumnKind::Text);
    let name =
        ColumnKind::ALL.iter().find(|(_name, other)| *other == kind).map_or("text", |(name, _kind)| name);
    GuessedColumn { kind: name, required: !values.is_empty() && values.len() == rows.len() }
}

/// Digits that begin with a nought are a code, not a number: `01234` is a place, `007` an agent.
fn is(kind: ColumnKind, text: &str) -> bool {
    let is_code = text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_numeric = matches!(kind, ColumnKind::Integer | ColumnKind::Number);
    value::read(kind, text).is_some() && !(is_code && is_numeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(values: &[&str]) -> (&'static str, bool) {
        let rows: Vec<Vec<String>> = values.iter().map(|value| vec![(*value).to_owned()]).collect();
        let GuessedColumn { kind, required } = column(&rows, 0);
        (kind, required)
    }

    #[test]
    fn types_are_guessed_from_the_values() {
        assert_eq!(guessed(&["1", "-20", "+3"]), ("integer", true));
        assert_eq!(guessed(&["1", "2.5", ""]), ("number", false));
        assert_eq!(guessed(&["yes", "No", "true"]), ("boolean", true));
        assert_eq!(guessed(&["0", "1", "1"]), ("integer", true));
        assert_eq!(guessed(&["2026-01-31", "1999-12-01"]), ("date", true));
        assert_eq!(guessed(&["2026-01-31T09:41:00Z"]), ("datetime", true));
        assert_eq!(guessed(&["ada@example.org", "bo@example.org"]), ("email", true));
        assert_eq!(guessed(&["https://a.example", "http://b.example/x"]), ("url", true));
        assert_eq!(guessed(&["ada", "12"]), ("text", true));
        assert_eq!(guessed(&["01234", "02345"]), ("text", true));
        assert_eq!(guessed(&["", ""]), ("text", false));
        assert_eq!(guessed(&[]), ("text", false));
    }

    #[test]
    fn a_few_bad_values_do_not_make_a_text() {
        let mut ages = vec!["41"; 390];
        ages.extend(["abc"; 10]);
        assert_eq!(guessed(&ages), ("integer", true));
        assert_eq!(guessed(&["41", "abc"]), ("text", true));
    }
}
