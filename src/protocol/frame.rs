//! Frames of the live connection, in JSON: what the server says, and how it is read and written.
//!
//! Rows are absolute, by key, newest wins.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::ErrorCode;
use super::ids::Rev;
use super::row::{Key, Row};
use super::topic::Topic;

/// The subprotocol that every program speaks.
pub const SUBPROTOCOL_JSON: &str = "milepost.v1.json";

/// The compact subprotocol of the project's own page, tied to one build: see [`super::binary`].
pub const SUBPROTOCOL_BINARY: &str = "milepost.v1.bin";

/// How frames stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// [`SUBPROTOCOL_JSON`].
    Json,
    /// [`SUBPROTOCOL_BINARY`].
    Binary,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 2] = [Self::Json, Self::Binary];

    /// Its subprotocol.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => SUBPROTOCOL_JSON,
            Self::Binary => SUBPROTOCOL_BINARY,
        }
    }
}

/// Why a connection is closed; the client reconnects except on [`CloseCode::NotSignedIn`] and
/// [`CloseCode::NotAllowed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The server goes away; the reason text is the hint in milliseconds when to come back.
    GoingAway = 1001,
    /// Bytes that are no WebSocket: RFC 6455 §7.4.1.
    ProtocolError = 1002,
    /// A text that is not UTF-8: RFC 6455 §8.1.
    NotUtf8 = 1007,
    /// A message over the limit.
    TooLarge = 1009,
    /// A message that is not a frame.
    Malformed = 4400,
    /// No valid login or token.
    NotSignedIn = 4401,
    /// Signed in, but not allowed here.
    NotAllowed = 4403,
    /// No pong in twice the ping interval.
    NoPong = 4408,
    /// Too many messages, or connections.
    TooMany = 4429,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// Bounds that the server tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WelcomeLimits {
    /// Bytes of one message from the client.
    pub message_bytes_max: u64,
    /// Subscriptions of one connection.
    pub subscriptions_max: u64,
    /// Messages a second from the client.
    pub messages_per_second_max: u64,
    /// Items in one window.
    pub window_items_max: u64,
    /// Longest that the shortest time between two updates of one topic becomes, in milliseconds: it follows the load.
    pub tick_ms: u64,
}

/// What a server says, as a client reads it. A server writes with [`ServerFrame::to_json`], or with
/// [`rows_json`] where the rows are encoded already.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerFrame {
    /// First frame of a connection.
    Welcome {
        /// Name and version of the server.
        server: String,
        /// Interval of pings.
        ping_ms: u64,
        /// Which build of the page belongs to this server.
        build: String,
        /// Bounds.
        limits: WelcomeLimits,
    },
    /// Are you there? Answered by pong.
    Ping,
    /// The whole of a topic; replaces what the client has.
    Snapshot {
        /// Which topic.
        topic: Topic,
        /// Revision that the rows show.
        rev: Rev,
        /// All rows.
        rows: Vec<Row>,
    },
    /// Rows that changed.
    Update {
        /// Which topic.
        topic: Topic,
        /// Revision that the rows show.
        rev: Rev,
        /// Changed rows, absolute.
        rows: Vec<Row>,
        /// Keys that are no longer in the topic.
        gone: Vec<Key>,
    },
    /// A subscription that cannot be.
    Error {
        /// The topic as the client wrote it.
        topic: String,
        /// What kind.
        code: ErrorCode,
        /// In words.
        message: String,
    },
}

/// The frame as it stands in JSON, rows unread.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RawFrame<'a> {
    Welcome {
        server: String,
        ping_ms: u64,
        #[serde(default)]
        build: String,
        limits: WelcomeLimits,
    },
    Ping {},
    Snapshot {
        topic: Topic,
        rev: Rev,
        #[serde(borrow)]
        rows: Vec<&'a RawValue>,
    },
    Update {
        topic: Topic,
        rev: Rev,
        #[serde(borrow)]
        rows: Vec<&'a RawValue>,
        #[serde(default)]
        gone: Vec<Key>,
    },
    Error {
        topic: String,
        code: ErrorCode,
        message: String,
    },
}

