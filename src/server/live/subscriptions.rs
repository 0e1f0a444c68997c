//! What one connection hears, whatever carries it: topics are read, answered and told.
//!
//! The session and the reads under way, the same for all three transports. A topic is registered before its rows are read, so
//! nothing that is published meanwhile is missed. A connection reads a few topics at once and starts none while it has no room
//! for the answer. A read that was started goes on by itself, however slowly its client takes frames: one that stood still
//! would keep a connection to the database from everybody. Every read is answered, by rows or by an error.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frame_budget::{FrameBudget, FrameCharge};
use super::read_share::ReadShare;
use super::topic_budget::KeptTopics;
use crate::hub::{Outlet, Session, SubscribeAnswer, Turn, WireFrame};
use crate::protocol::{ApiError, Codec, ErrorCode, ItemRow, Rev, Row, ServerFrame, Topic, binary};
use crate::server::state::AppState;
use crate::service::live::{TopicRows, check_topic};
use crate::service::{Caller, Service};

/// Topics of one socket that are read at once, subscribes that wait for that included; beyond, its messages wait unread. A
/// stream of events and a poll name their topics in the query, and read one at a time.
pub const READS_MAX: usize = 4;
/// Bytes of a row besides the texts in it.
const ROW_BYTES: usize = 256;
/// Bytes of a row of which there are never many.
const SINGLE_ROW_BYTES: usize = 1024;

/// A topic that is to be read.
struct Wanted {
    /// As the client wrote it.
    name: String,
    topic: Topic,
    known: Option<Rev>,
}

/// What a subscribe has become.
pub struct TopicRead {
    wanted: Wanted,
    rows: Result<TopicRows, ApiError>,
    bytes: usize,
    charge: FrameCharge,
}

/// How a subscribe was answered.
pub enum AnsweredRead {
    /// By this, which has left where there is an outlet.
    Sent(WireFrame, FrameCharge),
    /// By this refusal.
    Refused(WireFrame),
}

/// What one connection hears.
pub struct LiveSubscriptions {
    /// Its subscriptions and pace.
    pub session: Session,
    codec: Codec,
    service: Service,
    caller: Caller,
    share: ReadShare,
    budget: FrameBudget,
    kept: KeptTopics,
    /// Cancelled where the connection is to end for want of room.
    cut: CancellationToken,
    /// To be read once there is room: at most [`READS_MAX`] subscribes, and one more per topic that fell behind.
    waiting: VecDeque<Wanted>,
    /// At most as many as the transport lets start. They end with the connection.
    reads: JoinSet<TopicRead>,
}

/// A frame in a codec. Answers and updates are the hub's to write.
pub fn encode(frame: &ServerFrame, codec: Codec) -> WireFrame {
    match codec {
        Codec::Json => WireFrame::new(codec, frame.to_json().as_bytes()),
        Codec::Binary => WireFrame::new(codec, &binary::plain(frame).expect("rows are written by the hub")),
    }
}

impl LiveSubscriptions {
    /// Hears nothing yet. With an outlet, frames leave by it and not by what is answered here. `cut` ends the
    /// connection.
    pub fn new(
        state: &AppState,
        caller: Caller,
        codec: Codec,
        outlet: Option<Arc<dyn Outlet>>,
        cut: CancellationToken,
    ) -> Self {
        let session = state.service.parts().hub.session_to(caller.viewer(), codec, outlet);
        Self {
            session,
            codec,
            service: state.service.clone(),
            share: state.reads.clone(),
            budget: state.frames.clone(),
            kept: state.topics.connection(&caller.name),
            caller,
            cut,
            // Before anything is read, for the same reason.
            waiting: VecDeque::with_capacity(READS_MAX),
            reads: JoinSet::new(),
        }
    }

    /// Cancelled where the connection is to end: it takes nothing, and others need the room.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Listens to a topic by name; answers the refusal, if it is refused at once. It is read by
    /// [`LiveSubscriptions::start_reads`].
    pub fn subscribe(&mut self, name: String, known: Option<Rev>) -> Option<WireFrame> {
        let Ok(topic) = name.parse::<Topic>() else {
            return Some(self.refusal(name, ApiError::not_found("topic")));
        };
        if let Err(refusal) = check_topic(topic) {
            return Some(self.refusal(name, refusal));
        }
        if let Err(refused) = self.session.subscribe(topic) {
            return Some(self.refusal(name, ApiError::new(ErrorCode::TooMany, refused.to_string())));
        }
        self.waiting.push_back(Wanted { name, topic, known });
        None
    }

    /// Stops listening. A name that is no topic was never heard.
    pub fn unsubscribe(&mut self, name: &str) {
        if let Ok(topic) = name.parse() {
            self.forget(topic);
        }
    }

    fn forget(&mut self, topic: Topic) {
        self.session.unsubscribe(topic);
        self.kept.drop_topic(topic);
    }

