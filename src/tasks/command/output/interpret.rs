//! What a process may say: one JSON object a line; anything else is log. And the line that hands it an item.
//!
//! What a line says is taken, logged, or refused with the reason; nothing of it is dropped.

use serde::Serialize;

use super::lines::Line;
use super::members::{self, Members};
use super::message::Message;
use crate::protocol::{BatchId, Json, Seq};
use crate::tasks::command::RESULT_LINE_BYTES_MAX;
use crate::tasks::context::{LogLevel, TaskContext};
use crate::tasks::task::{Again, Item, ItemInput, TaskError};

/// Version of the lines.
const VERSION: u32 = 1;

/// Characters of a refused line that are shown, from the place of the fault on.
const SHOWN_CHARS_MAX: usize = 24;

/// Reads one line of the process that has item `seq` in hand.
///
/// Whatever the line says is in the answer. A line that names a result, an error or a file, but cannot be read, is
/// refused with the reason: taken as log, it would let the item succeed without its result.
pub(in crate::tasks::command) fn read(line: &Line, seq: Seq) -> Vec<Message> {
    // Some programs begin their output with a byte order mark.
    let text = line.text().trim_start_matches('\u{feff}');
    if !text.trim_start().starts_with('{') {
        return vec![Message::Plain(line.text().to_owned())];
    }
    let read = match line {
        Line::Whole(_) | Line::Repaired(_) => serde_json::from_str::<Members<'_>>(text)
            .map_err(|fault| format!("The answer is not valid JSON: {}.", in_place(text, &fault))),
        Line::TooLong(_) => Err(format!("The answer has more than {RESULT_LINE_BYTES_MAX} bytes.")),
    };
    match read {
        Ok(members) => said_by(&members, line, seq),
        Err(why) if members::names_an_answer(text) => vec![Message::Refused(why)],
        Err(_) => vec![Message::Plain(line.text().to_owned())],
    }
}

/// What is wrong with `text`, and what stands there.
fn in_place(text: &str, fault: &serde_json::Error) -> String {
    let words = fault.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    if fault.is_eof() {
        return format!("{words} at its end");
    }
    // The parser counts bytes, from 1.
    let at = text.floor_char_boundary(fault.column().saturating_sub(1));
    let shown: String = text[at..].chars().take(SHOWN_CHARS_MAX).collect();
    format!("{words} at {shown:?}")
}

/// What the members of one object say, in the order in which it is acted on.
fn said_by(members: &Members<'_>, line: &Line, seq: Seq) -> Vec<Message> {
    let answers = [members.result, members.error, members.file].iter().any(Option::is_some);
    match members.seq.map(|other| other.get().parse::<Seq>()) {
        Some(Ok(other)) if other != seq => return vec![Message::Other(line.text().to_owned())],
        Some(Err(_)) if answers => {
            return vec![Message::Refused("The answer's \"seq\" is not the number of an item.".to_owned())];
        }
        Some(Ok(_) | Err(_)) | None => {}
    }
    let mut said = Vec::with_capacity(1);
    if let Some(text) = members.log {
        said.push(Message::Log { level: members.level(), text: members::text(text) });
    }
    said.extend(members.progress.and_then(members::progress));
    if let Some(name) = members.file {
        said.push(members::file(name, line));
    }
    said.extend(members.end(line));
    if said.is_empty() {
        said.push(Message::Plain(line.text().to_owned()));
    }
    said
}

/// Takes what changes nothing but what people see: progress and log. True if that was all the line said.
pub(in crate::tasks::command) fn take_words(said: &Message, context: &TaskContext) -> bool {
    match said {
        Message::Progress { fraction, note } => {
            if let Some(note) = note {
                context.note(note);
            }
            if let Some(fraction) = fraction {
                context.progress(*fraction);
            }
            true
        }
        Message::Log { level, text } => {
            context.log(*level, text);
            true
        }
        Message::Plain(line) => {
            context.log(LogLevel::Info, line);
            true
        }
        Message::Other(line) => {
            context.log(LogLevel::Warn, &format!("a line of another item is ignored: {line}"));
            true
        }
        Message::File(_) | Message::Result(_) | Message::Error { .. } | Message::Refused(_) => false,
    }
}

/// An answer that was refused: it would be the same at another attempt.
pub(in crate::tasks::command) fn refused(why: String) -> TaskError {
    TaskError::input("answer", why)
}

