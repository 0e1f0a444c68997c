//! The lines of a log: each with its number, and the colours that its program gave it.
//!
//! Numbers stand in attributes that the style shows, so a copy does not hold them. Of escape sequences (ECMA-48) only
//! SGR, which colours, does something; all others are dropped, and one that does not end in its line hides nothing. Each
//! line begins plain: lines of several programs may be mixed.

use super::escape::{escape, put};
use crate::protocol::letter_case::lower_case;

/// The lines of a log that hold what is looked for.
#[derive(Clone, PartialEq)]
pub struct LogLines {
    /// As HTML, one element each.
    pub html: String,
    /// How many.
    pub shown: u64,
    /// How many there are.
    pub all: u64,
}

/// The lines of `text` that hold `wanted`, in any case of letters; all of them without.
#[must_use]
pub fn lines(text: &str, wanted: &str) -> LogLines {
    let wanted = lower_case(wanted.trim());
    let mut found = LogLines { html: String::new(), shown: 0, all: 0 };
    for line in text.lines() {
        found.all += 1;
        let mut plain = String::new();
        pieces(line, |_style, text| plain.push_str(text));
        if !wanted.is_empty() && !lower_case(&plain).contains(&wanted) {
            continue;
        }
        found.shown += 1;
        let out = &mut found.html;
        put(out, &["<span class=\"log-line\" data-n=\"", &found.all.to_string(), "\">"]);
        pieces(line, |style, text| {
            let class = style.class();
            if class.is_empty() {
                return escape(out, text);
            }
            put(out, &["<span class=\"", &class, "\">", text, "</span>"]);
        });
        out.push_str("</span>");
    }
    found
}

/// How text looks.
#[derive(Clone, Copy, Default)]
struct Style {
    /// One of the 16.
    colour: Option<u8>,
    ground: Option<u8>,
    is_bold: bool,
    is_underlined: bool,
    is_inverse: bool,
}

impl Style {
    /// Its classes. A ground is drawn as the colour turned round: so each is legible on the other.
    fn class(self) -> String {
        let turned = self.is_inverse != self.ground.is_some();
        let colour = if turned && !self.is_inverse { self.ground } else { self.colour };
        let mut class = String::new();
        if let Some(colour) = colour {
            class.push('c');
            class.push_str(&colour.to_string());
        }
        for (is_on, name) in [(turned, " turned"), (self.is_bold, " bold"), (self.is_underlined, " line")] {
            if is_on {
                class.push_str(name);
            }
        }
        class
    }

    /// What the parameters of an SGR sequence do: `1;38;5;196`.
    fn select(&mut self, parameters: &str) {
        // Without a number it is 0; one that is too large selects nothing.
        let number = |text: &str| if text.is_empty() { 0 } else { text.parse().unwrap_or(u8::MAX) };
        let mut numbers = parameters.split([';', ':']).map(number);
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                4 => self.is_underlined = true,
                7 => self.is_inverse = true,
                22 => self.is_bold = false,
                24 => self.is_underlined = false,
                27 => self.is_inverse = false,
                39 => self.colour = None,
                49 => self.ground = None,
                30..=37 => self.colour = Some(number - 30),
                90..=97 => self.colour = Some(number - 82),
                40..=47 => self.ground = Some(number - 40),
                100..=107 => self.ground = Some(number - 92),
                38 => self.colour = of_many(&mut numbers),
                48 => self.ground = of_many(&mut numbers),
                _ => {}
            }
        }
    }
}

/// The nearest of the 16 to a colour of 256 or of all: `5;n`, `2;red;green;blue`.
fn of_many(numbers: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut next = || numbers.next().unwrap_or(0);
    let levels = match next() {
        5 => match next() {
            number @ 0..=15 => return Some(number),
            number @ 16..=231 => {
                let level = |part: u8| if part == 0 { 0 } else { 55 + part * 40 };
                let cube = number - 16;
                [level(cube / 36), level(cube / 6 % 6), level(cube % 6)]
            }
            number => [8 + (number - 232) * 10; 3],
        },
        2 => [next(), next(), next()],
        _ => return None,
    };
    let (high, low) = (levels.iter().max().copied()?, levels.iter().min().copied()?);
    if high - low < 40 {
        return Some([0, 8, 7, 15][usize::from(high) / 64]);
    }
    // What is over the middle between its lowest and its highest part is in it.
    let middle = u8::midpoint(high, low);
    let bit = |at: usize| u8::from(levels[at] > middle) << at;
    Some(bit(0) + bit(1) + bit(2) + if low > 85 || high > 220 { 8 } else { 0 })
}

/// Does `each` to the pieces of `line`, each with how it looks; escape sequences are in none.
fn pieces<'a>(line: &'a str, mut each: impl FnMut(Style, &'a str)) {
    let (mut style, mut rest) = (Style::default(), line);
    while let Some(at) = rest.find(['\u{1b}', '\u{9b}']) {
        if at > 0 {
            each(style, &rest[..at]);
        }
        let after = &rest[at..];
        let (length, parameters) = sequence(after);
        if let Some(parameters) = parameters {
            style.select(parameters);
        }
        rest = &after[length..];
    }
    if !rest.is_empty() {
        each(style, rest);
    }
}

