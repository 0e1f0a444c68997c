//! Nodes: who is there, by their beats and the steady clock that they share.
//!
//! A node's id is fresh each start, so a row is never of two processes, and one that is down never comes up again:
//! whoever was expelled joins anew.

use std::time::Duration;

use sea_orm::{DatabaseTransaction, Value};

use crate::protocol::{NodeId, NodeState, Role, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, int, locking, row, rows, run, small};
use crate::store::entity::nodes;
use crate::store::error::StoreError;
use crate::store::records::NodeRecord;

/// Nodes without a beat for so long are not shown any more, and their rows go, in ms.
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
    /// Adds this process. On a database of one process alone, all others are down.
    ///
    /// # Errors
    /// Outages.
    pub async fn node_started(&self, node: &NodeRecord) -> Result<(), StoreError> {
        self.with_reserve(|| self.node_started_once(node)).await
    }

    async fn node_started_once(&self, node: &NodeRecord) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        if !self.is_shared() {
            run(&tx, "UPDATE nodes SET state = 'down', busy = 0 WHERE state <> 'down'", vec![]).await?;
        }
        self.insert_node(&tx, node).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// Joins anew in the place of `old`, which is down from now on. What was coming in through it goes on through
    /// `node`; its leases are for whoever reclaims.
    ///
    /// # Errors
    /// Outages.
    pub async fn node_replaced(&self, old: &NodeId, node: &NodeRecord) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        let (from, to): (Value, Value) = (old.0.clone().into(), node.id.0.clone().into());
        run(
            &tx,
            "UPDATE nodes SET state = 'down', busy = 0, rate_per_s = 0 WHERE id = $1",
            vec![from.clone()],
        )
        .await?;
        self.insert_node(&tx, node).await?;
        let taken_over = || vec![from.clone(), to.clone()];
        // Locked in the order in which all lock them.
        let filled = "SELECT id FROM batches WHERE intake_node = $1 ORDER BY id";
        rows(&tx, &locking(&tx, filled), vec![from.clone()]).await?;
        run(&tx, "UPDATE batches SET intake_node = $2 WHERE intake_node = $1", taken_over()).await?;
        run(&tx, "UPDATE idempotency SET holder = $2 WHERE holder = $1", taken_over()).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    async fn insert_node(&self, tx: &DatabaseTransaction, node: &NodeRecord) -> Result<(), StoreError> {
        let values: Vec<Value> = vec![
            node.id.0.clone().into(),
            node.name.clone().into(),
            role_text(node.role).into(),
            node.version.clone().into(),
            i64::from(node.slots).into(),
            i64::from(node.busy).into(),
            state_text(node.state).into(),
            self.steady().0.into(),
            node.rate_per_s.into(),
        ];
        let text = "INSERT INTO nodes (id, name, role, version, slots, busy, state, heartbeat_at, rate_per_s) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        run(tx, text, values).await?;
        Ok(())
    }

    /// Beats, with what is busy; answers the state that is wished: a node may be told to drain by another.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the node was expelled, is forgotten or was never started; outages.
    pub async fn node_beat(
        &self,
        node: &NodeId,
        busy: u32,
        rate_per_s: f64,
        state: NodeState,
    ) -> Result<NodeState, StoreError> {
        let values = vec![
            node.0.clone().into(),
            i64::from(busy).into(),
            rate_per_s.into(),
            state_text(state).into(),
            // Of before the statement: a beat that came late must not look younger than it is.
            self.steady().0.into(),
        ];
        let beats = self.inner.backend.beats();
        let text = "UPDATE nodes SET busy = $2, rate_per_s = $3, heartbeat_at = $5, \
             state = CASE WHEN state = 'draining' THEN state ELSE $4 END \
             WHERE id = $1 AND state <> 'down' RETURNING state";
        let told = row(beats, text, values).await?.ok_or(StoreError::NotFound("node"))?;
        let told: String = told.try_get_by_index(0)?;
        Ok(if told == state_text(NodeState::Draining) { NodeState::Draining } else { NodeState::Up })
    }

    /// Wishes that a node drains: it learns of it with its next beat.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, or it is down; outages.
    pub async fn node_drain(&self, node: &NodeId) -> Result<(), StoreError> {
        let text = "UPDATE nodes SET state = 'draining' WHERE id = $1 AND state <> 'down'";
        match run(self.inner.backend.writer(), text, vec![node.0.clone().into()]).await? {
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

    /// Marks as down who has not beaten for longer than `lease`, or in a future that cannot be; answers who was expelled.
    /// Rows of nodes that have been down for long go.
    ///
    /// # Errors
    /// Outages.
    pub async fn expel(&self, lease: Duration) -> Result<Vec<NodeId>, StoreError> {
        let lease_ms = int(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        let writer = self.inner.backend.writer();
        let now = self.steady();
        let old = "DELETE FROM nodes WHERE state = 'down' AND heartbeat_at < $1";
        run(writer, old, vec![now.plus_ms(-SHOWN_MS).0.into()]).await?;
        let text = "UPDATE nodes SET state = 'down', busy = 0, rate_per_s = 0 \
             WHERE state <> 'down' AND (heartbeat_at < $1 OR heartbeat_at > $2) RETURNING id";
        let bounds = [now.plus_ms(-lease_ms), now.plus_ms(lease_ms)].map(|bound| bound.0.into());
        let gone = rows(writer, text, bounds.to_vec()).await?;
        gone.iter().map(|row| Ok(NodeId(row.try_get_by_index(0)?))).collect()
    }

    /// Takes the turn at what one node does for all, for `duration`; true where it was free.
    ///
    /// # Errors
    /// Outages.
    pub async fn take_turn(&self, what: &str, duration: Duration) -> Result<bool, StoreError> {
        let writer = self.inner.backend.writer();
        let now = self.steady();
        let span_ms = int(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let until = now.plus_ms(span_ms);
        let text = "INSERT INTO meta (\"key\", value) VALUES ($1, $2) ON CONFLICT (\"key\") DO UPDATE SET \
             value = excluded.value WHERE CAST(meta.value AS BIGINT) <= $3 OR CAST(meta.value AS BIGINT) > $4";
        // Nobody takes a turn for twice as long: one that ends later was taken by another clock.
        let never = until.plus_ms(span_ms);
        let values =
            vec![format!("turn {what}").into(), until.0.to_string().into(), now.0.into(), never.0.into()];
        Ok(run(writer, text, values).await? == 1)
    }

    /// All nodes that beat within the last hour.
    ///
    /// # Errors
    /// Outages.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let since = vec![self.steady().plus_ms(-SHOWN_MS).0.into()];
        let text = "SELECT * FROM nodes WHERE heartbeat_at >= $1 ORDER BY name, id";
        let rows: Vec<nodes::Model> = all(self.inner.backend.reader(), text, since).await?;
        rows.into_iter().map(to_node).collect()
    }
}
