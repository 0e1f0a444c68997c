//! This process among the others: what it shows of them, what comes due, and the hourly tidying.
//!
//! Owns the loops that show nodes, start what was scheduled and delete what is too old. Started by the engine.
//! Invariant: whatever several nodes do at once here, it is done once. Deliberately takes nothing from a living node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Engine, EngineError, Inner};
use crate::hub::Audience;
use crate::protocol::{Key, Node, NodeId, NodeState, Role, Row, SlotWork, Topic, limits};
use crate::store::{NodeRecord, StoreError};

/// How often nodes are shown while somebody looks.
const SHOW_INTERVAL: Duration = Duration::from_secs(1);
/// How often room is looked for while the disk is full.
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// How often old batches are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(3_600);
/// For so long the others leave it to the node that has begun; less than the interval, so that it is done each time.
const TIDY_TURN: Duration = Duration::from_secs(3_500);
/// Pause between two steps of a sweep, so that work goes before tidying.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// Batches looked at per step.
const TIDY_PAGE: u32 = 500;
const DAY_MS: i64 = 86_400_000;

impl Engine {
    /// All nodes, as everybody sees them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn nodes(&self) -> Result<Vec<Node>, EngineError> {
        let inner = &self.inner;
        let (now, rev) = (inner.store.steady(), self.list_rev());
        let lost_ms = u64::from(inner.options.lease_seconds) * 1_000;
        let mut nodes: Vec<Node> = Vec::new();
        let own = inner.node();
        for record in inner.store.nodes().await? {
            let here = record.id == own;
            let heartbeat_age_ms = now.ms_since(record.heartbeat_at);
            let work = if here { self.running(limits::SLOT_WORK_SHOWN_MAX) } else { Vec::new() };
            nodes.push(Node {
                state: match (here, heartbeat_age_ms > lost_ms) {
                    (false, true) => NodeState::Down,
                    (false, false) => record.state,
                    (true, _) => inner.state_told(),
                },
                busy: if here { inner.desk.busy() } else { record.busy },
                rate_per_s: if here { inner.rate() } else { record.rate_per_s },
                id: record.id,
                name: record.name,
                role: record.role,
                version: record.version,
                slots: record.slots,
                heartbeat_age_ms,
                work: work.into_iter().map(|(batch, seq)| SlotWork { batch, seq }).collect(),
                rev,
            });
        }
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(nodes)
    }

    /// Takes no more work on `node`, this one or another, and answers it as it then is; what runs goes on within the
    /// grace, and the rest is handed back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, or it is down; what else the store says.
    pub async fn drain_node(&self, node: &NodeId) -> Result<Node, EngineError> {
        let inner = &self.inner;
        inner.store.node_drain(node).await?;
        if *node == inner.node() {
            inner.retire();
        }
        let found = self.nodes().await?.into_iter().find(|known| known.id == *node);
        found.ok_or(EngineError::Store(StoreError::NotFound("node")))
    }
}

impl Inner {
    /// This node as it registers.
    pub(super) fn node_record(&self) -> NodeRecord {
        NodeRecord {
            id: self.node(),
            name: self.options.node_name.clone(),
            role: self.options.role,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: if self.options.role == Role::Web { 0 } else { self.options.slots },
            busy: 0,
            state: self.state_told(),
            heartbeat_at: self.store.steady(),
            rate_per_s: 0.0,
        }
    }

    /// Items ended per second on this node, as of the last beat.
    pub(super) fn rate(&self) -> f64 {
        f64::from_bits(self.rate_bits.load(Ordering::Relaxed))
    }

    /// Takes note of ends, for the rate.
    pub(super) fn count_ended(&self, ended: u64) {
        self.ended.fetch_add(ended, Ordering::Relaxed);
    }
}

