//! Tasks and nodes: what can be run, and who runs it.
//!
//! Owns the use cases that concern the installation as a whole. Called by app, server and live. Invariant: as
//! [`super`]. Deliberately knows no batch.

use std::time::Duration;

use super::{Action, Caller, Object, Service, may};
use crate::protocol::{ApiError, Node, NodePage, NodeState, TaskPage};

/// How long the database may take to prove that it commits.
const PING_MAX: Duration = Duration::from_secs(2);

impl Service {
    /// Tasks that can be run.
    ///
    /// # Errors
    /// None for anybody who is signed in.
    pub fn tasks(&self, caller: &Caller) -> Result<TaskPage, ApiError> {
        may(caller, Action::SeeTasks, Object::Installation)?;
        Ok(TaskPage { tasks: self.inner.tasks.infos().cloned().collect() })
    }

    /// Nodes.
    ///
    /// # Errors
    /// Outages only.
    pub async fn nodes(&self, caller: &Caller) -> Result<NodePage, ApiError> {
        may(caller, Action::SeeNodes, Object::Installation)?;
        Ok(NodePage { nodes: self.inner.engine.nodes().await? })
    }

    /// Stops this node from taking work; answers at once, what runs goes on within the grace.
    ///
    /// # Errors
    /// `not_allowed`, or `not_found` where `node` is not this process: others are stopped where they run.
    pub async fn drain_node(&self, caller: &Caller, node: &str) -> Result<(), ApiError> {
        may(caller, Action::DrainNode, Object::Installation)?;
        let engine = self.inner.engine.clone();
        if engine.node().0 != node {
            return Err(ApiError::not_found("node in this process"));
        }
        tracing::info!(by = caller.name, "draining on request");
        tokio::spawn(async move { engine.drain().await });
        Ok(())
    }

    /// Why this process is not ready, if it is not: a sentence. Open to everybody.
    pub async fn unready(&self) -> Option<String> {
        if let Some(reason) = self.inner.engine.unready() {
            return Some(reason);
        }
        match tokio::time::timeout(PING_MAX, self.inner.store.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                Some("the database does not commit".to_owned())
            }
            Err(_late) => Some("the database does not answer in time".to_owned()),
        }
    }

    /// Figures of the installation for `/metrics`: nodes, and how many batches there are.
    ///
    /// # Errors
    /// Outages only.
    pub async fn figures(&self, caller: &Caller) -> Result<Figures, ApiError> {
        may(caller, Action::SeeMetrics, Object::Installation)?;
        let nodes = self.inner.engine.nodes().await?;
        let counts = self.inner.store.counts(&caller.viewer()).await?;
        Ok(Figures { nodes, counts })
    }

    /// Slots of all living nodes.
    pub(super) async fn slots(&self) -> Result<u32, ApiError> {
        let nodes = self.inner.engine.nodes().await?;
        let living = nodes.iter().filter(|node| node.state == NodeState::Up);
        Ok(living.fold(0, |slots, node| node.slots.saturating_add(slots)))
    }
}

/// Figures of the installation at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Batches that the caller may see.
    pub counts: crate::protocol::BatchCounts,
}
