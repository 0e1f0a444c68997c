//! What a process may say: one JSON object a line; anything else is log.
//!
//! Owns the reading of a worker's line and the writing of an item's. Called by the one-shot run and the worker.
//! Invariant: no line is an error: what is not understood is log. Deliberately waits for nothing.

use serde::{Deserialize, Deserializer, Serialize};

use super::super::context::{LogLevel, TaskContext};
use super::super::task::{Again, Item, ItemInput, TaskError};
use crate::protocol::{BatchId, Json, Seq};

/// Version of the lines.
const VERSION: u32 = 1;

/// What one line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Progress {
        fraction: Option<f64>,
        note: Option<String>,
    },
    Log {
        level: LogLevel,
        text: String,
    },
    File(String),
    Result(Json),
    Error {
        text: String,
        again: Again,
    },
    /// No object of ours: a line of log.
    Plain(String),
    /// Of another item: the line.
    Other(String),
}

#[derive(Deserialize)]
struct Object {
    seq: Option<Seq>,
    progress: Option<Progress>,
    log: Option<Text>,
    level: Option<String>,
    file: Option<String>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Json>,
    error: Option<Text>,
    retry: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Progress {
    Fraction(f64),
    Steps { done: Option<f64>, total: Option<f64>, note: Option<String> },
}

/// A text, or any other value as JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Other(serde_json::Value),
}

impl Text {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Other(value) => value.to_string(),
        }
    }
}

/// A result of `null` is a result.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Reads one line of the process that has item `seq` in hand.
pub(super) fn read(line: &str, seq: Seq) -> Said {
    let object = Some(line).filter(|line| line.trim_start().starts_with('{'));
    let Some(object) = object.and_then(|line| serde_json::from_str::<Object>(line).ok()) else {
        return Said::Plain(line.to_owned());
    };
    if object.seq.is_some_and(|other| other != seq) {
        return Said::Other(line.to_owned());
    }
    if let Some(result) = object.result {
        return Said::Result(result);
    }
    if let Some(text) = object.error {
        let again = if object.retry == Some(false) { Again::No } else { Again::Yes };
        return Said::Error { text: text.into_text(), again };
    }
    if let Some(name) = object.file {
        return Said::File(name);
    }
    if let Some(text) = object.log {
        return Said::Log { level: level(object.level.as_deref()), text: text.into_text() };
    }
    match object.progress {
        Some(Progress::Fraction(fraction)) => Said::Progress { fraction: Some(fraction), note: None },
        Some(Progress::Steps { done, total, note }) => {
            let fraction =
                done.zip(total).filter(|(_, total)| *total > 0.0).map(|(done, total)| done / total);
            Said::Progress { fraction, note }
        }
        None => Said::Plain(line.to_owned()),
    }
}

fn level(word: Option<&str>) -> LogLevel {
    match word {
        Some("warn" | "warning") => LogLevel::Warn,
        Some("error") => LogLevel::Error,
        Some(_) | None => LogLevel::Info,
    }
}

/// Takes what changes nothing but what people see: progress and log. True if that was all the line said.
pub(super) fn take_words(said: &Said, context: &TaskContext) -> bool {
    match said {
        Said::Progress { fraction, note } => {
            if let Some(note) = note {
                context.note(note);
            }
            if let Some(fraction) = fraction {
                context.progress(*fraction);
            }
            true
        }
        Said::Log { level, text } => {
            context.log(*level, text);
            true
        }
        Said::Plain(line) => {
            context.log(LogLevel::Info, line);
            true
        }
        Said::Other(line) => {
            context.log(LogLevel::Warn, &format!("a line of another item is ignored: {line}"));
            true
        }
        Said::File(_) | Said::Result(_) | Said::Error { .. } => false,
    }
}

/// An error that the process told.
pub(super) fn told(text: String, again: Again) -> TaskError {
    let message = if text.trim().is_empty() { "The task failed and said nothing.".to_owned() } else { text };
    TaskError { kind: "error", message, again }
}

/// The line that hands an item to a worker.
#[derive(Serialize)]
struct Handed<'a> {
    v: u32,
    batch: BatchId,
    seq: Seq,
    attempt: u32,
    input: Input<'a>,
    params: &'a Json,
    out: &'a str,
    deadline_ms: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Value(&'a Json),
    File {
        file: String,
        name: &'a str,
        bytes: u64,
        #[serde(rename = "type")]
        media_type: &'a str,
    },
}

