//! The members of one line of a process, each read by itself: one that is odd takes no other with it.
//!
//! Nothing here decides what a line means as a whole.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::lines::Line;
use super::message::Message;
use crate::protocol::Json;
use crate::tasks::context::LogLevel;
use crate::tasks::task::Again;

/// An object as far as it concerns us, its values unread.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Members<'a> {
    #[serde(borrow, deserialize_with = "present")]
    pub seq: Option<&'a RawValue>,
    #[serde(borrow)]
    pub progress: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub log: Option<&'a RawValue>,
    #[serde(borrow)]
    level: Option<&'a RawValue>,
    #[serde(borrow)]
    pub file: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    retry: Option<&'a RawValue>,
}

/// A member that is `null` is there all the same.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Members<'_> {
    /// How grave its log is.
    pub fn level(&self) -> LogLevel {
        match self.level.map(text).as_deref() {
            Some("warn" | "warning") => LogLevel::Warn,
            Some("error") => LogLevel::Error,
            Some(_) | None => LogLevel::Info,
        }
    }

    /// How it ends the item, if it does. Beside a result, an error that says nothing (`""`, `false`) is none: some
    /// languages write every member of an answer.
    pub fn end(&self, line: &Line) -> Option<Message> {
        let says_nothing = |error: &&RawValue| matches!(error.get(), r#""""# | "false");
        let error = self.error.filter(|error| self.result.is_none() || !says_nothing(error));
        if let Some(error) = error {
            let again =
                if self.retry.is_some_and(|retry| retry.get() == "false") { Again::No } else { Again::Yes };
            return Some(Message::Error { text: text(error), again });
        }
        let result = json(self.result?);
        Some(match line {
            Line::Whole(_) => Message::Result(result),
            Line::Repaired(_) | Line::TooLong(_) => {
                Message::Refused("The answer's \"result\" stands in a line that is not UTF-8.".to_owned())
            }
        })
    }
}

fn json(value: &RawValue) -> Json {
    Json::parse(value.get()).expect("a raw value is one JSON value")
}

/// A text as it reads, any other value as it was written.
pub(super) fn text(value: &RawValue) -> String {
    json(value).display_text()
}

/// How far the item is; none where the value says nothing of the kind.
pub(super) fn progress(value: &RawValue) -> Option<Message> {
    if let Ok(fraction) = serde_json::from_str::<f64>(value.get()) {
        return Some(Message::Progress { fraction: Some(fraction), note: None });
    }
    let members = json(value).members()?;
    let named = |name: &str| members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
    let number = |name: &str| named(name).and_then(|value| serde_json::from_str::<f64>(value.as_str()).ok());
    let (done, total) = (number("done"), number("total"));
    let fraction = done.zip(total).filter(|(_, total)| *total > 0.0).map(|(done, total)| done / total);
    let note = named("note").filter(|note| note.as_str() != "null").map(Json::display_text);
    Some(Message::Progress { fraction, note })
}

/// The name of a file: it has to be the very name.
pub(super) fn file(name: &RawValue, line: &Line) -> Message {
    match (serde_json::from_str::<String>(name.get()), line) {
        (Ok(name), Line::Whole(_)) => Message::File(name),
        (Ok(_) | Err(_), _) => {
            Message::Refused("The answer's \"file\" is not a name in UTF-8 text.".to_owned())
        }
    }
}

/// True where `line`, which is no JSON or only its start, looks like an object with a member that ends an item or hands
/// a file over. Names may be quoted as JSON has them, or as Python and JavaScript print objects.
pub(super) fn names_an_answer(line: &str) -> bool {
    let bytes = line.as_bytes();
    let (mut depth, mut before, mut at) = (0_usize, b' ', 0);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        let name = match byte {
            b'{' | b'[' => {
                depth += 1;
                None
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                None
            }
            // An apostrophe opens a text only where one may stand: elsewhere it is one inside words.
            b'"' | b'\'' if byte == b'"' || matches!(before, b'{' | b'[' | b',' | b':') => {
                let end = end_of_text(bytes, at, byte);
                at = end + 1;
                Some(&bytes[start + 1..end.min(bytes.len())])
            }
            _ if byte.is_ascii_alphabetic() => {
                at = start + bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                Some(&bytes[start..at])
            }
            b' ' | b'\t' => continue,
            _ => None,
        };
        let named = name.is_some_and(|name| matches!(name, b"result" | b"error" | b"file"));
        if named && depth == 1 && matches!(before, b'{' | b',') && next_is_colon(bytes, at) {
            return true;
        }
        before = byte;
    }
    false
}

/// Where the text that began before `at` is closed by `quote`, or the end.
fn end_of_text(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == quote => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn next_is_colon(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..).and_then(|rest| rest.iter().find(|byte| !byte.is_ascii_whitespace())) == Some(&b':')
}
