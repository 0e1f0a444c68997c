//! Whether this node is ready, and why not.
//!
//! Owns what is wrong below. Told by the loops, read by the claim loop and the probes. Invariant: what passes is
//! forgotten at the next commit, what is broken never. Deliberately repairs nothing.

use std::collections::BTreeSet;
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
    /// Loops that break again and again.
    pub stumbling: BTreeSet<&'static str>,
    /// The process's own loops have not had their turn for long.
    pub blocked: bool,
    logged_at: Option<Instant>,
}

impl Inner {
    /// True while this node may take more work. What passes is tried, for nothing else would tell that it has passed.
    pub(super) fn may_claim(&self) -> bool {
        // What the reserve gave free is for ends, not for beginnings.
        !self.pulse.is_retired() && !self.store.is_disk_full() && self.may_write()
    }

    /// True while this node may change what is stored: it is there, in time, and nothing is broken.
    pub(super) fn may_write(&self) -> bool {
        !self.is_leaving() && !self.pulse.is_fenced() && !self.is_stale() && self.health().broken.is_none()
    }

    /// Something below does not work: the node is not ready until it does; a broken invariant makes that final.
    pub(super) fn trouble(&self, what: &str, error: &StoreError) {
        let reason = format!("{what}: {error}");
        self.store.note_full(error);
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

    /// Why the node is not ready, if it is not.
    pub(super) fn unready(&self) -> Option<String> {
        if self.is_leaving() || self.pulse.is_retired() {
            return Some("The node is draining.".to_owned());
        }
        let health = self.health();
        let stopped = || {
            let away = "The node cannot beat in the database: its work is stopped until it can.";
            self.pulse.is_fenced().then(|| away.to_owned())
        };
        let full = || {
            let reason = "The disk is full: nothing new is taken until there is room.";
            self.store.is_disk_full().then(|| reason.to_owned())
        };
        let blocked = || health.blocked.then(|| "The process is blocked: its loops have no turn.".to_owned());
        let stumbles = || {
            let which = health.stumbling.first()?;
            Some(format!("The {which} loop breaks again and again; see the log."))
        };
        let broken = health.broken.clone().or_else(stopped);
        broken.or_else(full).or_else(|| health.passing.clone()).or_else(stumbles).or_else(blocked)
    }

    /// The process's own loops have their turn, or have not had it for long.
    pub(super) fn note_blocked(&self, blocked: bool) {
        let before = std::mem::replace(&mut self.health().blocked, blocked);
        match (before, blocked) {
            (false, true) => tracing::error!("the loops of this process have not had their turn for seconds"),
            (true, false) => tracing::warn!("the loops of this process have their turn again"),
            (true, true) | (false, false) => {}
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
