//! Frames of the live connection, in JSON: what a client says.
//!
//! What is not a documented frame in full is none: no other members, no lists for objects.

use serde::{Deserialize, Serialize};

use super::ids::Rev;
use super::json::Object;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "RawClientFrame")]
pub enum ClientFrame {
    /// Listen to a topic; `rev` is what the page already shows.
    Subscribe {
        /// Which topic, as text: an unreadable one is answered, not punished.
        topic: String,
        /// Revision that the page already shows.
        #[serde(skip_serializing_if = "Option::is_none")]
        rev: Option<Rev>,
    },
    /// Stop listening.
    Unsubscribe {
        /// Which topic.
        topic: String,
    },
    /// Answer to a ping.
    Pong {},
    /// Ask for fewer frames.
    Pace {
        /// Updates a second; 0 = none; held to the tick.
        hz: f64,
    },
}

/// A client's frame as it must stand in JSON: each member is an object, with no members but these.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawClientFrame {
    Subscribe(Object<Subscribe>),
    Unsubscribe(Object<Unsubscribe>),
    Pong(Object<Nothing>),
    Pace(Object<Pace>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    topic: String,
    rev: Option<Rev>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    topic: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pace {
    hz: f64,
}

impl From<RawClientFrame> for ClientFrame {
    fn from(raw: RawClientFrame) -> Self {
        match raw {
            RawClientFrame::Subscribe(Object(Subscribe { topic, rev })) => Self::Subscribe { topic, rev },
            RawClientFrame::Unsubscribe(Object(Unsubscribe { topic })) => Self::Unsubscribe { topic },
            RawClientFrame::Pong(Object(Nothing {})) => Self::Pong {},
            RawClientFrame::Pace(Object(Pace { hz })) => Self::Pace { hz },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frames_read_as_documented() {
        let read = |text: &str| serde_json::from_str::<ClientFrame>(text);
        assert_eq!(
            read(r#"{"subscribe":{"topic":"batches","rev":417}}"#).unwrap(),
            ClientFrame::Subscribe { topic: "batches".into(), rev: Some(417) }
        );
        assert_eq!(
            read(r#"{"subscribe":{"topic":"batches"}}"#).unwrap(),
            ClientFrame::Subscribe { topic: "batches".into(), rev: None }
        );
        assert_eq!(read(r#"{"pong":{}}"#).unwrap(), ClientFrame::Pong {});
        assert_eq!(read(r#"{"pace":{"hz":0.2}}"#).unwrap(), ClientFrame::Pace { hz: 0.2 });
        for bad in [
            r#"{"subscribe":{"topic":"batches","rev":-1}}"#,
            r#"{"hello":{}}"#,
            "[]",
            "true",
            r#""pong""#,
            r#"{"pong":[]}"#,
            r#"{"subscribe":["nodes",1]}"#,
            r#"{"pace":[1]}"#,
            r#"{"pong":{"a":1}}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