/// The line that hands `item` over, with its end.
pub(super) fn hand(item: &Item, params: &Json, out: &str, context: &TaskContext) -> String {
    let input = match &item.input {
        ItemInput::Value(json) => Input::Value(json),
        ItemInput::File { name, path, bytes, media_type } => {
            let path = std::path::absolute(path).unwrap_or_else(|_unknown| path.clone());
            Input::File { file: path.to_string_lossy().into_owned(), name, bytes: *bytes, media_type }
        }
    };
    let handed = Handed {
        v: VERSION,
        batch: item.batch,
        seq: item.seq,
        attempt: item.attempt,
        input,
        params,
        out,
        deadline_ms: u64::try_from(context.time_limit().as_millis()).unwrap_or(u64::MAX),
    };
    let mut line = serde_json::to_string(&handed).expect("texts and numbers print as JSON");
    // Inside a raw value line ends may stand between tokens; in strings they are escaped.
    if line.contains(['\n', '\r']) {
        line = line.replace(['\n', '\r'], " ");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn every_line_of_the_surface_is_understood() {
        let log = |level, text: &str| Said::Log { level, text: text.to_owned() };
        let error = |text: &str, again| Said::Error { text: text.to_owned(), again };
        for (line, said) in [
            (r#"{"progress":0.4}"#, Said::Progress { fraction: Some(0.4), note: None }),
            (
                r#"{"progress":{"done":3,"total":10,"note":"page 3"}}"#,
                Said::Progress { fraction: Some(0.3), note: Some("page 3".to_owned()) },
            ),
            (r#"{"progress":{"done":3,"total":0}}"#, Said::Progress { fraction: None, note: None }),
            (r#"{"log":"text","level":"warn"}"#, log(LogLevel::Warn, "text")),
            (r#"{"log":{"a":1}}"#, log(LogLevel::Info, r#"{"a":1}"#)),
            (r#"{"file":"a.png"}"#, Said::File("a.png".to_owned())),
            (r#"{"result":null}"#, Said::Result(Json::default())),
            (
                r#" {"seq":41,"result":{"b":1.50,"a":[]}} "#,
                Said::Result(Json::parse(r#"{"b":1.50,"a":[]}"#).unwrap()),
            ),
            (r#"{"error":"text","retry":false}"#, error("text", Again::No)),
            (r#"{"error":"text"}"#, error("text", Again::Yes)),
            (r#"{"error":"text","retry":null}"#, error("text", Again::Yes)),
        ] {
            assert_eq!(read(line, 41), said, "{line}");
        }
    }

    #[test]
    fn all_else_is_log() {
        for line in ["", "hello", "{", "[1]", "4", "{}", r#"{"x":1}"#, r#"{"progress":"x"}"#, r#"{"file":4}"#]
        {
            assert_eq!(read(line, 1), Said::Plain(line.to_owned()), "{line}");
        }
        for line in [r#"{"seq":2,"result":1}"#, r#"{"seq":2,"log":"x"}"#] {
            assert_eq!(read(line, 1), Said::Other(line.to_owned()));
        }
    }

    #[test]
    fn an_item_is_one_line() {
        let input = ItemInput::Value(Json::parse("{\"a\":\n \"x\\ny\"}").unwrap());
        let context = TaskContext::new(Arc::default(), CancellationToken::new(), PathBuf::from("/o"));
        let mut item = Item { batch: BatchId::from_u128(1), seq: 41, attempt: 2, input };
        let params = Json::parse(r#"{"width":1.0}"#).unwrap();
        let line = hand(&item, &params, "/o/out", &context);
        assert_eq!(line.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"v": 1, "batch": item.batch.to_string(), "seq": 41, "attempt": 2,
                "input": {"a": "x\ny"}, "params": {"width": 1.0}, "out": "/o/out", "deadline_ms": 300_000})
        );
        let path = PathBuf::from("/f");
        item.input = ItemInput::File { name: "a.png".into(), path, bytes: 3, media_type: "image/png".into() };
        let read: serde_json::Value = serde_json::from_str(&hand(&item, &params, "/o", &context)).unwrap();
        let file = serde_json::json!({"file": "/f", "name": "a.png", "bytes": 3, "type": "image/png"});
        assert_eq!(read["input"], file);
    }
}