/// How long the escape sequence at the start of `text` is, and what it selects if it is SGR.
fn sequence(text: &str) -> (usize, Option<&str>) {
    let mut chars = text.char_indices().skip(1);
    let introducer = text.chars().next().map_or(0, char::len_utf8);
    let kind = if introducer == 2 { Some((0, '[')) } else { chars.next() };
    let Some((at, kind)) = kind else { return (introducer, None) };
    let begin = if introducer == 2 { 2 } else { at + kind.len_utf8() };
    let body = &text[begin..];
    match kind {
        '[' => match body.find(|c| !matches!(c, ' '..='?')) {
            Some(end) if matches!(body.as_bytes()[end], b'@'..=b'~') => {
                let is_sgr = body.as_bytes()[end] == b'm' && !body.starts_with(['<', '=', '>', '?']);
                (begin + end + 1, is_sgr.then_some(&body[..end]))
            }
            Some(_) | None => (begin, None),
        },
        // Strings up to their end: titles, links, and what else is said to a terminal.
        ']' | 'P' | 'X' | '^' | '_' => match body.find(['\u{7}', '\u{1b}', '\u{9c}']) {
            Some(end) if body[end..].starts_with("\u{1b}\\") => (begin + end + 2, None),
            Some(end) if body.as_bytes()[end] == 7 => (begin + end + 1, None),
            Some(_) | None => (begin, None),
        },
        // Which letters are meant, and other things of two or three characters.
        ' '..='/' => {
            (begin + usize::from(body.bytes().next().is_some_and(|byte| byte.is_ascii_graphic())), None)
        }
        '0'..='~' => (begin, None),
        // What is no sequence goes without what would begin one.
        _ => (introducer, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::escape::texts;
    use super::*;

    /// The plain text of `line`, as [`lines`] shows it.
    fn plain(line: &str) -> String {
        let mut text = String::new();
        pieces(line, |_, piece| text.push_str(&crate::client::words::legible(piece)));
        text
    }

    fn one(line: &str) -> String {
        let html = lines(line, "").html;
        let inner = html.strip_prefix("<span class=\"log-line\" data-n=\"1\">").unwrap();
        inner.strip_suffix("</span>").unwrap().to_owned()
    }

    #[test]
    fn colours_become_classes() {
        for (line, html) in [
            ("info plain", "info plain"),
            ("a \u{1b}[31mred\u{1b}[0m b", "a <span class=\"c1\">red</span> b"),
            ("\u{9b}1;92mgood", "<span class=\"c10 bold\">good</span>"),
            (
                "\u{1b}[4;7mx\u{1b}[24my\u{1b}[m.",
                "<span class=\" turned line\">x</span><span class=\" turned\">y</span>.",
            ),
            ("\u{1b}[37;41mx", "<span class=\"c1 turned\">x</span>"),
            ("\u{1b}[38;5;196mx", "<span class=\"c9\">x</span>"),
            ("\u{1b}[38;5;22mx", "<span class=\"c2\">x</span>"),
            ("\u{1b}[38;5;244mx", "<span class=\"c7\">x</span>"),
            ("\u{1b}[38;2;20;40;200;1mx", "<span class=\"c4 bold\">x</span>"),
            ("\u{1b}[99;mx", "x"),
            ("\u{1b}[38;5mx", "<span class=\"c0\">x</span>"),
        ] {
            assert_eq!(one(line), html, "{line:?}");
        }
        assert_eq!(lines("\u{1b}[31mred\nplain", "").html.matches("c1").count(), 1, "each line begins plain");
    }

    #[test]
    fn all_else_of_sequences_is_dropped_and_hides_nothing() {
        for (line, text) in [
            ("a\u{1b}[2K\u{1b}[1;1Hb", "ab"),
            ("\u{1b}]8;;https://evil.example\u{7}link\u{1b}]8;;\u{1b}\\.", "link."),
            ("\u{1b}]0;title that does not end", "0;title that does not end"),
            ("\u{1b}Pq#0;2\u{1b}\\x\u{1b}(B.\u{1b}=y", "x.y"),
            ("\u{1b}[?25lx\u{1b}[>4;2my", "xy"),
            ("\u{1b}[31", "31"),
            ("\u{1b}[31é", "31é"),
            ("end\u{1b}", "end"),
            ("\u{1b}\u{1b}[1mx", "x"),
            ("\u{1b}]\u{1b}[31mx", "x"),
        ] {
            assert_eq!(plain(line), text, "{line:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_whole_log() {
        let log = "info start\nwarn Slow \u{1b}[33mdi\u{1b}[0msk\ninfo end\n";
        let found = lines(log, " slow DISK");
        assert_eq!((found.shown, found.all), (1, 3));
        assert!(found.html.starts_with("<span class=\"log-line\" data-n=\"2\">warn Slow "), "{}", found.html);
        assert_eq!((lines(log, "").shown, lines("", "x").all), (3, 0));
        assert_eq!(lines(log, "[33m").shown, 0, "what is not seen is not found");
    }

    proptest! {
        #[test]
        fn nothing_of_a_log_breaks_out(
            log in "([<>\"'&;a-z/= ?]|\\x1b|\\x1b\\[|\\x1b\\]|\\x9b|\\x07|\\x1b\\\\|[0-9;:]|m|\\n|\\x00|\\r|\\PC){0,80}",
            wanted in "[a-z<\"]{0,2}",
        ) {
            let found = lines(&log, &wanted);
            let text = texts(&found.html, &["span class= data-n=", "span class=", "/span"]);
            prop_assert_eq!(text.find(['\u{1b}', '\u{9b}']), None);
            prop_assert!(found.shown <= found.all && found.html.matches("log-line").count() as u64 >= found.shown);
            if wanted.is_empty() {
                prop_assert_eq!(text, log.lines().map(plain).collect::<String>());
            }
            for class in found.html.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                prop_assert!(class.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '-'), "{class}");
            }
        }
    }
}
