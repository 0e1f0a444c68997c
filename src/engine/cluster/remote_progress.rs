//! How far items are that run here, written for the nodes through which somebody looks at them.
//!
//! Runs on nodes with slots, on a shared database. Nothing is written where nobody looks, and of an item at most once a
//! tick.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::dispatch::{Dispatcher, Slot};
use crate::engine::liveness::Liveness;
use crate::engine::supervisor::Loops;
use crate::hub::Hub;
use crate::protocol::{ItemProgress, Seq};
use crate::store::{BatchKey, ProgressRecord, SeqRange, Store, StoreError};

/// How often it is asked what others look at.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// The loop that writes progress.
pub struct RemoteProgress {
    pub store: Store,
    pub hub: Hub,
    pub dispatcher: Arc<Dispatcher>,
    pub liveness: Arc<Liveness>,
    pub loops: Loops,
}

/// What others look at, and what was written for them.
#[derive(Default)]
struct Written {
    watches: Vec<(BatchKey, SeqRange)>,
    asked_at: Option<Instant>,
    /// Reports of running items as last written.
    reports: HashMap<(BatchKey, Seq), u64>,
}

impl RemoteProgress {
    /// Writes what others look at until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        let mut written = Written::default();
        loop {
            let pause = if written.watches.is_empty() { ASK_INTERVAL } else { self.hub.tick() };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.round(&mut written).await {
                // Only indicative: the next round writes the newest.
                tracing::debug!(%error, "what runs here is not shown elsewhere");
            }
        }
    }

    async fn round(&self, written: &mut Written) -> Result<(), StoreError> {
        let node = self.liveness.node();
        if written.asked_at.is_none_or(|at| at.elapsed() >= ASK_INTERVAL) {
            written.asked_at = Some(Instant::now());
            written.watches = self.store.ranges_watched_elsewhere(&node).await?;
        }
        let mut now = HashMap::new();
        let mut changed = Vec::new();
        for (batch, seq, cell, started_at) in self.dispatcher.slots.iter().filter_map(Slot::progress) {
            let looks = || written.watches.iter().filter(|(of, _)| *of == batch).map(|(_, range)| *range);
            if !looks().any(|range| range.first <= seq && seq <= range.last) {
                continue;
            }
            let reports = cell.reports();
            now.insert((batch, seq), reports);
            if written.reports.get(&(batch, seq)) == Some(&reports) {
                continue;
            }
            // The log is long: only the page of the item itself shows it.
            let alone = looks().any(|range| range == SeqRange::one(seq));
            changed.push(ProgressRecord {
                batch,
                seq,
                reports,
                started_at,
                progress: cell.progress().map(|(fraction, note)| ItemProgress { fraction, note }),
                log: alone.then(|| cell.log().1),
            });
        }
        written.reports = now;
        self.store.show(&node, &changed).await
    }
}
