//! What an item brought, taken out of the message of its failure: its text or the values of its record, the name of its
//! file, and the parts of these.

use super::MARK;
use super::common_words::{is_common, is_short};
use super::word_kind::run_on;
use crate::protocol::{InputKind, Json};
use crate::store::Source;

/// Bytes of an input's JSON that are looked at; values beyond are not taken out.
const SAMPLE_BYTES_MAX: usize = 4 * 1024;
/// Values of one input that are looked at.
const VALUES_MAX: usize = 64;
/// Texts that are looked for in one message.
const NEEDLES_MAX: usize = 128;
/// Parts of a value up to which each is looked for alone: a name has few, a sentence more.
const PARTS_MAX: usize = 4;
/// The same for the name of a file.
const FILE_NAME_PARTS_MAX: usize = 16;
/// Characters of a part at least.
const PART_CHARS_MIN: usize = 3;

/// The start of what an item brought, kept while it runs.
#[derive(Clone, Debug)]
pub struct InputSample {
    kind: InputKind,
    json: Box<str>,
}

impl InputSample {
    /// Of an item. A number that nobody wrote is kept as nothing: numbers are taken out of every message.
    pub fn new(source: Source, kind: InputKind, input: &Json) -> Self {
        let json = match source {
            Source::Generated => "",
            Source::Blocks => input.as_str(),
        };
        Self { kind, json: json[..json.floor_char_boundary(SAMPLE_BYTES_MAX)].into() }
    }

    /// `message`, in lower case, with a mark for each part of it that the item brought.
    pub(super) fn taken_out_of(&self, mut message: String) -> String {
        for needle in self.needles() {
            message = needle.taken_out_of(message);
        }
        message
    }

    /// What to look for, longest first.
    fn needles(&self) -> Vec<Needle> {
        let mut needles = Vec::new();
        for value in self.values() {
            let value = value.trim().to_lowercase();
            let name = value.rsplit(['/', '\\']).next().unwrap_or_default();
            needles.extend(Needle::whole(&value));
            needles.extend(Needle::whole(name));
            for stem in [name.rsplit_once('.'), name.split_once('.')].into_iter().flatten() {
                needles.extend(Needle::whole(stem.0));
            }
            let parts: Vec<&str> =
                value.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
            let parts_max = if self.kind == InputKind::File { FILE_NAME_PARTS_MAX } else { PARTS_MAX };
            if parts.len() <= parts_max {
                needles.extend(parts.into_iter().filter_map(Needle::part));
            }
            if needles.len() > NEEDLES_MAX {
                break;
            }
        }
        needles.sort_unstable_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        needles.dedup_by(|a, b| a.text == b.text);
        needles.truncate(NEEDLES_MAX);
        needles
    }

    /// The texts in it; of a file its name.
    fn values(&self) -> Vec<String> {
        let mut values = Vec::new();
        let (mut key, mut from) = (String::new(), 0);
        while let Some(begin) = self.json[from..].find('"').map(|at| from + at) {
            // What is cut off is no value.
            let Some(end) = end_of_string(&self.json, begin) else { break };
            let text = Json::parse(&self.json[begin..end]).map(|text| text.display_text());
            let text = text.unwrap_or_default();
            from = end;
            if self.json[end..].trim_start().starts_with(':') {
                key = text;
            } else if self.kind != InputKind::File || key == "name" {
                values.push(text);
                if values.len() == VALUES_MAX {
                    break;
                }
            }
        }
        values
    }
}

/// Where the JSON string that begins at `begin` has ended.
fn end_of_string(json: &str, begin: usize) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(begin + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Where a text counts as the item's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// As a whole word.
    Anywhere,
    /// Beside a colon or a bracket: the word may as well be one of the message.
    Exposed,
    /// As [`Place::Exposed`], and at the end of the message.
    ExposedOrLast,
}

/// A text to look for, in lower case.
struct Needle {
    text: String,
    place: Place,
}

impl Needle {
    /// Of all of a value; none where it says too little, or is made of the words of messages.
    fn whole(text: &str) -> Option<Self> {
        if !text.chars().any(char::is_alphabetic) {
            return None;
        }
        let place = match (is_common(text), is_short(text)) {
            (true, true) => Place::ExposedOrLast,
            (true, false) => Place::Exposed,
            (false, _) => Place::Anywhere,
        };
        let is_saying = place == Place::Anywhere
            && text.split(|c: char| !c.is_alphanumeric()).all(|word| word.is_empty() || is_common(word));
        (!is_saying).then(|| Self { text: text.to_owned(), place })
    }

    /// Of a part of a value.
    fn part(text: &str) -> Option<Self> {
        let says_much = text.chars().count() >= PART_CHARS_MIN || !text.is_ascii();
        let fits = says_much && text.chars().any(char::is_alphabetic) && !is_common(text);
        fits.then(|| Self { text: text.to_owned(), place: Place::Anywhere })
    }

    fn taken_out_of(&self, message: String) -> String {
        let mut kept = String::new();
        let mut from = 0;
        let mut search = 0;
        while let Some(begin) = message[search..].find(&self.text).map(|at| search + at) {
            let end = begin + self.text.len();
            if self.fits(&message[..begin], &message[end..]) {
                kept.push_str(&message[from..begin]);
                kept.push_str(MARK);
                from = end;
            }
            search = end;
        }
        if from == 0 {
            return message;
        }
        kept.push_str(&message[from..]);
        kept
    }

    /// Whether it is the item's own between `before` and `after`.
    fn fits(&self, before: &str, after: &str) -> bool {
        let runs_on = |left: Option<char>, right: Option<char>| {
            left.zip(right).is_some_and(|(left, right)| run_on(left, right))
        };
        let mut chars = self.text.chars();
        let (first, last) = (chars.next(), self.text.chars().next_back());
        if runs_on(before.chars().next_back(), first) || runs_on(last, after.chars().next()) {
            return false;
        }
        let is_exposed = after.starts_with([':', ')', ']', '>', ',', ';'])
            || before.trim_end().ends_with([':', '(', '[', '<', '=', ',']);
        match self.place {
            Place::Anywhere => true,
            Place::Exposed => is_exposed,
            Place::ExposedOrLast => is_exposed || after.trim_end_matches(['.', '!', ' ']).is_empty(),
        }
    }
}
