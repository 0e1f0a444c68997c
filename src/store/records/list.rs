//! Lists of batches: what is asked and what is answered.

use super::batch::{BatchKey, BatchRecord};
use crate::protocol::{BatchId, BatchState};

/// Who looks at a list: decides what is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Name of the caller.
    pub name: String,
    /// Sees private batches of others.
    pub sees_all: bool,
    /// Sees batches of this task only.
    pub task: Option<String>,
    /// Sees this batch only.
    pub batch: Option<BatchId>,
    /// Sees no batches of these tasks but private ones of their own.
    pub hidden_tasks: Vec<String>,
}

impl Viewer {
    /// Somebody who sees batches of all tasks.
    #[must_use]
    pub fn of(name: impl Into<String>, sees_all: bool) -> Self {
        Self { name: name.into(), sees_all, task: None, batch: None, hidden_tasks: Vec::new() }
    }
}

/// Which batches to list.
#[derive(Clone, Debug)]
pub struct BatchFilter {
    /// Visible to whom.
    pub viewer: Viewer,
    /// Only these states; empty = all.
    pub states: Vec<BatchState>,
    /// Only with failed items.
    pub with_failures: bool,
    /// Name of a task.
    pub task: Option<String>,
    /// Name of an owner.
    pub owner: Option<String>,
    /// Part of the name.
    pub text: Option<String>,
    /// The batch they came from.
    pub parent: Option<BatchId>,
    /// Number of a batch.
    pub number: Option<BatchKey>,
    /// Only older than this one.
    pub before: Option<BatchKey>,
    /// How many.
    pub limit: u32,
}

/// A page of batches.
#[derive(Clone, Debug)]
pub struct BatchList {
    /// Newest first.
    pub batches: Vec<BatchRecord>,
    /// Key for `before` of the next page.
    pub next: Option<BatchKey>,
}
