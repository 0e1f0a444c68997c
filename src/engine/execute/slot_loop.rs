//! The loop of one slot: runs items one after the other for as long as the engine lives.
//!
//! No spawn, no channel and no query per item. How an item runs is told by `attempt`, how its end is classified by
//! `verdict`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::attempt;
use super::kept_files::keep_files;
use super::verdict::Ended;
use crate::engine::dispatch::Dispatcher;
use crate::engine::flow::{Chunk, ChunkResult, ItemRun};
use crate::engine::supervisor::Loops;
use crate::fault::Point;
use crate::store::Store;
use crate::tasks::WorkCell;

/// A chunk that turned out slower than this goes back to the dispatcher, so that other slots may help.
const CHUNK_TIME_MAX: Duration = Duration::from_millis(5);

/// Bytes of small files that a chunk holds in memory before they are stored.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Items of a chunk that have ended and are not in its result.
#[derive(Default)]
struct Waiting {
    ended: Vec<Ended>,
    held_bytes: usize,
}

/// One slot.
pub struct SlotLoop {
    pub store: Store,
    pub dispatcher: Arc<Dispatcher>,
    pub loops: Loops,
    /// Its number, from 0.
    pub at: usize,
}

impl SlotLoop {
    /// Runs items until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        let mut spare = Arc::new(WorkCell::default());
        let mut finished = None;
        while finished.is_some() || !stop.is_cancelled() {
            if let Some(chunk) = self.dispatcher.next_chunk(self.at, finished.take()) {
                let lease = chunk.lease;
                finished = Some((lease, self.run_chunk(chunk, &mut spare).await));
                // Quick tasks never wait by themselves: let the other loops have their turn.
                tokio::task::yield_now().await;
            } else {
                tokio::select! {
                    () = self.dispatcher.wakes.chunk.notified() => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }

    async fn run_chunk(&self, mut chunk: Chunk, spare: &mut Arc<WorkCell>) -> ChunkResult {
        let slot = self.dispatcher.slots.slot(self.at);
        let mut result = ChunkResult::default();
        let begun = Instant::now();
        // Each item begins where the one before has ended: the clock is read once per item.
        let mut at_clock = begun;
        let begun_at = self.store.now();
        // Ended, and not in the result yet: from the first one on whose small files are to be stored with others.
        let mut waiting = Waiting::default();
        while let Some((input, rest)) = chunk.items.take().and_then(ItemRun::split) {
            let so_far = at_clock - begun;
            let unwanted = chunk.stop.token.is_cancelled() || !self.dispatcher.may_start();
            if unwanted || (result.items > 0 && so_far > CHUNK_TIME_MAX) {
                result.rest = Some(ItemRun::rejoin(chunk.batch.source, input, rest));
                break;
            }
            chunk.items = rest;
            let started_at = begun_at.plus_ms(i64::try_from(so_far.as_millis()).unwrap_or(i64::MAX));
            slot.advance(input.seq, started_at);
            let ended = attempt(&self.store, slot, &chunk, input, (at_clock, started_at), spare).await;
            Point::ItemEnded.visit();
            at_clock += ended.took;
            if ended.is_kept() && waiting.ended.is_empty() {
                result.add(&chunk, ended, || self.store.steady());
                continue;
            }
            waiting.held_bytes += ended.held_bytes();
            waiting.ended.push(ended);
            if waiting.held_bytes >= HELD_BYTES_MAX {
                at_clock += self.keep(&chunk, &mut waiting, &mut result).await;
            }
        }
        at_clock += self.keep(&chunk, &mut waiting, &mut result).await;
        result.took = at_clock - begun;
        result
    }

    /// Stores what waits, adds it to the result, and says how long that took.
    async fn keep(&self, chunk: &Chunk, waiting: &mut Waiting, result: &mut ChunkResult) -> Duration {
        let Waiting { mut ended, .. } = std::mem::take(waiting);
        if ended.is_empty() {
            return Duration::ZERO;
        }
        let begun = Instant::now();
        keep_files(&self.store, chunk, &mut ended).await;
        for ended in ended {
            result.add(chunk, ended, || self.store.steady());
        }
        begun.elapsed()
    }
}
