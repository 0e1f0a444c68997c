//! Glimpses: how far items are that run here and are looked at through other nodes.
//!
//! Owns the loop that writes them. Started by the engine on nodes with slots, on a shared database. Invariant: nothing is
//! written where nobody looks, and of an item at most once a tick. Deliberately told nothing of sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::Inner;
use crate::engine::dispatch::Board;
use crate::protocol::{ItemProgress, NodeId, Seq};
use crate::store::{BatchKey, Glimpse, SeqRange, StoreError};

/// How often it is asked what others look at.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Shows what others look at until the engine stops.
pub async fn glimpse_loop(inner: Arc<Inner>) {
    let mut shown = Shown::default();
    loop {
        let pause = if shown.watches.is_empty() { ASK_INTERVAL } else { inner.hub.tick() };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = inner.stop.cancelled() => return,
        }
        if let Err(error) = shown.round(&inner).await {
            // Only indicative: the next round shows the newest.
            tracing::debug!(%error, "what runs here is not shown elsewhere");
        }
    }
}

#[derive(Default)]
struct Shown {
    watches: Vec<(BatchKey, SeqRange)>,
    asked: Option<Instant>,
    /// Reports of running items as last shown.
    told: HashMap<(BatchKey, Seq), u64>,
}

impl Shown {
    async fn round(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let node: NodeId = inner.node();
        if self.asked.is_none_or(|at| at.elapsed() >= ASK_INTERVAL) {
            self.asked = Some(Instant::now());
            self.watches = inner.store.watches_of_others(&node).await?;
        }
        let mut told = HashMap::new();
        let mut news = Vec::new();
        for (batch, seq, cell) in inner.desk.boards.iter().filter_map(Board::glimpse) {
            let looks = || self.watches.iter().filter(|(of, _)| *of == batch).map(|(_, range)| *range);
            if !looks().any(|range| range.first <= seq && seq <= range.last) {
                continue;
            }
            let reports = cell.reports();
            told.insert((batch, seq), reports);
            if self.told.get(&(batch, seq)) == Some(&reports) {
                continue;
            }
            let alone = looks().any(|range| range == SeqRange::one(seq));
            news.push(Glimpse {
                batch,
                seq,
                reports,
                progress: cell.progress().map(|(fraction, note)| ItemProgress { fraction, note }),
                log: alone.then(|| cell.log().1),
            });
        }
        self.told = told;
        inner.store.show(&node, &news).await
    }
}
