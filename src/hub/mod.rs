//! Who hears what: topics, sessions, pace.
//!
//! Stub; the public face is fixed.

use std::sync::Arc;

use crate::protocol::{BatchId, Key, Rev, Row, Seq, Topic};

/// Who may hear a row of the topic `batches`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every signed-in caller.
    Everyone,
    /// This owner, and whoever sees all.
    Owner(String),
}

/// The hub. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub {
    _inner: Arc<()>,
}

#[expect(unused_variables, clippy::unused_self, reason = "stub")]
impl Hub {
    /// Takes rows of `topic` as of `rev`. Costs nothing where nobody listens. Never blocks, never awaits.
    pub fn publish(&self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, gone: &[Key]) {}
    /// True where somebody listens to `topic`.
    #[must_use]
    pub fn is_watched(&self, topic: Topic) -> bool {
        false
    }
    /// Windows of items of `batch` that somebody listens to, both ends included.
    #[must_use]
    pub fn windows(&self, batch: BatchId) -> Vec<(Seq, Seq)> {
        Vec::new()
    }
    /// Batches of which somebody listens to windows, items, strip or families.
    #[must_use]
    pub fn watched_batches(&self) -> Vec<BatchId> {
        Vec::new()
    }
}
