//! The words of a message: which of them say what happened, and which only to what (a number, an address, a path, an id).

use std::net::Ipv6Addr;

/// A piece of a message, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Says what happened.
    Word(String),
    /// May differ between failures of one cause.
    Mark,
    /// What stands between two of the others; blanks are one.
    Gap(String),
}

/// From this length on a word of hexadecimal digits, some of them decimal, is an id.
const ID_CHARS_MIN: usize = 8;
/// Changes between letters and digits from which on a word is an id.
const ID_CHANGES_MIN: usize = 3;
/// Digits of a status at most: what has more is a number.
const STATUS_DIGITS_MAX: usize = 3;

/// Ends of host names; besides, any of two letters.
const TOP_LEVELS: &[&str] = &[
    "app",
    "arpa",
    "biz",
    "cloud",
    "com",
    "dev",
    "edu",
    "example",
    "gov",
    "home",
    "info",
    "int",
    "internal",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mil",
    "net",
    "online",
    "org",
    "site",
    "test",
    "xyz",
];
/// Ends of file names; besides, any of two letters.
const EXTENSIONS: &[&str] = &[
    "7z", "avi", "avif", "bak", "bin", "bmp", "bz2", "c", "cfg", "conf", "cpp", "csv", "dat", "db", "dll",
    "doc", "docx", "eps", "exe", "flac", "gif", "gz", "h", "heic", "htm", "html", "ico", "ini", "jar",
    "java", "jpeg", "jpg", "json", "jsonl", "log", "md", "mkv", "mov", "mp3", "mp4", "ndjson", "odt", "ods",
    "ogg", "parquet", "pdf", "png", "ppt", "pptx", "psd", "py", "rar", "raw", "rb", "rtf", "sh", "so", "sql",
    "sqlite", "svg", "tar", "tgz", "tif", "tiff", "tmp", "toml", "tsv", "ttf", "txt", "wav", "webm", "webp",
    "woff", "woff2", "xls", "xlsx", "xml", "xz", "yaml", "yml", "zip",
];

/// True for a sign of a script that puts no blanks between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// True where two neighbours are of one word.
pub fn run_on(left: char, right: char) -> bool {
    left.is_alphanumeric() && right.is_alphanumeric() && !is_unspaced(left) && !is_unspaced(right)
}

/// Whether a word ends before `right`: at a separator, and where the script changes.
fn parts(left: Option<char>, at: char, right: Option<char>) -> bool {
    match at {
        // Inside a number it groups digits.
        ',' => !(left.is_some_and(char::is_numeric) && right.is_some_and(char::is_numeric)),
        ';' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '|' | '=' | '"' | '\'' | '`' => true,
        _ => at.is_whitespace(),
    }
}

/// The pieces of `message`.
pub fn pieces(message: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (at, coarse) in message.split_whitespace().enumerate() {
        if at > 0 {
            pieces.push(Piece::Gap(" ".to_owned()));
        }
        push_coarse(&mut pieces, coarse);
    }
    pieces
}

/// What stands between blanks: perhaps with a URL in it, which may hold any sign.
fn push_coarse(pieces: &mut Vec<Piece>, coarse: &str) {
    let Some(colon) = coarse.find("://") else { return push_fine(pieces, coarse) };
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let begin = coarse[..colon].trim_end_matches(is_scheme).len();
    let mut open = 0_u32;
    let ends = |c: char| match c {
        '"' | '\'' | '<' | '>' | ']' | '}' => true,
        // One that was opened inside is part of it.
        '(' => {
            open += 1;
            false
        }
        ')' => {
            let closes = open == 0;
            open = open.saturating_sub(1);
            closes
        }
        _ => is_unspaced(c),
    };
    let end = coarse[colon..].find(ends).map_or(coarse.len(), |at| colon + at);
    let end = coarse[..end].trim_end_matches([':', '.', ',', ';', '!', '?']).len();
    push_fine(pieces, &coarse[..begin]);
    pieces.push(Piece::Mark);
    push_coarse(pieces, &coarse[end..]);
}

fn push_fine(pieces: &mut Vec<Piece>, coarse: &str) {
    let (mut begin, mut left) = (0, None);
    let mut chars = coarse.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let right = chars.peek().map(|(_at, c)| *c);
        if parts(left, c, right) {
            push_segment(pieces, &coarse[begin..at]);
            pieces.push(Piece::Gap(c.to_string()));
            begin = at + c.len_utf8();
        } else if left.is_some_and(|left| is_unspaced(left) != is_unspaced(c)) {
            push_segment(pieces, &coarse[begin..at]);
            begin = at;
        }
        left = Some(c);
    }
    push_segment(pieces, &coarse[begin..]);
}

