//! Deletes batches, messages about them, acts over many and uploads that are too old, sweeps up after deleted ones, and looks for room while the
//! disk is full.
//!
//! Whatever several nodes do at once here, it is done once.

use std::sync::Arc;
use std::time::Duration;

use super::on_batch::Acts;
use crate::engine::supervisor::Loops;
use crate::store::{BatchKey, StoreError};

/// How often room is looked for while the disk is full.
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// How often old batches are looked for.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// For so long the others leave it to the node that has begun; less than the interval, so that it is done each time.
const TURN: Duration = Duration::from_secs(3_500);
/// Pause between two steps of a sweep, so that work goes before tidying.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// Batches looked at per step.
const PAGE: u32 = 500;
/// Days for which the log of who did what is kept.
const AUDIT_DAYS: i64 = 365;
/// Days for which acts over many are kept after their end.
const BULK_ACT_DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

/// While the disk is full: sweeps, and looks whether there is room again; while the file store is away, whether it is back.
/// Until the engine stops.
pub async fn disk_loop(acts: Arc<Acts>, loops: Loops) {
    let stop = loops.stop_token();
    loop {
        tokio::select! {
            () = tokio::time::sleep(DISK_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        // Nothing is claimed while the file store is away, so nothing else would find that it is back.
        if acts.store.file_store().is_away() && acts.store.file_store().ping().await.is_ok() {
            acts.dispatcher.work_arrived();
        }
        if !acts.store.is_disk_full() {
            continue;
        }
        // A sweep that found no room has ended in the middle.
        acts.wakes.sweep.notify_one();
        match acts.store.regain_room().await {
            Ok(true) => acts.dispatcher.work_arrived(),
            Ok(false) => {}
            Err(error) => loops.health().trouble("room on the disk cannot be looked for", &error),
        }
    }
}

/// The loop that deletes and sweeps.
pub struct Retention {
    pub acts: Arc<Acts>,
    /// Days after which finished batches are deleted.
    pub days: u32,
    pub loops: Loops,
}

/// Where is swept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// What deleted batches left.
    Deleted,
    /// Every shelf, for files that nobody names: those of a cut upload, or of an attempt that was lost.
    Everything,
}

impl Retention {
    /// Deletes and sweeps, hourly and when asked, until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        let mut sweep = Sweep::Everything;
        loop {
            if let Err(error) = self.tidy_in_turn(sweep).await {
                tracing::warn!(%error, "old batches stay for now");
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => sweep = Sweep::Everything,
                () = self.acts.wakes.sweep.notified() => sweep = Sweep::Deleted,
                () = stop.cancelled() => return,
            }
        }
    }

    /// Where several share a database, one of them sweeps everything.
    async fn tidy_in_turn(&self, sweep: Sweep) -> Result<(), StoreError> {
        let store = &self.acts.store;
        if sweep == Sweep::Deleted || !store.is_shared() || store.take_turn("tidy", TURN).await? {
            return self.tidy(sweep).await;
        }
        Ok(())
    }

    async fn tidy(&self, sweep: Sweep) -> Result<(), StoreError> {
        let store = &self.acts.store;
        let oldest = store.steady().plus_ms(-i64::from(self.days) * DAY_MS);
        let mut after = 0;
        loop {
            let found = store.finished_before(oldest, after, PAGE).await?;
            for batch in &found {
                self.delete(*batch).await?;
            }
            match found.last() {
                Some(last) if !self.stops() => after = *last,
                Some(_) | None => break,
            }
        }
        let oldest = store.now().plus_ms(-i64::from(self.days) * DAY_MS);
        while store.delete_deliveries(oldest).await? && !self.stops() {
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        let oldest = store.now().plus_ms(-BULK_ACT_DAYS * DAY_MS);
        while store.delete_bulk_acts(oldest).await? && !self.stops() {
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        while store.delete_audit_entries(store.now().plus_ms(-AUDIT_DAYS * DAY_MS)).await? && !self.stops() {
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        self.sweep_deleted().await?;
        while store.sweep_uploads().await? && !self.stops() {
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        while sweep == Sweep::Everything && store.sweep_unnamed().await? && !self.stops() {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_PAUSE) => {}
                // Sweeping everything takes long; whoever deleted something may wait for the room.
                () = self.acts.wakes.sweep.notified() => self.sweep_deleted().await?,
            }
        }
        Ok(())
    }

    async fn delete(&self, batch: BatchKey) -> Result<(), StoreError> {
        match self.acts.store.delete(batch).await {
            Ok(mut change) => {
                change.batch.deleted = true;
                self.acts.publisher.publish(&change);
                Ok(())
            }
            // Retried or deleted meanwhile: the others are still too old.
            Err(StoreError::NotFinished | StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sweeps up after deleted batches, and gives what that freed back to the disk.
    async fn sweep_deleted(&self) -> Result<(), StoreError> {
        while self.acts.store.sweep().await? && !self.stops() {
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        self.acts.store.give_back_pages().await
    }

    fn stops(&self) -> bool {
        self.loops.stop_token().is_cancelled()
    }
}
