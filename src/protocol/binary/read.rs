//! Bytes to frames.
//!
//! No bytes make it panic; a frame is read to its last byte or refused.

use std::collections::HashMap;

use super::values::{Compact, Input, Unreadable};
use super::{
    BinaryFrame, CURRENT, Change, ERROR, FieldSet, Fields, PACE, PING, PONG, SNAPSHOT, SUBSCRIBE,
    UNSUBSCRIBE, UPDATE, UPDATE_GONE, WELCOME, beside,
};
use crate::protocol::{
    Batch, BatchId, ClientFrame, Family, FamilyId, ItemLive, ItemRow, Key, Node, NodeId, PulseBucket, Rev,
    Row, Seq, ServerFrame, StripCell, Topic, WelcomeLimits,
};

/// What a client of this codec must remember: which topic a channel is. Bounded by the topics that all clients of the
/// server hear at once: their numbers are used again.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    topics: HashMap<u64, Topic>,
}

impl Channels {
    /// Reads a frame of the server.
    ///
    /// # Errors
    /// Where the bytes are no frame of this build.
    pub fn read(&mut self, bytes: &[u8]) -> Result<BinaryFrame, Unreadable> {
        let mut input = Input(bytes);
        let heard = self.take(&mut input)?;
        if input.0.is_empty() { Ok(heard) } else { Err(Unreadable { expected: "the end of the frame" }) }
    }

    fn take(&mut self, input: &mut Input<'_>) -> Result<BinaryFrame, Unreadable> {
        Ok(BinaryFrame::Frame(match input.byte()? {
            WELCOME => ServerFrame::Welcome {
                server: String::take(input)?,
                ping_ms: u64::take(input)?,
                build: String::take(input)?,
                limits: WelcomeLimits {
                    message_bytes_max: u64::take(input)?,
                    subscriptions_max: u64::take(input)?,
                    messages_per_second_max: u64::take(input)?,
                    window_items_max: u64::take(input)?,
                    tick_ms: u64::take(input)?,
                },
            },
            PING => ServerFrame::Ping,
            SNAPSHOT => {
                let (topic, rev) = self.name(input)?;
                let rows = (0..input.count()?).map(|_| match take_change(topic, rev, input)? {
                    Change::Whole(row) => Ok(row),
                    Change::Part { .. } => Err(Unreadable { expected: "whole rows in a snapshot" }),
                });
                ServerFrame::Snapshot { topic, rev, rows: rows.collect::<Result<_, _>>()? }
            }
            CURRENT => {
                let (topic, rev) = self.name(input)?;
                ServerFrame::Update { topic, rev, rows: Vec::new(), gone: Vec::new() }
            }
            kind @ (UPDATE | UPDATE_GONE) => {
                let channel = u64::take(input)?;
                let topic = self.topics.get(&channel).copied();
                let topic = topic.ok_or(Unreadable { expected: "a channel that an answer has named" })?;
                let rev = Rev::take(input)?;
                let changes =
                    (0..input.count()?).map(|_| take_change(topic, rev, input)).collect::<Result<_, _>>()?;
                let gone = match kind {
                    UPDATE_GONE => (0..input.count()?).map(|_| take_key(input)).collect::<Result<_, _>>()?,
                    _ => Vec::new(),
                };
                return Ok(BinaryFrame::Update { topic, rev, changes, gone });
            }
            ERROR => ServerFrame::Error {
                topic: String::take(input)?,
                code: Compact::take(input)?,
                message: String::take(input)?,
            },
            _ => return Err(Unreadable { expected: "a kind of frame" }),
        }))
    }

    /// An answer says which topic its channel is.
    fn name(&mut self, input: &mut Input<'_>) -> Result<(Topic, Rev), Unreadable> {
        let (topic, channel) = (take_topic(input)?, u64::take(input)?);
        self.topics.insert(channel, topic);
        Ok((topic, Rev::take(input)?))
    }
}

