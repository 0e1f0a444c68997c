//! What parts the fields of a CSV: as somebody named it, or guessed from the first rows.

use super::reader::CsvReader;
use crate::protocol::ApiError;

/// Rows that a guess looks at.
const GUESS_ROWS_MAX: usize = 10;
/// What fields may be parted by, the likeliest first.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// Reads a delimiter: one ASCII character that is no quote and ends no line; empty or `auto` = none named.
///
/// # Errors
/// `invalid` with what was expected.
pub fn read_delimiter(text: &str) -> Result<Option<u8>, ApiError> {
    match text.as_bytes() {
        [] | b"auto" => Ok(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(Some(*byte)),
        b"\\t" | b"tab" => Ok(Some(b'\t')),
        _ => Err(ApiError::invalid(
            "delimiter: expected one ASCII character that is no quote or line end, or auto.",
        )),
    }
}

/// The delimiter that parts most rows into as many fields as the first, more than one.
pub fn guess_delimiter(bytes: &[u8]) -> u8 {
    let score = |delimiter: u8| {
        let mut widths = Vec::new();
        let mut reader = CsvReader::new(delimiter);
        // Faults end the look; what came before them counts.
        let _looked_at = reader.push(bytes, |record| {
            widths.push(record.width());
            if widths.len() == GUESS_ROWS_MAX { Err(ApiError::invalid("enough")) } else { Ok(()) }
        });
        if widths.is_empty() {
            let _looked_at = reader.finish(|record| {
                widths.push(record.width());
                Ok(())
            });
        }
        let first = widths.first().copied().unwrap_or(0);
        let alike = widths.iter().filter(|width| **width == first).count();
        if first > 1 { alike * 1_000 + first } else { 0 }
    };
    let mut best = (DELIMITERS[0], 0);
    for delimiter in DELIMITERS {
        let found = score(delimiter);
        if found > best.1 {
            best = (delimiter, found);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_guessed() {
        for (bytes, delimiter) in [
            ("a,b\n1,2\n", ','),
            ("a;b\n1,5;2,5\n3,1;4,1\n", ';'),
            ("a\tb\n1\t2\n", '\t'),
            ("a|b|c\n1|2|3\n", '|'),
            ("alone\n1\n", ','),
            ("\"a;b\",c\n1,2\n", ','),
            ("a;b", ';'),
        ] {
            assert_eq!(char::from(guess_delimiter(bytes.as_bytes())), delimiter, "{bytes:?}");
        }
    }

    #[test]
    fn delimiters_are_one_character() {
        assert_eq!(read_delimiter("").unwrap(), None);
        assert_eq!(read_delimiter("auto").unwrap(), None);
        assert_eq!(read_delimiter(";").unwrap(), Some(b';'));
        assert_eq!(read_delimiter("\t").unwrap(), Some(b'\t'));
        for bad in ["\"", "ab", "é", "\n"] {
            assert!(read_delimiter(bad).is_err(), "{bad:?}");
        }
    }
}
