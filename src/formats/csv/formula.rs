//! Cells that a spreadsheet would run: marked in an export, and bare again where an export comes back.
//!
//! A mark is a `'` in front. What begins with such a mark of its own gets one more, so that taking one away gives every
//! cell back as it was.

/// The mark.
const MARK: char = '\'';

/// `cell` as an export writes it.
#[must_use]
pub fn marked(cell: String) -> String {
    if needs_mark(&cell) { format!("{MARK}{cell}") } else { cell }
}

/// `cell` of an export as it was before it was marked.
#[must_use]
pub fn unmarked(cell: &str) -> &str {
    cell.strip_prefix(MARK).filter(|bare| needs_mark(bare)).unwrap_or(cell)
}

/// True for what a spreadsheet runs, marked or not.
fn needs_mark(cell: &str) -> bool {
    let bare = cell.trim_start_matches(MARK);
    if bare.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    // Spreadsheets pass over what takes no room in front of a formula.
    let begun = bare.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || takes_no_room(c));
    // Of full width too: some read those alike.
    begun.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && !is_plain_number(begun)
}

fn takes_no_room(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A sign, digits, perhaps a fraction and an exponent.
fn is_plain_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let number_fits = match number.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(number),
    };
    number_fits
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text_and_numbers_are_numbers() {
        for (cell, shown) in [
            ("=1+1", "'=1+1"),
            ("-5", "-5"),
            ("+4.25e-3", "+4.25e-3"),
            ("-5+cmd", "'-5+cmd"),
            ("+49 30 1234", "'+49 30 1234"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\nx", "'\nx"),
            ("\n=1", "'\n=1"),
            (" =1", "' =1"),
            ("\u{a0}\u{3000}=1", "'\u{a0}\u{3000}=1"),
            ("\0=1", "'\0=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\u{200b}@x", "'\u{200b}@x"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("'=1", "''=1"),
            ("-", "'-"),
            (" -5", " -5"),
            (" x", " x"),
            ("a=b", "a=b"),
            ("'tis", "'tis"),
            ("'", "'"),
            ("", ""),
        ] {
            assert_eq!(marked(cell.to_owned()), shown, "{cell:?}");
        }
    }

    #[test]
    fn what_was_marked_comes_back() {
        let starts = ["", "'", "''", " ", "\n", "\t", "\0", "\u{feff}", " '"];
        let rests = ["", "=1", "-5", "-x", "＝1", "x", "'=1", "'x", "+1e5", "@"];
        for cell in starts.iter().flat_map(|start| rests.map(|rest| format!("{start}{rest}"))) {
            assert_eq!(unmarked(&marked(cell.clone())), cell);
        }
        assert_eq!(unmarked("'tis"), "'tis", "what nobody has marked stays");
    }
}
