//! Tasks and nodes: what can be run, and who runs it.
//!
//! As [`super`].

use std::time::Duration;

use super::{Action, Caller, Service, Target, may};
use crate::engine::EngineError;
use crate::protocol::{ApiError, Node, NodeId, NodePage, NodeState, PersonRole, TaskInfo, TaskPage};

/// How long the database may take to prove that it commits.
const PING_MAX: Duration = Duration::from_secs(2);

impl Service {
    /// Tasks that can be run.
    ///
    /// # Errors
    /// None for anybody who is signed in.
    pub fn tasks(&self, caller: &Caller) -> Result<TaskPage, ApiError> {
        may(caller, Action::SeeTasks, Target::Installation)?;
        let infos = self.inner.tasks.infos();
        // What can be run, for whoever may run something; what can be looked at, for others.
        let is_shown = |task: &str| match caller.role {
            PersonRole::Viewer => !caller.refused_tasks.hides(task),
            PersonRole::Operator | PersonRole::Admin => !caller.refused_tasks.bars(task),
        };
        let shown = infos.iter().filter(|info| is_shown(&info.name));
        Ok(TaskPage { tasks: shown.map(|info| TaskInfo::clone(info)).collect() })
    }

    /// Nodes.
    ///
    /// # Errors
    /// Outages only.
    pub async fn nodes(&self, caller: &Caller) -> Result<NodePage, ApiError> {
        may(caller, Action::SeeNodes, Target::Installation)?;
        Ok(NodePage { nodes: self.inner.engine.nodes().await? })
    }

    /// Stops a node from taking work, this one or another; answers it as it then is. What runs goes on within the
    /// grace.
    ///
    /// # Errors
    /// `not_allowed`, or `not_found` where there is no such node, or it is down.
    pub async fn drain_node(&self, caller: &Caller, node: &str) -> Result<Node, ApiError> {
        may(caller, Action::DrainNode, Target::Installation)?;
        tracing::info!(by = caller.name, node, "draining on request");
        caller.signs(self.inner.store.log_act("node.drain", node, "")).await?;
        Ok(self.inner.engine.drain_node(&NodeId(node.to_owned())).await?)
    }

    /// Refuses at once what would wait for a database that is known not to answer.
    ///
    /// # Errors
    /// `busy`, with when to try again.
    pub fn reachable(&self) -> Result<(), ApiError> {
        if self.inner.engine.is_away() {
            return Err(EngineError::Unready("The database does not answer; try again.".to_owned()).into());
        }
        Ok(())
    }

    /// Why this process is not ready, if it is not: a sentence. Open to everybody.
    pub async fn unready(&self) -> Option<String> {
        if let Some(reason) = self.inner.engine.unready() {
            return Some(reason);
        }
        match tokio::time::timeout(PING_MAX, self.inner.store.ping()).await {
            Ok(Ok(())) => match self.inner.store.file_store().ping().await {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(%error, "not ready");
                    Some("the file store cannot be reached".to_owned())
                }
            },
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                let reason =
                    if error.is_disk_full() { "the disk is full" } else { "the database does not commit" };
                Some(reason.to_owned())
            }
            Err(_late) => Some("the database does not answer in time".to_owned()),
        }
    }

    /// Figures of the installation for `/metrics`: nodes, and how many batches there are.
    ///
    /// # Errors
    /// Outages only.
    pub async fn figures(&self, caller: &Caller) -> Result<Figures, ApiError> {
        may(caller, Action::SeeMetrics, Target::Installation)?;
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
