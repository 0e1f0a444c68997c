//! Nodes: who is there, by their beats.
//!
//! Owns the rows of nodes. Called by the engine. Invariant: a node's id is fresh each start, so a row is never of two
//! processes. Deliberately does not decide who is lost: [`Store::reclaim`] is told who lives.

use sea_orm::Value;

use super::Store;
use super::backend::{Durability, all, run, small};
use super::entity::nodes;
use super::error::StoreError;
use super::records::NodeRecord;
use crate::protocol::{NodeId, NodeState, Role, Timestamp};

/// Nodes without a beat for so long are not shown any more, and their rows go at the next start, in ms.
const SHOWN_MS: i64 = 3_600 * 1_000;

fn role_text(role: Role) -> &'static str {
    match role {
        Role::All => "all",
        Role::Web => "web",
        Role::Worker => "worker",
    }
}

fn state_text(state: NodeState) -> &'static str {
    match state {
        NodeState::Up => "up",
        NodeState::Draining => "draining",
        NodeState::Down => "down",
    }
}

fn to_node(row: nodes::Model) -> Result<NodeRecord, StoreError> {
    let broken = |what: &str| StoreError::Invariant(format!("node {}: {what} is not readable", row.id));
    Ok(NodeRecord {
        role: [Role::All, Role::Web, Role::Worker]
            .into_iter()
            .find(|role| role_text(*role) == row.role)
            .ok_or_else(|| broken("role"))?,
        state: [NodeState::Up, NodeState::Draining, NodeState::Down]
            .into_iter()
            .find(|state| state_text(*state) == row.state)
            .ok_or_else(|| broken("state"))?,
        slots: small(row.slots)?,
        busy: small(row.busy)?,
        id: NodeId(row.id),
        name: row.name,
        version: row.version,
        heartbeat_at: Timestamp(row.heartbeat_at),
        rate_per_s: row.rate_per_s,
    })
}

impl Store {
    /// Adds this process.
    ///
    /// # Errors
    /// Outages.
    pub async fn node_started(&self, node: &NodeRecord) -> Result<(), StoreError> {
        let now = self.now();
        let tx = self.inner.backend.write().await?;
        let old = vec![now.plus_ms(-SHOWN_MS).0.into()];
        run(&tx, "DELETE FROM nodes WHERE heartbeat_at < $1", old).await?;
        let values: Vec<Value> = vec![
            node.id.0.clone().into(),
            node.name.clone().into(),
            role_text(node.role).into(),
            node.version.clone().into(),
            i64::from(node.slots).into(),
            i64::from(node.busy).into(),
            state_text(node.state).into(),
            now.0.into(),
            node.rate_per_s.into(),
        ];
        run(
            &tx,
            "INSERT INTO nodes (id, name, role, version, slots, busy, state, heartbeat_at, rate_per_s) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            values,
        )
        .await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// Beats, with what is busy.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the node was never started or is forgotten; outages.
    pub async fn node_beat(
        &self,
        node: &NodeId,
        busy: u32,
        rate_per_s: f64,
        state: NodeState,
    ) -> Result<(), StoreError> {
        let values = vec![
            node.0.clone().into(),
            i64::from(busy).into(),
            rate_per_s.into(),
            state_text(state).into(),
            self.now().0.into(),
        ];
        let text = "UPDATE nodes SET busy = $2, rate_per_s = $3, state = $4, heartbeat_at = $5 WHERE id = $1";
        match run(self.inner.backend.writer(), text, values).await? {
            0 => Err(StoreError::NotFound("node")),
            _ => Ok(()),
        }
    }

    /// Leaves cleanly: the node has no lease any more.
    ///
    /// # Errors
    /// Outages.
    pub async fn node_stopped(&self, node: &NodeId) -> Result<(), StoreError> {
        let text = "UPDATE nodes SET busy = 0, rate_per_s = 0, state = 'down' WHERE id = $1";
        run(self.inner.backend.writer(), text, vec![node.0.clone().into()]).await?;
        Ok(())
    }

    /// All nodes that beat within the last hour.
    ///
    /// # Errors
    /// Outages.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let since = vec![self.now().plus_ms(-SHOWN_MS).0.into()];
        let text = "SELECT * FROM nodes WHERE heartbeat_at >= $1 ORDER BY name, id";
        let rows: Vec<nodes::Model> = all(self.inner.backend.reader(), text, since).await?;
        rows.into_iter().map(to_node).collect()
    }
}
