//! This process among the other nodes: how it registers, what it shows of them, and how it stops taking work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::dispatch::{Dispatcher, Slot};
use crate::engine::liveness::Liveness;
use crate::engine::publisher::Publisher;
use crate::engine::supervisor::Loops;
use crate::engine::{EngineError, EngineOptions};
use crate::hub::{Audience, Hub};
use crate::protocol::{Key, Node, NodeId, NodeState, Role, Row, SlotWork, Topic, limits};
use crate::store::{NodeRecord, Store, StoreError};

/// How often nodes are published while somebody subscribes to them.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// How often a drain looks whether all is done.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// This node among the others.
pub struct Membership {
    pub store: Store,
    pub liveness: Arc<Liveness>,
    pub dispatcher: Arc<Dispatcher>,
    pub publisher: Arc<Publisher>,
    pub options: Arc<EngineOptions>,
    pub loops: Loops,
    /// Items ended per second at the last beat (bits of an `f64`).
    pub rate_bits: AtomicU64,
}

impl Membership {
    /// All nodes, as everybody sees them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn nodes(&self) -> Result<Vec<Node>, EngineError> {
        let (now, rev) = (self.store.steady(), self.publisher.list_rev());
        let lost_ms = u64::from(self.options.lease_seconds) * 1_000;
        let mut nodes: Vec<Node> = Vec::new();
        let own = self.liveness.node();
        for record in self.store.nodes().await? {
            let here = record.id == own;
            let heartbeat_age_ms = now.ms_since(record.heartbeat_at);
            let work = if here { self.running(limits::SLOT_WORK_SHOWN_MAX) } else { Vec::new() };
            nodes.push(Node {
                state: match (here, heartbeat_age_ms > lost_ms) {
                    (false, true) => NodeState::Down,
                    (false, false) => record.state,
                    (true, _) => self.liveness.state(),
                },
                busy: if here { self.dispatcher.slots.busy() } else { record.busy },
                rate_per_s: if here { self.rate() } else { record.rate_per_s },
                id: record.id,
                name: record.name,
                role: record.role,
                version: record.version,
                slots: record.slots,
                heartbeat_age_ms,
                work,
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
        self.store.node_drain(node).await?;
        if *node == self.liveness.node() {
            self.retire();
        }
        let found = self.nodes().await?.into_iter().find(|known| known.id == *node);
        found.ok_or(EngineError::Store(StoreError::NotFound("node")))
    }

    /// This node as it registers.
    pub fn record(&self) -> NodeRecord {
        NodeRecord {
            id: self.liveness.node(),
            name: self.options.node_name.clone(),
            role: self.options.role,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: if self.options.role == Role::Web { 0 } else { self.options.slots },
            busy: 0,
            state: self.liveness.state(),
            heartbeat_at: self.store.steady(),
            rate_per_s: 0.0,
        }
    }

    /// Running items of this node, at most `max`.
    fn running(&self, max: usize) -> Vec<SlotWork> {
        let work = |slot: &Slot| {
            let (batch, seq) = slot.item()?;
            Some(SlotWork { batch, seq, started_at: slot.started_at() })
        };
        self.dispatcher.slots.iter().filter_map(work).take(max).collect()
    }

    /// Items ended per second on this node, as of the last beat.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate_bits.load(Ordering::Relaxed))
    }

    /// Takes no more work here, for as long as the process lives: what runs finishes within the grace, the rest goes
    /// back. Pages are served as before.
    pub fn retire(&self) {
        if !self.liveness.retire() {
            return;
        }
        tracing::info!("this node takes no more work");
        self.dispatcher.close();
        let (dispatcher, stop) = (Arc::clone(&self.dispatcher), self.loops.stop_token());
        let grace = Duration::from_secs(u64::from(self.options.drain_seconds));
        self.loops.spawn(async move {
            let idle = || dispatcher.slots.busy() == 0 || stop.is_cancelled();
            if !becomes(grace, idle).await {
                dispatcher.release();
            }
        });
    }

    /// Publishes the nodes while somebody subscribes to them, until the engine stops.
    pub async fn publish_loop(self: Arc<Self>, hub: Hub) {
        let stop = self.loops.stop_token();
        let mut shown: BTreeSet<NodeId> = BTreeSet::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(PUBLISH_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            if !hub.is_watched(Topic::Nodes) {
                continue;
            }
            match self.nodes().await {
                Ok(nodes) => {
                    let rev = nodes.iter().map(|node| node.rev).max();
                    let rev = rev.unwrap_or_else(|| self.publisher.list_rev());
                    let here: BTreeSet<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
                    let gone: Vec<Key> = shown.difference(&here).map(|id| Key::Text(id.0.clone())).collect();
                    let rows = nodes.into_iter().map(|node| (Row::Node(Box::new(node)), Audience::Everyone));
                    hub.publish(Topic::Nodes, rev, rows.collect(), &gone);
                    shown = here;
                }
                Err(error) => tracing::warn!(%error, "the nodes cannot be shown"),
            }
        }
    }
}

/// Waits up to `most` until `holds`; whether it does.
pub async fn becomes(most: Duration, holds: impl Fn() -> bool) -> bool {
    let until = tokio::time::Instant::now() + most;
    while !holds() {
        if tokio::time::Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(DRAIN_LOOK).await;
    }
    true
}