/// Reads the members of a row of `topic` after its key.
fn take_row<F: Fields>(
    topic: Topic,
    frame: Rev,
    which: FieldSet,
    input: &mut Input<'_>,
) -> Result<F, Unreadable> {
    let rev = beside(topic, frame, Rev::take(input)?);
    F::take(which, rev, input)
}

/// Reads one row of a kind; where only parts of it are told, its key stands before and goes in by `name`.
fn read_change<F: Fields, K: Compact>(
    topic: Topic,
    frame: Rev,
    input: &mut Input<'_>,
    implied: Option<K>,
    name: impl FnOnce(&mut F, K),
    wrap: impl FnOnce(F) -> Row,
) -> Result<Change, Unreadable> {
    let head = u64::take(input)?;
    let Some(which) = head.checked_sub(1) else {
        return Ok(Change::Whole(wrap(take_row(topic, frame, FieldSet::MAX, input)?)));
    };
    let known = FieldSet::try_from(which).ok().filter(|which| which & !F::all() == 0);
    let which = known.ok_or(Unreadable { expected: "members of the row" })?;
    let key = match implied {
        Some(key) => key,
        None => K::take(input)?,
    };
    let mut row: F = take_row(topic, frame, which, input)?;
    name(&mut row, key);
    Ok(Change::Part { row: wrap(row), which })
}

fn take_change(topic: Topic, frame: Rev, input: &mut Input<'_>) -> Result<Change, Unreadable> {
    match topic {
        Topic::Batches | Topic::Batch(_) | Topic::Progress(_) => read_change::<Batch, BatchId>(
            topic,
            frame,
            input,
            topic.batch(),
            |row, key| row.id = key,
            |row| Row::Batch(Box::new(row)),
        ),
        Topic::Items { .. } => read_change::<ItemRow, Seq>(
            topic,
            frame,
            input,
            None,
            |row, key| row.seq = key,
            |row| Row::Item(Box::new(row)),
        ),
        Topic::Item { seq, .. } => read_change::<ItemLive, Seq>(
            topic,
            frame,
            input,
            Some(seq),
            |item, key| item.row.seq = key,
            |item| Row::ItemLive(Box::new(item)),
        ),
        Topic::Families(_) => {
            read_change::<Family, FamilyId>(topic, frame, input, None, |row, key| row.id = key, Row::Family)
        }
        Topic::Strip(_) => {
            read_change::<StripCell, u32>(topic, frame, input, None, |row, key| row.cell = key, Row::Cell)
        }
        Topic::Nodes => read_change::<Node, NodeId>(
            topic,
            frame,
            input,
            None,
            |row, key| row.id = key,
            |row| Row::Node(Box::new(row)),
        ),
        Topic::Pulse(_) => read_change::<PulseBucket, u32>(
            topic,
            frame,
            input,
            None,
            |row, key| row.bucket = key,
            Row::Pulse,
        ),
    }
}

fn take_topic(input: &mut Input<'_>) -> Result<Topic, Unreadable> {
    String::take(input)?.parse().map_err(|_form| Unreadable { expected: "a topic" })
}

fn take_key(input: &mut Input<'_>) -> Result<Key, Unreadable> {
    Ok(if bool::take(input)? { Key::Text(String::take(input)?) } else { Key::Number(u64::take(input)?) })
}

/// Reads what a client says.
///
/// # Errors
/// Where the bytes are no frame of a client of this build.
pub fn client_frame(bytes: &[u8]) -> Result<ClientFrame, Unreadable> {
    let mut input = Input(bytes);
    let frame = match input.byte()? {
        SUBSCRIBE => {
            ClientFrame::Subscribe { topic: String::take(&mut input)?, rev: Compact::take(&mut input)? }
        }
        UNSUBSCRIBE => ClientFrame::Unsubscribe { topic: String::take(&mut input)? },
        PONG => ClientFrame::Pong {},
        PACE => ClientFrame::Pace { hz: f64::take(&mut input)? },
        _ => return Err(Unreadable { expected: "a kind of frame" }),
    };
    if input.0.is_empty() { Ok(frame) } else { Err(Unreadable { expected: "the end of the frame" }) }
}