impl ServerFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// If `text` is not a frame, or a row is not of its topic.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let read = |topic: Topic, rows: Vec<&RawValue>| {
            rows.into_iter().map(|row| Row::from_json(topic, row.get())).collect::<Result<Vec<_>, _>>()
        };
        Ok(match serde_json::from_str(text)? {
            RawFrame::Welcome { server, ping_ms, build, limits } => {
                Self::Welcome { server, ping_ms, build, limits }
            }
            RawFrame::Ping {} => Self::Ping,
            RawFrame::Snapshot { topic, rev, rows } => {
                Self::Snapshot { topic, rev, rows: read(topic, rows)? }
            }
            RawFrame::Update { topic, rev, rows, gone } => {
                Self::Update { topic, rev, rows: read(topic, rows)?, gone }
            }
            RawFrame::Error { topic, code, message } => Self::Error { topic, code, message },
        })
    }

    /// Writes the frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        let texts = |rows: &[Row]| rows.iter().map(Row::to_json).collect::<Vec<_>>();
        let raw = match self {
            Self::Welcome { server, ping_ms, build, limits } => RawFrame::Welcome {
                server: server.clone(),
                ping_ms: *ping_ms,
                build: build.clone(),
                limits: limits.clone(),
            },
            Self::Ping => RawFrame::Ping {},
            Self::Snapshot { topic, rev, rows } => {
                return rows_json(Whole::Snapshot, *topic, *rev, &texts(rows), &[]);
            }
            Self::Update { topic, rev, rows, gone } => {
                return rows_json(Whole::Update, *topic, *rev, &texts(rows), gone);
            }
            Self::Error { topic, code, message } => {
                RawFrame::Error { topic: topic.clone(), code: *code, message: message.clone() }
            }
        };
        serde_json::to_string(&raw).expect("frames hold only text and numbers")
    }
}

/// Whether the rows are all of a topic, or those that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// All of it.
    Snapshot,
    /// What changed.
    Update,
}

/// Writes a snapshot or an update from rows that are encoded already: each row is encoded once for all
/// who hear it. A snapshot has no `gone`.
#[must_use]
pub fn rows_json<T: AsRef<str>>(whole: Whole, topic: Topic, rev: Rev, rows: &[T], gone: &[Key]) -> String {
    let name = match whole {
        Whole::Snapshot => "snapshot",
        Whole::Update => "update",
    };
    let bytes: usize = rows.iter().map(|row| row.as_ref().len() + 1).sum();
    let mut text = String::with_capacity(bytes + 128);
    write!(text, r#"{{"{name}":{{"topic":"{topic}","rev":{rev},"rows":["#)
        .expect("writing to a String cannot fail");
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(row.as_ref());
    }
    text.push(']');
    if whole == Whole::Update {
        let gone = serde_json::to_string(gone).expect("keys are text and numbers");
        write!(text, r#","gone":{gone}"#).expect("writing to a String cannot fail");
    }
    text.push_str("}}");
    text
}

#[cfg(test)]
mod tests {
    use super::super::item::Family;
    use super::*;

    #[test]
    fn server_frames_round_trip() {
        let family = Family {
            id: super::super::ids::FamilyId("9f2c".into()),
            message: "decode error".into(),
            count: 7,
            first_at: super::super::time::Timestamp(0),
            last_at: super::super::time::Timestamp(1),
            samples: vec![4012],
            rev: 3,
        };
        let topic: Topic = "batch/0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b/families".parse().unwrap();
        let frames = [
            ServerFrame::Ping,
            ServerFrame::Snapshot { topic, rev: 3, rows: vec![Row::Family(family.clone())] },
            ServerFrame::Update {
                topic,
                rev: 4,
                rows: vec![Row::Family(family)],
                gone: vec![Key::Text("a".into())],
            },
            ServerFrame::Error { topic: "x".into(), code: ErrorCode::NotFound, message: "no".into() },
        ];
        for frame in frames {
            assert_eq!(ServerFrame::from_json(&frame.to_json()).unwrap(), frame);
        }
    }
}
