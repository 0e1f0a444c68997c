//! What one connection hears, whatever carries it: topics are read, answered and told.
//!
//! Owns the session and the reads under way. Called by the socket and the events. Invariant: a topic is registered
//! before its rows are read, so nothing that is published meanwhile is missed; a read goes on by itself, however slowly its
//! client takes frames: one that stood still would keep a connection to the database from everybody. Deliberately knows
//! no transport.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::hub::{Answer, Outlet, Session, Turn};
use crate::protocol::{ApiError, Codec, ErrorCode, Rev, ServerFrame, Topic, binary};
use crate::server::state::AppState;
use crate::service::live::{TopicRows, check_topic};
use crate::service::{Caller, Service};

/// Subscribes of one connection that are read at once; beyond, its messages wait unread.
const READS_MAX: usize = 8;

/// What a subscribe has become.
pub struct Reading {
    /// The topic as the client wrote it.
    name: String,
    topic: Topic,
    known: Option<Rev>,
    rows: Result<TopicRows, ApiError>,
}

/// How a subscribe was answered.
pub enum Answered {
    /// By this, which has left where there is an outlet.
    Told(Bytes),
    /// By this refusal.
    Refused(Bytes),
}

impl Answered {
    /// The frame, for a connection without an outlet.
    pub fn frame(self) -> Bytes {
        match self {
            Self::Told(frame) | Self::Refused(frame) => frame,
        }
    }
}

/// What one connection hears.
pub struct Ear {
    /// Its subscriptions and pace.
    pub session: Session,
    codec: Codec,
    service: Service,
    caller: Caller,
    /// At most [`READS_MAX`], and one more per topic that fell behind. They end with the connection.
    reads: JoinSet<Reading>,
}

/// A frame in a codec. Answers and updates are the hub's to write.
pub fn encode(frame: &ServerFrame, codec: Codec) -> Bytes {
    match codec {
        Codec::Json => frame.to_json().into(),
        Codec::Binary => binary::plain(frame).expect("rows are written by the hub").into(),
    }
}

impl Ear {
    /// Hears nothing yet. With an outlet, frames leave by it and not by what is answered here.
    pub fn new(state: &AppState, caller: Caller, codec: Codec, outlet: Option<Arc<dyn Outlet>>) -> Self {
        let session = state.service.parts().hub.session_to(caller.viewer(), codec, outlet);
        let service = state.service.clone();
        Self { session, codec, service, caller, reads: JoinSet::new() }
    }

    /// Listens to a topic by name; answers the refusal, if it is refused at once.
    pub fn subscribe(&mut self, name: String, known: Option<Rev>) -> Option<Bytes> {
        let Ok(topic) = name.parse::<Topic>() else {
            return Some(self.refusal(name, ApiError::not_found("topic")));
        };
        if let Err(refusal) = check_topic(topic) {
            return Some(self.refusal(name, refusal));
        }
        if let Err(refused) = self.session.subscribe(topic) {
            return Some(self.refusal(name, ApiError::new(ErrorCode::TooMany, refused.to_string())));
        }
        self.read(name, topic, known);
        None
    }

    /// Stops listening. A name that is no topic was never heard.
    pub fn unsubscribe(&mut self, name: &str) {
        if let Ok(topic) = name.parse() {
            self.session.unsubscribe(topic);
        }
    }

    /// True while no more subscribes are to be taken.
    pub fn is_busy(&self) -> bool {
        self.reads.len() >= READS_MAX
    }

    /// True while something is being read.
    pub fn is_reading(&self) -> bool {
        !self.reads.is_empty()
    }

    /// The next that has been read. Pending where nothing is being read. Cancel-safe.
    pub async fn read_done(&mut self) -> Reading {
        loop {
            match self.reads.join_next().await {
                Some(Ok(reading)) => return reading,
                Some(Err(error)) => tracing::error!(%error, "a topic could not be read"),
                None => std::future::pending().await,
            }
        }
    }

    /// What is to be sent now; starts to read what the session has missed too much of.
    pub fn turn(&mut self, now: Instant) -> (Vec<Bytes>, Option<Instant>) {
        let Turn { frames, ask, next } = self.session.turn(now);
        for topic in ask {
            self.read(topic.to_string(), topic, None);
        }
        (frames, next)
    }

    /// The frame that answers what has been read, or the refusal; none where it must be read again, or is no longer wanted.
    /// An answer has left already where there is an outlet.
    pub fn answer(&mut self, reading: Reading) -> Option<Answered> {
        let Reading { name, topic, known, rows } = reading;
        match rows {
            Ok(TopicRows { rev, rows }) => match self.session.answer(topic, known, rev, rows) {
                Answer::Frame(frame) => Some(Answered::Told(frame)),
                Answer::Again => {
                    self.read(name, topic, None);
                    None
                }
                Answer::Unheard => None,
            },
            Err(refusal) => {
                self.session.unsubscribe(topic);
                Some(Answered::Refused(self.refusal(name, refusal)))
            }
        }
    }

    /// Reads the rows of a topic beside everything else.
    fn read(&mut self, name: String, topic: Topic, known: Option<Rev>) {
        let (service, caller) = (self.service.clone(), self.caller.clone());
        self.reads.spawn(async move {
            let rows = service.topic_since(&caller, topic, known).await;
            Reading { name, topic, known, rows }
        });
    }

    fn refusal(&self, topic: String, refusal: ApiError) -> Bytes {
        let frame = ServerFrame::Error { topic, code: refusal.code, message: refusal.detail };
        encode(&frame, self.codec)
    }
}