/// Shows the nodes while somebody looks, until the engine stops.
pub(super) async fn show_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let mut shown: BTreeSet<NodeId> = BTreeSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SHOW_INTERVAL) => {}
            () = inner.stop.cancelled() => return,
        }
        if !inner.hub.is_watched(Topic::Nodes) {
            continue;
        }
        match engine.nodes().await {
            Ok(nodes) => {
                let rev = nodes.iter().map(|node| node.rev).max().unwrap_or_else(|| engine.list_rev());
                let here: BTreeSet<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
                let gone: Vec<Key> = shown.difference(&here).map(|id| Key::Text(id.0.clone())).collect();
                let rows = nodes.into_iter().map(|node| (Row::Node(Box::new(node)), Audience::Everyone));
                inner.hub.publish(Topic::Nodes, rev, rows.collect(), &gone);
                shown = here;
            }
            Err(error) => tracing::warn!(%error, "the nodes cannot be shown"),
        }
    }
}

/// Starts what was scheduled, as it comes due, and adds up what has changed of counts, until the engine stops.
pub(super) async fn schedule_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = inner.stop.cancelled() => return,
        }
        match inner.store.start_due().await {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => {
                for change in &changes {
                    engine.publish(change);
                }
                inner.desk.nudge.notify_one();
            }
            Err(error) => inner.trouble("scheduled batches cannot be started", &error),
        }
        if let Err(error) = inner.store.fold_counts().await {
            inner.trouble("counts of batches cannot be added up", &error);
        }
    }
}

/// While the disk is full: sweeps, and looks whether there is room again, until the engine stops.
pub(super) async fn disk_loop(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(DISK_INTERVAL) => {}
            () = inner.stop.cancelled() => return,
        }
        if !inner.store.is_disk_full() {
            continue;
        }
        // A sweep that found no room has ended in the middle.
        inner.sweep.notify_one();
        match inner.store.regain_room().await {
            Ok(true) => inner.desk.nudge.notify_one(),
            Ok(false) => {}
            Err(error) => inner.trouble("room on the disk cannot be looked for", &error),
        }
    }
}

/// Deletes old batches and sweeps up after deleted ones, hourly and when asked, until the engine stops.
pub(super) async fn tidy_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let mut looks = Looks::Everywhere;
    loop {
        let tidied = async {
            // Where several share a database, one of them looks everywhere.
            let turn = looks == Looks::AtDeleted
                || !inner.store.is_shared()
                || inner.store.take_turn("tidy", TIDY_TURN).await?;
            if turn { tidy(&engine, looks).await } else { Ok(()) }
        };
        if let Err(error) = tidied.await {
            tracing::warn!(%error, "old batches stay for now");
        }
        tokio::select! {
            () = tokio::time::sleep(TIDY_INTERVAL) => looks = Looks::Everywhere,
            () = inner.sweep.notified() => looks = Looks::AtDeleted,
            () = inner.stop.cancelled() => return,
        }
    }
}

/// How thoroughly is tidied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// For what deleted batches left.
    AtDeleted,
    /// On every shelf, for files that nobody names: those of a cut upload, or of an attempt that was lost.
    Everywhere,
}

async fn tidy(engine: &Engine, looks: Looks) -> Result<(), EngineError> {
    let inner = &engine.inner;
    let keep_ms = i64::from(inner.options.retention_days) * DAY_MS;
    let oldest = inner.store.steady().plus_ms(-keep_ms);
    let mut after = 0;
    loop {
        let found = inner.store.finished_before(oldest, after, TIDY_PAGE).await?;
        for batch in &found {
            let mut change = match inner.store.delete(*batch).await {
                Ok(change) => change,
                // Retried or deleted meanwhile: the others are still too old.
                Err(StoreError::NotFinished | StoreError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            change.batch.deleted = true;
            engine.publish(&change);
        }
        match found.last() {
            Some(last) if !inner.stop.is_cancelled() => after = *last,
            Some(_) | None => break,
        }
    }
    sweep(inner).await?;
    while looks == Looks::Everywhere && inner.store.sweep_unnamed().await? && !inner.stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_PAUSE) => {}
            // The look takes long; whoever deleted something may wait for the room.
            () = inner.sweep.notified() => sweep(inner).await?,
        }
    }
    Ok(())
}

/// Sweeps up after deleted batches, and gives what that freed back to the disk.
async fn sweep(inner: &Inner) -> Result<(), StoreError> {
    while inner.store.sweep().await? && !inner.stop.is_cancelled() {
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
    inner.store.give_back_pages().await
}
