//! Frames to bytes.
//!
//! What is written here is what [`super::Channels::read`] and [`super::client_frame`] read.

use super::values::Compact as _;
use super::{
    CURRENT, ERROR, FieldSet, Fields as _, PACE, PING, PONG, SNAPSHOT, SUBSCRIBE, UNSUBSCRIBE, UPDATE,
    UPDATE_GONE, WELCOME, beside, each, has_one_row,
};
use crate::protocol::{ClientFrame, Key, Rev, Row, ServerFrame, Topic};

/// The whole of a topic.
#[must_use]
pub fn snapshot<'a>(
    topic: Topic,
    channel: u64,
    rev: Rev,
    rows: impl ExactSizeIterator<Item = &'a Row>,
) -> Vec<u8> {
    let mut out = vec![SNAPSHOT];
    put_topic(topic, &mut out);
    channel.put(&mut out);
    rev.put(&mut out);
    (rows.len() as u64).put(&mut out);
    rows.for_each(|row| put_row(topic, rev, row, None, &mut out));
    out
}

/// The page is up to date.
#[must_use]
pub fn current(topic: Topic, channel: u64, rev: Rev) -> Vec<u8> {
    let mut out = vec![CURRENT];
    put_topic(topic, &mut out);
    channel.put(&mut out);
    rev.put(&mut out);
    out
}

/// What changed: rows, whole or by members, and keys that left.
#[must_use]
pub fn update(
    topic: Topic,
    channel: u64,
    rev: Rev,
    rows: &[(&Row, Option<FieldSet>)],
    gone: &[Key],
) -> Vec<u8> {
    let mut out = vec![if gone.is_empty() { UPDATE } else { UPDATE_GONE }];
    channel.put(&mut out);
    rev.put(&mut out);
    (rows.len() as u64).put(&mut out);
    rows.iter().for_each(|(row, which)| put_row(topic, rev, row, *which, &mut out));
    if !gone.is_empty() {
        (gone.len() as u64).put(&mut out);
        gone.iter().for_each(|key| put_key(key, &mut out));
    }
    out
}

fn put_row(topic: Topic, frame: Rev, row: &Row, which: Option<FieldSet>, out: &mut Vec<u8>) {
    match which {
        None => out.push(0),
        Some(which) => {
            (u64::from(which) + 1).put(out);
            if !has_one_row(topic) {
                put_key_of(row, out);
            }
        }
    }
    beside(topic, frame, row.rev()).put(out);
    each!(row, row => row.put(which.unwrap_or(FieldSet::MAX), out));
}

fn put_key_of(row: &Row, out: &mut Vec<u8>) {
    match row {
        Row::Batch(row) => row.id.put(out),
        Row::Item(row) => row.seq.put(out),
        Row::ItemLive(item) => item.row.seq.put(out),
        Row::Family(row) => row.id.put(out),
        Row::Cell(row) => row.cell.put(out),
        Row::Pulse(row) => row.bucket.put(out),
        Row::Node(row) => row.id.put(out),
    }
}

fn put_topic(topic: Topic, out: &mut Vec<u8>) {
    topic.to_string().put(out);
}

fn put_key(key: &Key, out: &mut Vec<u8>) {
    match key {
        Key::Number(number) => {
            out.push(0);
            number.put(out);
        }
        Key::Text(text) => {
            out.push(1);
            text.put(out);
        }
    }
}

/// Writes a frame that is no answer and no update. None for those: they name a channel.
#[must_use]
pub fn plain(frame: &ServerFrame) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match frame {
        ServerFrame::Welcome { server, ping_ms, build, limits } => {
            out.push(WELCOME);
            server.put(&mut out);
            ping_ms.put(&mut out);
            build.put(&mut out);
            for limit in [
                limits.message_bytes_max,
                limits.subscriptions_max,
                limits.messages_per_second_max,
                limits.window_items_max,
                limits.tick_ms,
            ] {
                limit.put(&mut out);
            }
        }
        ServerFrame::Ping => out.push(PING),
        ServerFrame::Error { topic, code, message } => {
            out.push(ERROR);
            topic.put(&mut out);
            code.put(&mut out);
            message.put(&mut out);
        }
        ServerFrame::Snapshot { .. } | ServerFrame::Update { .. } => return None,
    }
    Some(out)
}

/// Writes what a client says.
#[must_use]
pub fn of_client(frame: &ClientFrame) -> Vec<u8> {
    let mut out = Vec::new();
    match frame {
        ClientFrame::Subscribe { topic, rev } => {
            out.push(SUBSCRIBE);
            topic.put(&mut out);
            rev.put(&mut out);
        }
        ClientFrame::Unsubscribe { topic } => {
            out.push(UNSUBSCRIBE);
            topic.put(&mut out);
        }
        ClientFrame::Pong {} => out.push(PONG),
        ClientFrame::Pace { hz } => {
            out.push(PACE);
            hz.put(&mut out);
        }
    }
    out
}