    /// True while no more subscribes are to be taken.
    pub fn is_busy(&self) -> bool {
        self.reads.len() + self.waiting.len() >= READS_MAX
    }

    /// True while something is being read.
    pub fn is_reading(&self) -> bool {
        !self.reads.is_empty()
    }

    /// Starts what waits to be read, as long as no more than `most` are under way. To be called only while there is room
    /// for answers.
    pub fn start_reads(&mut self, most: usize) {
        while self.reads.len() < most {
            let Some(wanted) = self.waiting.pop_front() else { return };
            // It may have been left meanwhile.
            if self.session.is_subscribed(wanted.topic) {
                self.read(wanted);
            }
        }
    }

    /// The next that has been read. Pending where nothing is being read. Cancel-safe.
    pub async fn read_done(&mut self) -> TopicRead {
        loop {
            match self.reads.join_next().await {
                Some(Ok(reading)) => return reading,
                // A panic in it is caught in it: this one was aborted, and nobody waits for it.
                Some(Err(error)) => tracing::error!(%error, "a topic could not be read"),
                None => std::future::pending().await,
            }
        }
    }

    /// What is to be sent now; what the session has missed too much of waits to be read.
    pub fn turn(&mut self, now: Instant) -> (Vec<WireFrame>, Option<Instant>) {
        let Turn { frames, ask, next } = self.session.turn(now);
        self.waiting.extend(ask.into_iter().map(|topic| Wanted {
            name: topic.to_string(),
            topic,
            known: None,
        }));
        (frames, next)
    }

    /// The frame that answers what has been read, or the refusal; none where it must be read again, or is no longer wanted.
    /// An answer has left already where there is an outlet.
    pub fn answer(&mut self, reading: TopicRead) -> Option<AnsweredRead> {
        let TopicRead { wanted, rows, bytes, charge } = reading;
        let topic = wanted.topic;
        let kept = rows.and_then(|rows| {
            if rows.rows.is_some() {
                self.kept.keep(topic, bytes)?;
            }
            Ok(rows)
        });
        match kept {
            Ok(TopicRows { rev, rows }) => match self.session.answer(topic, wanted.known, rev, rows) {
                SubscribeAnswer::Frame(frame) => Some(AnsweredRead::Sent(frame, charge)),
                SubscribeAnswer::Again => {
                    self.waiting.push_back(Wanted { known: None, ..wanted });
                    None
                }
                SubscribeAnswer::Unheard => {
                    self.kept.drop_topic(topic);
                    None
                }
            },
            Err(refusal) => {
                self.forget(topic);
                Some(AnsweredRead::Refused(self.refusal(wanted.name, refusal)))
            }
        }
    }

    /// Reads the rows of a topic beside everything else, in its turn.
    fn read(&mut self, wanted: Wanted) {
        let (service, caller) = (self.service.clone(), self.caller.clone());
        let (share, budget, cut) = (self.share.clone(), self.budget.clone(), self.cut.clone());
        self.reads.spawn(async move {
            let turn = share.turn_of(&caller.name).await;
            budget.room(&caller.name).await;
            let among_all = turn.among_all().await;
            // Boxed, and so made only when its turn has come: it takes some KiB, and thousands may wait.
            let reading = Box::pin(service.topic_since(&caller, wanted.topic, wanted.known));
            let rows = AssertUnwindSafe(reading).catch_unwind().await.unwrap_or_else(|_panic| {
                tracing::error!(topic = %wanted.topic, "reading a topic panicked");
                Err(ApiError::internal())
            });
            drop(among_all);
            let bytes = rows.as_ref().map_or(0, bytes_of);
            let charge = budget.charge(&caller.name, bytes, &cut);
            TopicRead { wanted, rows, bytes, charge }
        });
    }

    fn refusal(&self, topic: String, refusal: ApiError) -> WireFrame {
        let frame = ServerFrame::Error { topic, code: refusal.code, message: refusal.detail };
        encode(&frame, self.codec)
    }
}

/// About what the rows of a topic take, as rows or as a frame.
fn bytes_of(rows: &TopicRows) -> usize {
    rows.rows.iter().flatten().map(|(row, _audience)| bytes_of_row(row)).sum()
}

fn bytes_of_row(row: &Row) -> usize {
    match row {
        Row::Item(item) => bytes_of_item(item),
        Row::ItemLive(item) => {
            bytes_of_item(&item.row) + item.log.text.len() + item.history.len() * ROW_BYTES
        }
        Row::Cell(_) | Row::Pulse(_) => ROW_BYTES / 4,
        Row::Batch(_) | Row::Family(_) | Row::Node(_) => SINGLE_ROW_BYTES,
    }
}

fn bytes_of_item(item: &ItemRow) -> usize {
    let result = item.result.as_ref().map_or(0, |result| result.as_str().len());
    let error = item.error.as_ref().map_or(0, String::len);
    ROW_BYTES + item.input.as_str().len() + result + error
}
