//! Frames as they stand on the wire, one file each, and the examples of docs/protocol.md.
//!
//! Each decodes and encodes to exactly the same, so that a change of the wire is a change of a file here; every kind
//! of frame and row has one.

use std::collections::BTreeSet;
use std::path::Path;

use milepost::protocol::binary::{self, BinaryFrame, Change, Channels};
use milepost::protocol::{ClientFrame, Row, ServerFrame, Topic};

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Name and text of each golden file whose name begins with `side`.
fn golden(side: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names
        .filter(|name| name.starts_with(side) && name.ends_with(".json"))
        .map(|name| {
            let text = text(&format!("tests/it/golden/{name}")).trim_end().to_owned();
            (name, text)
        })
        .collect();
    files.sort();
    files
}

/// The same frame in the compact codec, on channel 5; parts of rows where the name says so.
fn compact(name: &str, frame: &ServerFrame) -> Vec<u8> {
    match frame {
        ServerFrame::Snapshot { topic, rev, rows } => binary::snapshot(*topic, 5, *rev, rows.iter()),
        ServerFrame::Update { topic, rev, rows, gone } if rows.is_empty() && gone.is_empty() => {
            binary::current(*topic, 5, *rev)
        }
        ServerFrame::Update { topic, rev, rows, gone } => {
            // Its three members that change most.
            let which = name.contains("-batch.").then_some(0b111);
            let rows: Vec<_> = rows.iter().map(|row| (row, which)).collect();
            binary::update(*topic, 5, *rev, &rows, gone)
        }
        ServerFrame::Welcome { .. } | ServerFrame::Ping | ServerFrame::Error { .. } => {
            binary::plain(frame).expect("no rows")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds `bytes` to the file; `GOLDEN=write` makes it anew, after a change of the wire that is meant.
fn keeps(name: &str, bytes: &[u8]) {
    let path = format!("tests/it/golden/{}", name.replace(".json", ".hex"));
    if std::env::var("GOLDEN").is_ok_and(|wish| wish == "write") {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
        std::fs::write(file, format!("{}\n", hex(bytes))).unwrap();
    }
    assert_eq!(hex(bytes), text(&path).trim_end(), "{path}");
}

/// What the compact codec says, as the JSON says it; parts by the members that they tell.
fn read(topic: Topic, bytes: &[u8]) -> BinaryFrame {
    let mut channels = Channels::default();
    channels.read(&binary::current(topic, 5, 0)).unwrap();
    channels.read(bytes).unwrap()
}

fn row_kind(row: &Row) -> &'static str {
    match row {
        Row::Batch(_) => "batch",
        Row::Item(_) => "item",
        Row::ItemLive(_) => "item detail",
        Row::Family(_) => "family",
        Row::Cell(_) => "cell",
        Row::Pulse(_) => "time bucket",
        Row::Node(_) => "node",
    }
}

#[test]
fn client_frames_keep_their_text() {
    let mut kinds = BTreeSet::new();
    for (name, text) in golden("client-") {
        let frame: ClientFrame =
            serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(serde_json::to_string(&frame).unwrap(), text, "{name}");
        let bytes = binary::of_client(&frame);
        keeps(&name, &bytes);
        assert_eq!(binary::client_frame(&bytes).as_ref(), Ok(&frame), "{name}");
        kinds.insert(match frame {
            ClientFrame::Subscribe { .. } => "subscribe",
            ClientFrame::Unsubscribe { .. } => "unsubscribe",
            ClientFrame::Pong {} => "pong",
            ClientFrame::Pace { .. } => "pace",
        });
    }
    assert_eq!(kinds, BTreeSet::from(["subscribe", "unsubscribe", "pong", "pace"]));
}

fn tells_the_same(name: &str, frame: &ServerFrame, bytes: &[u8]) {
    let topic = match frame {
        ServerFrame::Snapshot { topic, .. } | ServerFrame::Update { topic, .. } => *topic,
        ServerFrame::Welcome { .. } | ServerFrame::Ping | ServerFrame::Error { .. } => Topic::Batches,
    };
    match (read(topic, bytes), frame) {
        (BinaryFrame::Frame(heard), frame) => assert_eq!(&heard, frame, "{name}"),
        (
            BinaryFrame::Update { rev, changes, gone, .. },
            ServerFrame::Update { rev: as_of, rows, gone: left, .. },
        ) => {
            assert_eq!((rev, &gone, changes.len()), (*as_of, left, rows.len()), "{name}");
            for (change, row) in changes.iter().zip(rows) {
                match change {
                    Change::Whole(whole) => assert_eq!(whole, row, "{name}"),
                    Change::Part { row: part, which } => {
                        assert_eq!(part.differing(row) & which, 0, "{name}");
                        assert_eq!((part.key(), part.rev()), (row.key(), row.rev()), "{name}");
                    }
                }
            }
        }
        (heard, _) => panic!("{name}: {heard:?}"),
    }
}

#[test]
fn server_frames_keep_their_text() {
    let (mut kinds, mut rows_seen) = (BTreeSet::new(), BTreeSet::new());
    for (name, text) in golden("server-") {
        let frame = ServerFrame::from_json(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(frame.to_json(), text, "{name}");
        let bytes = compact(&name, &frame);
        keeps(&name, &bytes);
        tells_the_same(&name, &frame, &bytes);
        let (kind, rows) = match &frame {
            ServerFrame::Welcome { .. } => ("welcome", &[][..]),
            ServerFrame::Ping => ("ping", &[][..]),
            ServerFrame::Snapshot { rows, .. } => ("snapshot", &rows[..]),
            ServerFrame::Update { rows, .. } => ("update", &rows[..]),
            ServerFrame::Error { .. } => ("error", &[][..]),
        };
        kinds.insert(kind);
        rows_seen.extend(rows.iter().map(row_kind));
    }
    assert_eq!(kinds, BTreeSet::from(["welcome", "ping", "snapshot", "update", "error"]));
    assert_eq!(
        rows_seen,
        BTreeSet::from(["batch", "item", "item detail", "family", "cell", "time bucket", "node"])
    );
}

#[test]
fn the_examples_of_the_document_are_frames() {
    let document = text("docs/protocol.md");
    let (mut side, mut fenced, mut client, mut server) = ("", false, 0, 0);
    for line in document.lines() {
        if line.starts_with("## ") {
            side = line;
        } else if line.starts_with("```") {
            fenced = line == "```json";
        } else if fenced && side.starts_with("## Client") {
            serde_json::from_str::<ClientFrame>(line).unwrap_or_else(|fault| panic!("{line}: {fault}"));
            client += 1;
        } else if fenced && side.starts_with("## Server") {
            ServerFrame::from_json(line).unwrap_or_else(|fault| panic!("{line}: {fault}"));
            server += 1;
        } else {
            assert!(!fenced, "an example under neither side: {line}");
        }
    }
    assert!(client >= 4 && server >= 5, "{client} and {server} examples");
}
