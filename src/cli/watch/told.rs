//! What a server has told of one batch: the newest row, and what is asked for next.
//!
//! Owns the fold of frames. Called by the connection, which it outlives. Invariant: the row with the highest `rev` is
//! kept, whatever the order of frames; an equal one replaces, for the rate alone does not raise it. Deliberately pure:
//! it knows neither sockets nor time.

use std::str::FromStr;

use crate::protocol::limits::LISTED_BATCHES_MAX;
use crate::protocol::{Batch, BatchId, ClientFrame, ErrorCode, Key, ParseError, Row, ServerFrame, Topic};

/// A batch as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Wanted {
    /// By its id.
    Id(BatchId),
    /// By its number.
    Number(u64),
}

impl FromStr for Wanted {
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

/// What came of a frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// It was of something else.
    Nothing,
    /// The number has an id now: leave the list, and ask anew.
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

/// What is known of one batch.
#[derive(Debug)]
pub(super) struct Told {
    wanted: Wanted,
    id: Option<BatchId>,
    row: Option<Batch>,
}

impl Told {
    pub(super) fn new(wanted: Wanted) -> Self {
        let id = match wanted {
            Wanted::Id(id) => Some(id),
            Wanted::Number(_) => None,
        };
        Self { wanted, id, row: None }
    }

    /// The newest row.
    pub(super) fn row(&self) -> Option<&Batch> {
        self.row.as_ref()
    }

    fn topic(&self) -> Topic {
        self.id.map_or(Topic::Batches, Topic::Batch)
    }

    /// What is to be asked of a server.
    pub(super) fn ask(&self) -> ClientFrame {
        let rev = self.row.as_ref().map(|row| row.rev);
        ClientFrame::Subscribe { topic: self.topic().to_string(), rev }
    }

    /// Takes what a frame says.
    pub(super) fn hear(&mut self, frame: ServerFrame) -> Heard {
        match frame {
            ServerFrame::Welcome { .. } | ServerFrame::Ping => Heard::Nothing,
            ServerFrame::Snapshot { topic, .. } | ServerFrame::Update { topic, .. }
                if topic != self.topic() =>
            {
                Heard::Nothing
            }
            ServerFrame::Snapshot { topic: Topic::Batches, rows, .. } => self.find(&rows),
            ServerFrame::Snapshot { rows, .. } => match self.own(rows) {
                Some(row) => self.keep(row),
                None => Heard::Over(self.gone()),
            },
            ServerFrame::Update { rows, gone, .. } => {
                let is_gone = self.id.is_some_and(|id| gone.contains(&Key::Text(id.to_string())));
                match self.own(rows) {
                    _ if is_gone => Heard::Over(self.gone()),
                    Some(row) => self.keep(row),
                    None => Heard::Current,
                }
            }
            ServerFrame::Error { topic, .. } if topic != self.topic().to_string() => Heard::Nothing,
            ServerFrame::Error { code: ErrorCode::NotFound, .. } => Heard::Over(self.gone()),
            ServerFrame::Error { message, .. } => Heard::NotNow(message),
        }
    }

    fn find(&mut self, rows: &[Row]) -> Heard {
        let Wanted::Number(number) = self.wanted else { return Heard::Nothing };
        self.id = rows.iter().find_map(|row| match row {
            Row::Batch(batch) if batch.number == number => Some(batch.id),
            _ => None,
        });
        if self.id.is_some() { Heard::Found } else { Heard::Over(self.gone()) }
    }

    /// The row of the batch among `rows`.
    fn own(&self, rows: Vec<Row>) -> Option<Batch> {
        rows.into_iter().find_map(|row| match row {
            Row::Batch(batch) if Some(batch.id) == self.id => Some(*batch),
            _ => None,
        })
    }

    fn keep(&mut self, row: Batch) -> Heard {
        let is_new = self.row.as_ref().is_none_or(|known| row.rev >= known.rev && *known != row);
        if is_new {
            self.row = Some(row);
            Heard::Newer
        } else {
            Heard::Current
        }
    }

