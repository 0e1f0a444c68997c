//! Frames as they stand on the wire, one file each, and the examples of docs/protocol.md.
//!
//! Owns the files in `golden/`. Invariant under test: each decodes and encodes to exactly the same text, so that a
//! change of the wire is a change of a file here; every kind of frame and row has one. Deliberately opens no socket.

use std::collections::BTreeSet;
use std::path::Path;

use milepost::protocol::{ClientFrame, Row, ServerFrame};

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Name and text of each golden file whose name begins with `side`.
fn golden(side: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names
        .filter(|name| name.starts_with(side))
        .map(|name| {
            let text = text(&format!("tests/it/golden/{name}")).trim_end().to_owned();
            (name, text)
        })
        .collect();
    files.sort();
    files
}

fn row_kind(row: &Row) -> &'static str {
    match row {
        Row::Batch(_) => "batch",
        Row::Item(_) => "item",
        Row::ItemDetail(_) => "item detail",
        Row::Family(_) => "family",
        Row::Cell(_) => "cell",
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
        kinds.insert(match frame {
            ClientFrame::Subscribe { .. } => "subscribe",
            ClientFrame::Unsubscribe { .. } => "unsubscribe",
            ClientFrame::Pong {} => "pong",
            ClientFrame::Pace { .. } => "pace",
        });
    }
    assert_eq!(kinds, BTreeSet::from(["subscribe", "unsubscribe", "pong", "pace"]));
}

#[test]
fn server_frames_keep_their_text() {
    let (mut kinds, mut rows_seen) = (BTreeSet::new(), BTreeSet::new());
    for (name, text) in golden("server-") {
        let frame = ServerFrame::from_json(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(frame.to_json(), text, "{name}");
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
    assert_eq!(rows_seen, BTreeSet::from(["batch", "item", "item detail", "family", "cell", "node"]));
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
