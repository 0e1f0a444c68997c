//! What is wrong with a cron pattern, field by field, in words that help.
//!
//! The crate that reads patterns takes more than is documented here (seconds, years, names in any field) and names no
//! field where it refuses one; so each field is looked at first.

use croner::parser::{CronParser, Seconds, Year};

use crate::protocol::ApiError;

/// Bytes of a pattern at most.
const PATTERN_BYTES_MAX: usize = 200;

/// A field: what it is, which values it takes, which names stand for them, and which letters beside.
struct Field {
    name: &'static str,
    values: &'static str,
    names: &'static [&'static str],
    letters: &'static [char],
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", values: "0 to 59", names: &[], letters: &[] },
    Field { name: "hour", values: "0 to 23", names: &[], letters: &[] },
    Field {
        name: "day of month",
        values: "1 to 31, L (the last day) or 15W (the working day nearest to the 15th)",
        names: &[],
        letters: &['L', 'W', '?'],
    },
    Field { name: "month", values: "1 to 12 or JAN to DEC", names: MONTHS, letters: &[] },
    Field {
        name: "day of week",
        values: "0 to 7 (0 and 7 are Sunday), SUN to SAT, MON#2 (the second Monday) or FRIL (the last Friday)",
        names: DAYS,
        letters: &['L', '#', '?'],
    },
];

/// Words in place of a pattern, and what they stand for.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The parser, which takes five fields.
pub fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

/// The five fields of `cron`, which may be one of the words, with one blank between two.
///
/// # Errors
/// `invalid`, naming the field and what it takes.
pub fn five_fields(cron: &str) -> Result<String, ApiError> {
    let refused = |detail: String| Err(ApiError::invalid(format!("cron: {detail}")));
    if cron.len() > PATTERN_BYTES_MAX {
        return refused(format!("more than {PATTERN_BYTES_MAX} bytes."));
    }
    let cron = cron.trim();
    if cron.starts_with('@') {
        let word = cron.to_ascii_lowercase();
        return match WORDS.iter().find(|(known, _fields)| *known == word) {
            Some((_word, fields)) => Ok((*fields).to_owned()),
            None => refused(format!(
                "expected @hourly, @daily, @weekly, @monthly, @yearly or five fields, not {cron:?}."
            )),
        };
    }
    let given: Vec<String> = cron.split_whitespace().map(str::to_ascii_uppercase).collect();
    if given.len() != FIELDS.len() {
        let seconds = if given.len() == 6 { "; seconds are not taken" } else { "" };
        return refused(format!(
            "expected five fields (minute, hour, day of month, month, day of week), not {}{seconds}.",
            given.len()
        ));
    }
    for (at, (field, text)) in FIELDS.iter().zip(&given).enumerate() {
        if !takes(at, field, text) {
            return refused(format!(
                "{}: expected {}, *, a list (1,2), a range (1-5) or a step (*/5), not {text:?}.",
                field.name, field.values
            ));
        }
    }
    Ok(given.join(" "))
}

/// Whether the parser takes `text` in this place, and nothing is in it that is not documented.
fn takes(at: usize, field: &Field, text: &str) -> bool {
    let mut rest = text.to_owned();
    for name in field.names {
        rest = rest.replace(name, "1");
    }
    let known = |c: char| c.is_ascii_digit() || "*/,-".contains(c) || field.letters.contains(&c);
    if !rest.chars().all(known) || rest.split(',').any(str::is_empty) {
        return false;
    }
    let mut alone = ["*"; FIELDS.len()];
    alone[at] = text;
    parser().parse(&alone.join(" ")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_as_documented() {
        for (given, fields) in [
            ("30 2 * * *", "30 2 * * *"),
            ("  */15\t0-5  1,15 * MON-FRI ", "*/15 0-5 1,15 * MON-FRI"),
            ("0 0 L jan-mar,dec ?", "0 0 L JAN-MAR,DEC ?"),
            ("0 9 15W * *", "0 9 15W * *"),
            ("0 9 * * mon#2", "0 9 * * MON#2"),
            ("0 9 * * FRIL", "0 9 * * FRIL"),
            ("0 0 * * 7", "0 0 * * 7"),
            ("0 22-6 * * *", ""),
            ("@Daily", "0 0 * * *"),
            ("@yearly", "0 0 1 1 *"),
        ] {
            match five_fields(given) {
                Ok(found) => assert_eq!(found, fields, "{given}"),
                Err(refusal) => assert!(fields.is_empty(), "{given}: {refusal:?}"),
            }
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (given, words) in [
            ("60 * * * *", "cron: minute: expected 0 to 59"),
            ("* 24 * * *", "cron: hour: expected 0 to 23"),
            ("* * 32 * *", "cron: day of month: expected 1 to 31"),
            ("* * 0 * *", "cron: day of month"),
            ("* * * 13 *", "cron: month: expected 1 to 12 or JAN to DEC"),
            ("* * * * 8", "cron: day of week: expected 0 to 7"),
            ("* * * * +1", "cron: day of week"),
            ("MON * * * *", "cron: minute"),
            ("* * * MON *", "cron: month"),
            ("*/0 * * * *", "cron: minute"),
            ("5/10 * * * *", "cron: minute"),
            (", * * * *", "cron: minute"),
            ("1- * * * *", "cron: minute"),
            ("1,,2 * * * *", "cron: minute"),
            ("0 0 0 * * *", "seconds are not taken"),
            ("* * * *", "expected five fields"),
            ("", "expected five fields"),
            ("@reboot", "@hourly"),
            ("@", "@hourly"),
            ("ä * * * *", "cron: minute"),
            (&"1,".repeat(200), "more than 200 bytes"),
        ] {
            let refusal = five_fields(given).unwrap_err();
            assert!(refusal.detail.contains(words), "{given}: {}", refusal.detail);
        }
    }
}
