//! Nodes.

use crate::protocol::{NodeId, NodeState, Role, Timestamp};

/// A node as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRecord {
    /// Fresh at each start.
    pub id: NodeId,
    /// Name for people.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Version of its executable.
    pub version: String,
    /// Items at once.
    pub slots: u32,
    /// Items now.
    pub busy: u32,
    /// Whether it is there.
    pub state: NodeState,
    /// Last beat, by the database's clock.
    pub heartbeat_at: Timestamp,
    /// Items ended per second.
    pub rate_per_s: f64,
}