    /// Why there is nothing to follow.
    fn gone(&self) -> String {
        match (&self.row, self.id, self.wanted) {
            (Some(row), _, _) => {
                format!("batch #{} has been deleted, or this token may no longer see it", row.number)
            }
            (None, Some(id), _) | (None, None, Wanted::Id(id)) => {
                format!("there is no batch {id}, or this token may not see it")
            }
            (None, None, Wanted::Number(number)) => format!(
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

    fn at(rev: u64, succeeded: u64) -> Row {
        let mut batch = batch(100, succeeded, 0);
        batch.rev = rev;
        Row::Batch(Box::new(batch))
    }

    fn snapshot(topic: Topic, rows: Vec<Row>) -> ServerFrame {
        ServerFrame::Snapshot { topic, rev: 1, rows }
    }

    fn update(rows: Vec<Row>, gone: Vec<Key>) -> ServerFrame {
        ServerFrame::Update { topic: Topic::Batch(BatchId::from_u128(1)), rev: 1, rows, gone }
    }

    #[test]
    fn batches_are_named_by_id_or_number() {
        let id = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
        assert_eq!(id.parse(), Ok(Wanted::Id(id.parse().unwrap())));
        assert_eq!("128".parse(), Ok(Wanted::Number(128)));
        assert_eq!("#128".parse(), Ok(Wanted::Number(128)));
        for bad in ["", "#", "0", "-1", "+1", "##1", "June photos", "99999999999999999999", "0198a7b0"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_row_is_kept_whatever_comes() {
        let topic = Topic::Batch(BatchId::from_u128(1));
        let mut told = Told::new(Wanted::Id(BatchId::from_u128(1)));
        assert_eq!(told.ask(), ClientFrame::Subscribe { topic: topic.to_string(), rev: None });
        assert_eq!(told.hear(snapshot(topic, vec![at(5, 50)])), Heard::Newer);
        assert_eq!(told.hear(update(vec![at(4, 40)], vec![])), Heard::Current, "an older one");
        assert_eq!(told.hear(snapshot(topic, vec![at(3, 30)])), Heard::Current, "even as a snapshot");
        assert_eq!(told.hear(snapshot(topic, vec![at(5, 50)])), Heard::Current, "the same");
        assert_eq!(told.hear(update(vec![at(5, 51)], vec![])), Heard::Newer, "an equal revision");
        assert_eq!(told.hear(update(vec![], vec![])), Heard::Current, "an answer without rows");
        assert_eq!(told.hear(snapshot(Topic::Batches, vec![at(9, 90)])), Heard::Nothing);
        assert_eq!(told.row().map(|row| (row.rev, row.succeeded)), Some((5, 51)));
        assert_eq!(told.ask(), ClientFrame::Subscribe { topic: topic.to_string(), rev: Some(5) });
    }

    #[test]
    fn a_number_becomes_an_id() {
        let mut told = Told::new(Wanted::Number(128));
        assert_eq!(told.ask(), ClientFrame::Subscribe { topic: "batches".into(), rev: None });
        let mut other = batch(1, 0, 0);
        (other.number, other.id) = (7, BatchId::from_u128(7));
        let rows = vec![Row::Batch(Box::new(other)), at(5, 50)];
        assert_eq!(told.hear(snapshot(Topic::Batches, rows)), Heard::Found);
        let topic = Topic::Batch(BatchId::from_u128(1)).to_string();
        assert_eq!(told.ask(), ClientFrame::Subscribe { topic, rev: None });
        let heard = Told::new(Wanted::Number(9)).hear(snapshot(Topic::Batches, vec![at(5, 50)]));
        assert!(matches!(heard, Heard::Over(why) if why.contains("no batch #9 among")));
    }

    #[test]
    fn what_is_gone_is_said_to_be() {
        let id = BatchId::from_u128(1);
        let error = |code| ServerFrame::Error {
            topic: Topic::Batch(id).to_string(),
            code,
            message: "why".to_owned(),
        };
        let mut told = Told::new(Wanted::Id(id));
        assert_eq!(told.hear(error(ErrorCode::Busy)), Heard::NotNow("why".to_owned()));
        assert!(
            matches!(told.hear(error(ErrorCode::NotFound)), Heard::Over(why) if why.contains("no batch 0000"))
        );
        told.hear(update(vec![at(5, 50)], vec![]));
        let gone = update(vec![], vec![Key::Text(id.to_string())]);
        for frame in [gone, error(ErrorCode::NotFound)] {
            assert!(matches!(told.hear(frame), Heard::Over(why) if why.contains("#128 has been deleted")));
        }
    }
}