/// An error that the process told.
pub(in crate::tasks::command) fn failure(text: String, again: Again) -> TaskError {
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
pub(in crate::tasks::command) fn hand(
    item: &Item,
    params: &Json,
    out: &str,
    context: &TaskContext,
) -> String {
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

    fn read_one(line: &str, seq: Seq) -> Message {
        let [said] = read(&Line::Whole(line.to_owned()), seq).try_into().expect("the line says one thing");
        said
    }

    fn log(level: LogLevel, text: &str) -> Message {
        Message::Log { level, text: text.to_owned() }
    }

    fn error(text: &str, again: Again) -> Message {
        Message::Error { text: text.to_owned(), again }
    }

    #[test]
    fn every_line_of_the_surface_is_understood() {
        for (line, said) in [
            (r#"{"progress":0.4}"#, Message::Progress { fraction: Some(0.4), note: None }),
            (
                r#"{"progress":{"done":3,"total":10,"note":"page 3"}}"#,
                Message::Progress { fraction: Some(0.3), note: Some("page 3".to_owned()) },
            ),
            (r#"{"progress":{"done":3,"total":0}}"#, Message::Progress { fraction: None, note: None }),
            (r#"{"log":"text","level":"warn"}"#, log(LogLevel::Warn, "text")),
            (r#"{"log":{"a":1.10}}"#, log(LogLevel::Info, r#"{"a":1.10}"#)),
            (r#"{"file":"a.png"}"#, Message::File("a.png".to_owned())),
            (r#"{"result":null}"#, Message::Result(Json::default())),
            (
                r#" {"seq":41,"result":{"b":1.50,"a":[]}} "#,
                Message::Result(Json::parse(r#"{"b":1.50,"a":[]}"#).unwrap()),
            ),
            ("\u{feff}{\"result\":1}", Message::Result(Json::number(1))),
            (r#"{"error":"text","retry":false}"#, error("text", Again::No)),
            (r#"{"error":"text"}"#, error("text", Again::Yes)),
            (r#"{"error":"text","retry":null}"#, error("text", Again::Yes)),
        ] {
            assert_eq!(read_one(line, 41), said, "{line}");
        }
    }

    #[test]
    fn all_else_is_log() {
        for line in [
            "",
            "hello",
            "{",
            "[1]",
            "4",
            "{}",
            r#"{"x":1}"#,
            r#"{"progress":"x"}"#,
            r#"{"level":30,"msg":"the error: none","time":1}"#,
            r#"{"msg":"a","nested":{"result":NaN}}"#,
            "{'name': 'result'}",
            r#"{"error":null}"#,
        ] {
            assert_eq!(read_one(line, 1), Message::Plain(line.to_owned()), "{line}");
        }
        for line in [r#"{"seq":2,"result":1}"#, r#"{"seq":2,"log":"x"}"#] {
            assert_eq!(read_one(line, 1), Message::Other(line.to_owned()));
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_refused() {
        for (line, why) in [
            (r#"{"result":{"mean":NaN,"n":0}}"#, r#"expected value at "NaN,"#),
            (r#"{"result":{"max":-Infinity}}"#, "Infinity"),
            (r#"{"error":"no data","stats":NaN}"#, "NaN"),
            (r#"{"stats":nan,"result":1}"#, "not valid JSON"),
            (r#"{"result":{"a":1}"#, "at its end"),
            (r#"{"result":1}{"result":2}"#, "trailing characters"),
            (r#"{"progress":1}{"result":2}"#, "trailing characters"),
            (r#"{"result":1,"result":2}"#, "duplicate field"),
            ("{'result': 1}", "not valid JSON"),
            ("{ result: 1 }", "not valid JSON"),
            (r#"{"result":"a	b"}"#, "control character"),
            (r#"{"seq":"1","result":1}"#, "\"seq\""),
            (r#"{"seq":1.5,"error":"x"}"#, "\"seq\""),
            (r#"{"file":4}"#, "\"file\""),
            (r#"{"file":"\udcf6.png"}"#, "\"file\""),
        ] {
            match read_one(line, 1) {
                Message::Refused(told) => assert!(told.contains(why), "{line}: {told}"),
                other => panic!("{line} is taken as {other:?}"),
            }
        }
        let repaired = |text: &str| Line::Repaired(text.to_owned());
        let [Message::Refused(why)] = &read(&repaired("{\"result\":\"K\u{fffd}ln\"}"), 1)[..] else {
            panic!("a result whose bytes were changed is not taken");
        };
        assert!(why.contains("UTF-8"), "{why}");
        assert_eq!(
            read(&repaired("{\"error\":\"no K\u{fffd}ln\"}"), 1),
            [error("no K\u{fffd}ln", Again::Yes)]
        );
    }

    #[test]
    fn an_error_is_heard_however_it_is_told() {
        for (line, said) in [
            (
                r#"{"error":"cannot read K\udcf6ln.txt","retry":false}"#,
                error("cannot read K\u{fffd}ln.txt", Again::No),
            ),
            (r#"{"error":{"n":1e999}}"#, error(r#"{"n":1e999}"#, Again::Yes)),
            (r#"{"error":"x","level":30,"stats":1e999}"#, error("x", Again::Yes)),
            (r#"{"error":"x","retry":"no"}"#, error("x", Again::Yes)),
            (r#"{"result":null,"error":"x"}"#, error("x", Again::Yes)),
            (r#"{"result":1,"error":null}"#, Message::Result(Json::number(1))),
            (r#"{"result":1,"error":""}"#, Message::Result(Json::number(1))),
            (r#"{"result":1,"error":false}"#, Message::Result(Json::number(1))),
        ] {
            assert_eq!(read_one(line, 1), said, "{line}");
        }
    }

    #[test]
    fn a_line_may_say_several_things() {
        let line = r#"{"result":1e999,"file":"a.png","progress":1,"log":"K\udcf6"}"#;
        assert_eq!(
            read(&Line::Whole(line.to_owned()), 1),
            [
                log(LogLevel::Info, "K\u{fffd}"),
                Message::Progress { fraction: Some(1.0), note: None },
                Message::File("a.png".to_owned()),
                Message::Result(Json::parse("1e999").unwrap())
            ]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_log_unless_it_answers() {
        let cut = |text: &str| read(&Line::TooLong(text.to_owned()), 1);
        assert_eq!(cut("a dump of much"), [Message::Plain("a dump of much".to_owned())]);
        assert_eq!(cut(r#"{"a":"much"#), [Message::Plain(r#"{"a":"much"#.to_owned())]);
        for line in [r#"{"result":"much"#, r#"{"seq":1,"result":[1,2"#, r#"{"error":"much"#] {
            assert!(matches!(&cut(line)[..], [Message::Refused(_)]), "{line}");
        }
    }

    #[test]
    fn an_item_is_one_line() {
        let input = ItemInput::Value(Json::parse("{\"a\":\n \"x\\ny\"}").unwrap());
        let context = TaskContext::new(Arc::default(), CancellationToken::new(), PathBuf::from("/o"));
        let mut item = Item { batch: BatchId::from_u128(1), seq: 41, generation: 1, attempt: 2, input };
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
