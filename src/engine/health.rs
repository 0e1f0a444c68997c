//! Whether this node is ready, and why not.
//!
//! Owns what is wrong below. Told by the loops, read by the claim loop and the probes. Invariant: what passes is
//! forgotten at the next commit, what is broken never. Deliberately repairs nothing.

use std::time::{Duration, Instant};

use super::Inner;
use crate::store::StoreError;

/// The same trouble is logged at most so often.
const TROUBLE_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What is wrong.
#[derive(Default)]
pub(super) struct Health {
    /// Why nothing is claimed, for good or until it passes.
    pub broken: Option<String>,
    pub passing: Option<String>,
    logged_at: Option<Instant>,
}

impl Inner {
    /// True while this node may take more work. What passes is tried, for nothing else would tell that it has passed.
    pub(super) fn may_claim(&self) -> bool {
        !self.is_leaving() && self.health().broken.is_none()
    }

    /// Something below does not work: the node is not ready until it does; a broken invariant makes that final.
    pub(super) fn trouble(&self, what: &str, error: &StoreError) {
        let reason = format!("{what}: {error}");
        if matches!(error, StoreError::Invariant(_)) {
            tracing::error!(%error, what, "claiming stops");
            self.break_down(reason);
            return;
        }
        let mut health = self.health();
        let due = health.logged_at.is_none_or(|at| at.elapsed() >= TROUBLE_LOG_INTERVAL);
        if due {
            health.logged_at = Some(Instant::now());
        }
        health.passing = Some(reason);
        drop(health);
        if due {
            tracing::warn!(%error, what, "trying again");
        }
    }

    /// A commit went through: what passes has passed.
    pub(super) fn recovered(&self) {
        self.health().passing = None;
    }

    /// Nothing is claimed any more; what is stored can still be read.
    pub(super) fn break_down(&self, reason: String) {
        self.health().broken.get_or_insert(reason);
    }
}
