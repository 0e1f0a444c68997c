//! What the server sends, read from either codec into what a client does with it.
//!
//! A [`FrameDecoder`] belongs to one connection: in the compact codec an answer names the channel by which later updates
//! call their topic.

use crate::client::fold::Delta;
use crate::protocol::binary::{BinaryFrame, Change, Channels, Unreadable};
use crate::protocol::{ClientFrame, Codec, ErrorCode, ServerFrame, Topic, binary};

/// A frame of the server, as far as a client acts on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The first frame: the server answers.
    Welcome {
        /// Interval of pings, in milliseconds.
        ping_ms: u64,
        /// Build of the page that belongs to the server.
        build: String,
    },
    /// To be answered with [`ClientFrame::Pong`].
    Ping,
    /// Rows of a topic.
    Rows {
        /// Which topic.
        topic: Topic,
        /// All of them, or what changed.
        delta: Delta,
    },
    /// A topic that cannot be had.
    Refused {
        /// Which topic; none where its name is no topic of this build.
        topic: Option<Topic>,
        /// What kind of refusal.
        code: ErrorCode,
        /// Why, in words.
        message: String,
    },
}

/// Reads the frames of one connection in the compact codec.
#[derive(Clone, Debug, Default)]
pub struct FrameDecoder {
    channels: Channels,
}

/// Reads a frame in JSON, which needs no frame before it.
///
/// # Errors
/// Where `text` is no frame that this build knows.
pub fn read_json(text: &str) -> Result<Incoming, Unreadable> {
    let refused = |_fault| Unreadable { expected: "a frame in JSON" };
    ServerFrame::from_json(text).map(Incoming::from).map_err(refused)
}

impl FrameDecoder {
    /// Reads a frame in the compact codec.
    ///
    /// # Errors
    /// Where `bytes` are no frame of this build, or name a channel that no answer has introduced.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Incoming, Unreadable> {
        Ok(match self.channels.read(bytes)? {
            BinaryFrame::Frame(frame) => frame.into(),
            BinaryFrame::Update { topic, rev, changes, gone } => {
                Incoming::Rows { topic, delta: Delta::Update { rev, changes, gone } }
            }
        })
    }
}

impl From<ServerFrame> for Incoming {
    fn from(frame: ServerFrame) -> Self {
        match frame {
            ServerFrame::Welcome { ping_ms, build, .. } => Self::Welcome { ping_ms, build },
            ServerFrame::Ping => Self::Ping,
            ServerFrame::Snapshot { topic, rev, rows } => {
                Self::Rows { topic, delta: Delta::Snapshot { rev, rows } }
            }
            ServerFrame::Update { topic, rev, rows, gone } => {
                let changes = rows.into_iter().map(Change::Whole).collect();
                Self::Rows { topic, delta: Delta::Update { rev, changes, gone } }
            }
            ServerFrame::Error { topic, code, message } => {
                Self::Refused { topic: topic.parse().ok(), code, message }
            }
        }
    }
}

/// A frame of the client as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// In JSON.
    Text(String),
    /// In the compact codec.
    Bytes(Vec<u8>),
}

/// Writes `frame` in `codec`.
#[must_use]
pub fn encode(frame: &ClientFrame, codec: Codec) -> Encoded {
    match codec {
        Codec::Json => {
            Encoded::Text(serde_json::to_string(frame).expect("frames hold only text and numbers"))
        }
        Codec::Binary => Encoded::Bytes(binary::of_client(frame)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Row, StripCell};

    const TOPIC: &str = "batch/0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b/strip";

    fn cell(succeeded: u64, rev: u64) -> StripCell {
        StripCell { cell: 3, first: 1, last: 9, succeeded, failed: 0, cancelled: 0, rev }
    }

    #[test]
    fn both_codecs_say_the_same() {
        let topic: Topic = TOPIC.parse().unwrap();
        let frames = [
            ServerFrame::Ping,
            ServerFrame::Snapshot { topic, rev: 3, rows: vec![Row::Cell(cell(1, 3))] },
            ServerFrame::Update { topic, rev: 3, rows: Vec::new(), gone: Vec::new() },
            ServerFrame::Error { topic: TOPIC.into(), code: ErrorCode::Busy, message: "later".into() },
            ServerFrame::Error { topic: "x".into(), code: ErrorCode::NotFound, message: "no".into() },
        ];
        for frame in frames {
            let bytes = match &frame {
                ServerFrame::Snapshot { topic, rev, rows } => binary::snapshot(*topic, 7, *rev, rows.iter()),
                ServerFrame::Update { topic, rev, .. } => binary::current(*topic, 7, *rev),
                other => binary::plain(other).unwrap(),
            };
            let mut decoder = FrameDecoder::default();
            let by_json = read_json(&frame.to_json()).unwrap();
            assert_eq!(decoder.read(&bytes).unwrap(), by_json, "{frame:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_and_channels_belong_to_one_connection() {
        let mut decoder = FrameDecoder::default();
        for text in ["", "[]", r#"{"shrug":{}}"#] {
            assert!(read_json(text).is_err(), "{text}");
        }
        assert!(decoder.read(&[]).is_err());
        // An update on channel 7, which this connection has not heard of: kind, channel, rev, no rows.
        assert!(decoder.read(&[5, 7, 3, 0]).is_err());
    }
}
