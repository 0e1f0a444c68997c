//! Tasks and nodes as everybody sees them.
//!
//! `params` is a JSON Schema object.

use serde::{Deserialize, Serialize};

use super::ids::{BatchId, NodeId, Rev};
use super::json::Json;
use super::time::Timestamp;

/// What one item of a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// A file.
    File,
    /// A line of text, or a number of a generated batch.
    Line,
    /// A CSV row or a JSON object.
    Record,
}

/// A task that can be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ssr", schemars(rename = "Task"))]
pub struct TaskInfo {
    /// Name for programs: `[a-z0-9-]`.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// What one item is.
    pub input: InputKind,
    /// JSON Schema of its parameters.
    #[cfg_attr(feature = "ssr", schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    pub params: Json,
}

/// All tasks, in the order in which they are offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<TaskInfo>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves and works.
    All,
    /// Serves only.
    Web,
    /// Works only.
    Worker,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::All, Self::Web, Self::Worker];
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Beats and takes work.
    Up,
    /// Beats, finishes what it has, takes nothing new.
    Draining,
    /// Has stopped beating.
    Down,
}

impl NodeState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Up, Self::Draining, Self::Down];
}

/// What one slot runs; only indicative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SlotWork {
    /// Of which batch.
    pub batch: BatchId,
    /// Which item.
    pub seq: u64,
    /// When it was taken up; none where that is not known yet.
    pub started_at: Option<Timestamp>,
}

/// One process of the installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Node {
    /// Fresh at each start.
    pub id: NodeId,
    /// Name for people.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Version of its executable.
    pub version: String,
    /// Items it can run at once.
    pub slots: u32,
    /// Items it runs now.
    pub busy: u32,
    /// Whether it is there.
    pub state: NodeState,
    /// Since its last beat, by the database's clock.
    pub heartbeat_age_ms: u64,
    /// Items ended per second over the last seconds.
    pub rate_per_s: f64,
    /// What its slots run, 64 at most (`limits::SLOT_WORK_SHOWN_MAX`).
    pub work: Vec<SlotWork>,
    /// Revision at which this row was written.
    pub rev: Rev,
}

/// All nodes, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct NodePage {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// Who is signed in, as their own pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Name of the person, or `token:NAME`.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
}

/// What a person or token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PersonRole {
    /// Sees batches and results.
    Viewer,
    /// Also submits, and acts on batches of their own.
    Operator,
    /// Everything.
    Admin,
}

impl PersonRole {
    /// Every role, least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role named `text`, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
