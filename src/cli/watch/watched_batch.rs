//! What is known of one batch: its newest row, and what to ask for next.
//!
//! Outlives connections. A batch that is named by its number is looked for in the list first.

use std::str::FromStr;

use crate::client::decoder::Incoming;
use crate::client::fold::{Delta, Listing, TopicView};
use crate::client::subscriptions::WantedTopics;
use crate::protocol::limits::LISTED_BATCHES_MAX;
use crate::protocol::{Batch, BatchId, ErrorCode, ParseError, Row, Topic};

/// A batch as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum BatchName {
    /// By its id.
    Id(BatchId),
    /// By its number.
    Number(u64),
}

impl From<BatchId> for BatchName {
    fn from(id: BatchId) -> Self {
        Self::Id(id)
    }
}

impl FromStr for BatchName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = ParseError { expected: "the id of a batch, or its number, like 128" };
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let digits = text.strip_prefix('#').unwrap_or(text);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| plain && *number > 0).map(Self::Number).ok_or(refused)
    }
}

/// What a frame means for the batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FrameOutcome {
    /// It was of something else.
    Unrelated,
    /// The number has an id now: other topics are wanted.
    Found,
    /// What is known of the batch is the newest.
    Current,
    /// There is a newer row.
    Newer,
    /// The server cannot say now: why.
    NotNow(String),
    /// There is nothing to follow: why.
    Over(String),
}

/// One batch and what is known of it.
#[derive(Debug)]
pub(super) struct WatchedBatch {
    name: BatchName,
    id: Option<BatchId>,
    /// Number of the batch, once a row of it has come.
    number: Option<u64>,
    view: TopicView<Batch>,
}

impl WatchedBatch {
    pub(super) fn new(name: BatchName) -> Self {
        let id = match name {
            BatchName::Id(id) => Some(id),
            BatchName::Number(_) => None,
        };
        Self { name, id, number: None, view: TopicView::new(0, Vec::new(), Listing::Whole) }
    }

    /// The newest row.
    pub(super) fn row(&self) -> Option<&Batch> {
        self.view.row(&self.id?)
    }

    fn topic(&self) -> Topic {
        self.id.map_or(Topic::Batches, Topic::Batch)
    }

    /// What is to be asked of a server.
    pub(super) fn wanted(&self) -> WantedTopics {
        WantedTopics::all([(self.topic(), Some(self.view.rev()).filter(|rev| *rev > 0))])
    }

    /// Takes what a frame says.
    pub(super) fn receive(&mut self, frame: Incoming) -> FrameOutcome {
        match frame {
            Incoming::Welcome { .. } | Incoming::Ping => FrameOutcome::Unrelated,
            Incoming::Rows { topic, .. } if topic != self.topic() => FrameOutcome::Unrelated,
            Incoming::Rows { topic: Topic::Batches, delta } => self.find(delta),
            Incoming::Rows { delta, .. } => self.fold(delta),
            Incoming::Refused { topic, .. } if topic != Some(self.topic()) => FrameOutcome::Unrelated,
            Incoming::Refused { code: ErrorCode::NotFound, .. } => FrameOutcome::Over(self.gone()),
            Incoming::Refused { message, .. } => FrameOutcome::NotNow(message),
        }
    }

    fn find(&mut self, delta: Delta) -> FrameOutcome {
        let (BatchName::Number(number), Delta::Snapshot { rows, .. }) = (self.name, delta) else {
            return FrameOutcome::Unrelated;
        };
        self.id = rows.iter().find_map(|row| match row {
            Row::Batch(batch) if batch.number == number => Some(batch.id),
            _ => None,
        });
        if self.id.is_some() { FrameOutcome::Found } else { FrameOutcome::Over(self.gone()) }
    }

    fn fold(&mut self, delta: Delta) -> FrameOutcome {
        let changes = self.view.apply(delta);
        let Some(number) = self.row().map(|row| row.number) else { return FrameOutcome::Over(self.gone()) };
        self.number = Some(number);
        if changes.touched.is_empty() { FrameOutcome::Current } else { FrameOutcome::Newer }
    }

