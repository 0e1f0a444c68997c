//! The slots: loops that live as long as the engine and run items one after the other.
//!
//! Owns the loop of one slot and that of the loader that reads inputs ahead. Started by the engine. Invariant: no
//! spawn, channel or query per item. Deliberately classifies nothing: see `slot` and `report`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::attempt;
use crate::engine::Inner;
use crate::engine::dispatch::{Chunk, Done, Load, Piece};
use crate::fault::Point;
use crate::store::StoreError;
use crate::tasks::WorkCell;

/// A chunk that turned out slower than this goes back to the desk, so that other slots may help.
const CHUNK_TIME_MAX: Duration = Duration::from_millis(5);
/// Pause after a load that failed.
const LOAD_AGAIN: Duration = Duration::from_millis(500);

/// Runs slot `at` until the engine stops.
pub async fn slot_loop(inner: Arc<Inner>, at: usize) {
    let mut spare = Arc::new(WorkCell::default());
    let mut finished = None;
    while finished.is_some() || !inner.stop.is_cancelled() {
        if let Some(chunk) = inner.desk.turn(at, finished.take()) {
            let lease = chunk.lease;
            finished = Some((lease, run_chunk(&inner, at, chunk, &mut spare).await));
            // Quick tasks never wait by themselves: let the other loops have their turn.
            tokio::task::yield_now().await;
        } else {
            tokio::select! {
                () = inner.desk.work.notified() => {}
                () = inner.stop.cancelled() => return,
            }
        }
    }
}

async fn run_chunk(inner: &Inner, at: usize, mut chunk: Chunk, spare: &mut Arc<WorkCell>) -> Done {
    let board = &inner.desk.boards[at];
    let mut done = Done::default();
    let begun = Instant::now();
    // Each item begins where the one before has ended: one look at the clock per item.
    let mut at_clock = begun;
    let begun_at = inner.store.now();
    while let Some((input, rest)) = chunk.items.take().and_then(Piece::split) {
        let so_far = at_clock - begun;
        let unwanted = chunk.leash.token.is_cancelled() || !inner.may_start();
        if unwanted || (done.items > 0 && so_far > CHUNK_TIME_MAX) {
            done.rest = Some(Piece::rejoin(chunk.work.source, input, rest));
            break;
        }
        chunk.items = rest;
        board.advance(input.seq);
        let started_at = begun_at.plus_ms(i64::try_from(so_far.as_millis()).unwrap_or(i64::MAX));
        let ended = attempt(&inner.store, board, &chunk, input, (at_clock, started_at), spare).await;
        Point::ItemEnded.visit();
        at_clock += ended.took;
        done.note(&chunk, ended, || inner.store.steady());
    }
    done.took = at_clock - begun;
    done
}

/// Reads the inputs of leases ahead of the slots, until the engine stops.
pub async fn load_loop(inner: Arc<Inner>) {
    loop {
        while let Some(Load { lease, work, record, ranges }) = inner.desk.next_load() {
            let items: u64 = ranges.iter().map(|range| range.count()).sum();
            let loaded = match inner.store.inputs_of(&record, &ranges).await {
                Ok(records) if records.len() as u64 == items => Ok(records),
                Ok(records) => Err(StoreError::Invariant(format!(
                    "{items} items of batch {} have {} inputs",
                    work.key,
                    records.len()
                ))),
                Err(error) => Err(error),
            };
            match loaded {
                Ok(records) => {
                    let bytes: usize = records.iter().map(|record| record.json.as_str().len()).sum();
                    work.input_bytes.note(bytes as u64 / items.max(1));
                    inner.desk.loaded(lease, Some(records));
                }
                Err(error) => {
                    inner.desk.loaded(lease, None);
                    inner.trouble("inputs cannot be read", &error);
                    tokio::time::sleep(LOAD_AGAIN).await;
                }
            }
        }
        tokio::select! {
            () = inner.desk.load.notified() => {}
            () = inner.stop.cancelled() => return,
        }
    }
}