/// What stands between separators, without the punctuation at its ends.
fn push_segment(pieces: &mut Vec<Piece>, segment: &str) {
    let is_stop = |c: char| matches!(c, '.' | ':' | '!' | '?' | '…' | '。' | '、' | '：');
    let word = segment.trim_end_matches(is_stop);
    if word.is_empty() {
        if !segment.is_empty() {
            pieces.push(Piece::Gap(segment.to_owned()));
        }
        return;
    }
    push_word(pieces, word);
    if word.len() < segment.len() {
        pieces.push(Piece::Gap(segment[word.len()..].to_owned()));
    }
}

fn push_word(pieces: &mut Vec<Piece>, word: &str) {
    if is_status(pieces, word) {
        pieces.push(Piece::Word(word.to_owned()));
    } else if is_number(word) || is_address(word) || is_path(word) || is_id(word) {
        pieces.push(Piece::Mark);
    } else if let Some((first, rest)) = word.split_once(':') {
        push_segment(pieces, first);
        pieces.push(Piece::Gap(":".to_owned()));
        push_segment(pieces, rest);
    } else if is_dotted_name(word) {
        pieces.push(Piece::Mark);
    } else {
        pieces.push(Piece::Word(without_numbers(word)));
    }
}

/// A number that says what happened: `exit code 137`, `HTTP 404`, `os error 13`.
fn is_status(pieces: &[Piece], word: &str) -> bool {
    if word.len() > STATUS_DIGITS_MAX || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let mut before = pieces.iter().rev().filter_map(|piece| match piece {
        Piece::Word(word) => Some(word.as_str()),
        Piece::Gap(gap) if matches!(gap.as_str(), " " | ":" | "=") => None,
        Piece::Gap(_) | Piece::Mark => Some(""),
    });
    match before.next() {
        Some("http" | "errno" | "signal") => true,
        Some("code" | "status") => {
            matches!(before.next(), Some("exit" | "status" | "return" | "http" | "error"))
        }
        Some("error") => before.next() == Some("os"),
        _ => false,
    }
}

/// Numbers, dates, times, versions, IPv4 addresses: digits and what parts them.
fn is_number(word: &str) -> bool {
    let fits =
        |c: char| c.is_numeric() || matches!(c, '-' | '+' | '.' | ',' | ':' | '/' | '_' | 't' | 'z' | '%');
    word.chars().any(char::is_numeric) && word.chars().all(fits)
}

/// E-mail addresses and IPv6 addresses.
fn is_address(word: &str) -> bool {
    let is_mail = word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    is_mail || (word.contains("::") || word.matches(':').count() > 2) && word.parse::<Ipv6Addr>().is_ok()
}

/// A path, rather than two words with a slash between.
fn is_path(word: &str) -> bool {
    let slashes = word.matches(['/', '\\']).count();
    if slashes == 0 || slashes == word.len() {
        return false;
    }
    let mut chars = word.chars();
    let (first, second) = (chars.next(), chars.next());
    let is_rooted = matches!(first, Some('/' | '\\' | '~' | '.')) || second == Some(':');
    is_rooted || slashes > 1 || word.contains(['.', '*']) || word.chars().any(char::is_numeric)
}

/// The name of a host or of a file. Names of code, such as `java.io.IOException`, say what happened.
fn is_dotted_name(word: &str) -> bool {
    let Some((stem, end)) = word.rsplit_once('.') else { return false };
    let is_part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '*' | '+' | '~'))
    };
    let two_letters = end.len() == 2 && end.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_known = two_letters || TOP_LEVELS.contains(&end) || EXTENSIONS.contains(&end);
    is_known && stem.split('.').all(is_part) && stem.chars().count() > 1 || (stem == "*" && is_part(end))
}

/// UUIDs, words of hexadecimal digits that hold a decimal one, and those in which letters and digits alternate.
fn is_id(word: &str) -> bool {
    if word.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return true;
    }
    let signs: Vec<char> = word.chars().filter(|c| *c != '-' && *c != '_').collect();
    if signs.len() < ID_CHARS_MIN || !signs.iter().all(char::is_ascii_alphanumeric) {
        return false;
    }
    let digits = signs.iter().filter(|c| c.is_ascii_digit()).count();
    let changes = signs.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
    digits > 0 && (signs.iter().all(char::is_ascii_hexdigit) || changes >= ID_CHANGES_MIN)
}

/// With a mark for each number in it.
fn without_numbers(word: &str) -> String {
    let mut kept = String::with_capacity(word.len());
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_numeric() {
            kept.push(c);
            continue;
        }
        kept.push('*');
        let mut ahead = chars.clone();
        while let Some(next) = ahead.next() {
            let goes_on = next.is_numeric()
                || (matches!(next, '.' | ',') && ahead.peek().is_some_and(|after| after.is_numeric()));
            if !goes_on {
                break;
            }
            chars = ahead.clone();
        }
    }
    kept
}
