//! Frames of one topic: what a session lacks, and the whole of it, in its codec.
//!
//! A frame is kept for other sessions that lack the same, and holds nothing that its viewer may not see. Called under the
//! topic's lock.

use std::collections::VecDeque;
use std::sync::Arc;

use super::channel_state::{ChannelState, SHARED_BYTES_MAX, SHARED_KEPT_MAX, SharedFrames, class};
use super::{Channel, SessionUpdate};
use crate::hub::Audience;
use crate::hub::WireFrame;
use crate::hub::finished_list::KEPT_MAX;
use crate::hub::retained_row::RetainedRow;
use crate::protocol::frame::rows_json;
use crate::protocol::limits::LISTED_BATCHES_MAX;
use crate::protocol::{Codec, Key, Row, Whole, binary};
use crate::store::Viewer;

impl ChannelState {
    /// What `viewer`, who stands at `seen`, lacks: made anew, and kept for others who stand there.
    pub fn changes_since(
        &mut self,
        channel: &Channel,
        seen: u64,
        viewer: &Viewer,
        codec: Codec,
    ) -> SessionUpdate {
        let to = self.version;
        let keys: Vec<Key> = self.log.range(seen + 1..).map(|(_, key)| key.clone()).collect();
        if keys.is_empty() {
            return if to > seen { SessionUpdate::Frame { frame: None, to } } else { SessionUpdate::Nothing };
        }
        let ends = keys.iter().filter(|key| self.rows.get(*key).is_some_and(RetainedRow::ended)).count();
        if ends > KEPT_MAX - LISTED_BATCHES_MAX {
            return SessionUpdate::Stale;
        }
        let mut gone = if ends > 0 { self.listed.beyond(viewer, ends) } else { Vec::new() };
        let mut uniform = ends == 0 || self.listed.is_uniform();
        let mut here = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(held) = self.rows.get(&key) else { continue };
            uniform &= held.audience == Audience::Everyone;
            if !held.audience.takes(viewer) || gone.contains(&key) {
                continue;
            }
            if held.row.is_some() { here.push(key) } else { gone.push(key) }
        }
        if here.is_empty() && gone.is_empty() {
            return SessionUpdate::Frame { frame: None, to };
        }
        let frame = self.update(channel, seen, &here, &gone, codec);
        if self.shared.len() >= SHARED_KEPT_MAX {
            self.shared.pop_front();
        }
        let viewer = (!uniform).then(|| class(viewer));
        self.shared.push_back(SharedFrames { codec, viewer, from: seen, to, frame: frame.clone() });
        let bytes =
            |shared: &VecDeque<SharedFrames>| shared.iter().map(|shared| shared.frame.bytes()).sum::<usize>();
        while self.shared.len() > 1 && bytes(&self.shared) > SHARED_BYTES_MAX {
            self.shared.pop_front();
        }
        SessionUpdate::Frame { frame: Some(frame), to }
    }

    fn update(
        &mut self,
        channel: &Channel,
        seen: u64,
        here: &[Key],
        gone: &[Key],
        codec: Codec,
    ) -> WireFrame {
        match codec {
            Codec::Json => {
                let texts = self.texts(here, seen);
                WireFrame::new(
                    codec,
                    rows_json(Whole::Update, channel.topic, self.rev, &texts, gone).as_bytes(),
                )
            }
            Codec::Binary => {
                let rows: Vec<_> = here
                    .iter()
                    .filter_map(|key| self.rows.get(key))
                    .filter_map(|held| held.since(seen))
                    .collect();
                let rows: Vec<_> = rows.iter().map(|(row, which)| (row.as_ref(), *which)).collect();
                WireFrame::new(codec, &binary::update(channel.topic, channel.number, self.rev, &rows, gone))
            }
        }
    }

    /// All of these rows.
    pub fn snapshot(&mut self, channel: &Channel, keys: &[Key], codec: Codec) -> WireFrame {
        match codec {
            Codec::Json => {
                let texts = self.texts(keys, 0);
                WireFrame::new(
                    codec,
                    rows_json(Whole::Snapshot, channel.topic, self.rev, &texts, &[]).as_bytes(),
                )
            }
            Codec::Binary => {
                let rows: Vec<&Row> =
                    keys.iter().filter_map(|key| self.rows.get(key)?.row.as_ref()).collect();
                let snapshot = binary::snapshot(channel.topic, channel.number, self.rev, rows.into_iter());
                WireFrame::new(codec, &snapshot)
            }
        }
    }

    fn texts(&mut self, keys: &[Key], seen: u64) -> Vec<Arc<str>> {
        let mut texts = Vec::with_capacity(keys.len());
        for key in keys {
            texts.extend(self.rows.get_mut(key).and_then(|held| held.json(seen)));
        }
        texts
    }
}