    /// Why there is nothing to follow.
    fn gone(&self) -> String {
        match (self.number, self.id, self.name) {
            (Some(number), _, _) => {
                format!("batch #{number} has been deleted, or this token may no longer see it")
            }
            (None, Some(id), _) | (None, None, BatchName::Id(id)) => {
                format!("there is no batch {id}, or this token may not see it")
            }
            (None, None, BatchName::Number(number)) => format!(
                "there is no batch #{number} among those that are listed for this token (all unfinished ones and the \
                 newest {LISTED_BATCHES_MAX} finished ones): an older one is found by its id, which its page has in \
                 its address"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::watch::line::tests::batch;
    use crate::protocol::{Key, ServerFrame};

    fn at(rev: u64, succeeded: u64) -> Row {
        let mut batch = batch(100, succeeded, 0);
        batch.rev = rev;
        Row::Batch(Box::new(batch))
    }

    fn topic() -> Topic {
        Topic::Batch(BatchId::from_u128(1))
    }

    fn snapshot(topic: Topic, rev: u64, rows: Vec<Row>) -> Incoming {
        ServerFrame::Snapshot { topic, rev, rows }.into()
    }

    fn update(rev: u64, rows: Vec<Row>, gone: Vec<Key>) -> Incoming {
        ServerFrame::Update { topic: topic(), rev, rows, gone }.into()
    }

    #[test]
    fn batches_are_named_by_id_or_number() {
        let id = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
        assert_eq!(id.parse(), Ok(BatchName::Id(id.parse().unwrap())));
        assert_eq!("128".parse(), Ok(BatchName::Number(128)));
        assert_eq!("#128".parse(), Ok(BatchName::Number(128)));
        for bad in ["", "#", "0", "-1", "+1", "##1", "June photos", "99999999999999999999", "0198a7b0"] {
            assert!(bad.parse::<BatchName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_row_is_kept_whatever_comes() {
        let mut watched = WatchedBatch::new(BatchName::Id(BatchId::from_u128(1)));
        assert_eq!(watched.wanted(), WantedTopics::all([(topic(), None)]));
        for (frame, outcome, why) in [
            (snapshot(topic(), 5, vec![at(5, 50)]), FrameOutcome::Newer, "the first"),
            (update(5, vec![at(4, 40)], vec![]), FrameOutcome::Current, "an older one"),
            (snapshot(topic(), 5, vec![at(4, 40)]), FrameOutcome::Current, "even in a snapshot"),
            (snapshot(topic(), 5, vec![at(5, 50)]), FrameOutcome::Current, "the same"),
            (update(5, vec![at(5, 51)], vec![]), FrameOutcome::Newer, "an equal revision"),
            (update(6, vec![], vec![]), FrameOutcome::Current, "an answer without rows"),
            (snapshot(Topic::Batches, 9, vec![at(9, 90)]), FrameOutcome::Unrelated, "another topic"),
        ] {
            assert_eq!(watched.receive(frame), outcome, "{why}");
        }
        assert_eq!(watched.row().map(|row| (row.rev, row.succeeded)), Some((5, 51)));
        assert_eq!(watched.wanted(), WantedTopics::all([(topic(), Some(6))]));
        // A server that was set back to a backup is believed: its snapshot is older than what is shown.
        assert_eq!(watched.receive(snapshot(topic(), 3, vec![at(3, 30)])), FrameOutcome::Newer);
        assert_eq!(watched.row().map(|row| row.succeeded), Some(30));
    }

    #[test]
    fn a_number_becomes_an_id() {
        let mut watched = WatchedBatch::new(BatchName::Number(128));
        assert_eq!(watched.wanted(), WantedTopics::all([(Topic::Batches, None)]));
        let mut other = batch(1, 0, 0);
        (other.number, other.id) = (7, BatchId::from_u128(7));
        let rows = vec![Row::Batch(Box::new(other)), at(5, 50)];
        assert_eq!(watched.receive(snapshot(Topic::Batches, 1, rows)), FrameOutcome::Found);
        assert_eq!(watched.wanted(), WantedTopics::all([(topic(), None)]));
        let outcome =
            WatchedBatch::new(BatchName::Number(9)).receive(snapshot(Topic::Batches, 1, vec![at(5, 50)]));
        assert!(matches!(outcome, FrameOutcome::Over(why) if why.contains("no batch #9 among")));
    }

    #[test]
    fn what_is_gone_is_said_to_be() {
        let id = BatchId::from_u128(1);
        let refused = |code| Incoming::Refused { topic: Some(topic()), code, message: "why".to_owned() };
        let mut watched = WatchedBatch::new(BatchName::Id(id));
        assert_eq!(watched.receive(refused(ErrorCode::Busy)), FrameOutcome::NotNow("why".to_owned()));
        let outcome = watched.receive(refused(ErrorCode::NotFound));
        assert!(matches!(outcome, FrameOutcome::Over(why) if why.contains("no batch 0000")));
        watched.receive(update(5, vec![at(5, 50)], vec![]));
        let gone = update(6, vec![], vec![Key::Text(id.to_string())]);
        for frame in [gone, refused(ErrorCode::NotFound)] {
            let outcome = watched.receive(frame);
            assert!(matches!(outcome, FrameOutcome::Over(why) if why.contains("#128 has been deleted")));
        }
    }
}
