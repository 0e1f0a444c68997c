//! Whether this node is ready, and why not.
//!
//! The loops report what goes wrong, the claim loop and the probes ask. What passes is forgotten at the next commit;
//! what is broken stays broken. Repairs nothing.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::liveness::Liveness;
use super::log_limit::LogLimit;
use crate::fault::Loop;
use crate::store::{Store, StoreError};

/// The health of this node.
pub struct Health {
    store: Store,
    liveness: Arc<Liveness>,
    faults: Mutex<Faults>,
    trouble_log: LogLimit,
}

/// What is wrong.
#[derive(Default)]
struct Faults {
    /// Why nothing is claimed, for good.
    broken: Option<String>,
    /// The same, until it passes.
    passing: Option<String>,
    /// Loops that break again and again.
    stumbling: BTreeSet<&'static str>,
    /// The process's own loops have not had their turn for long.
    blocked: bool,
}

impl Health {
    /// Nothing is wrong yet.
    pub fn new(store: Store, liveness: Arc<Liveness>) -> Self {
        Self { store, liveness, faults: Mutex::default(), trouble_log: LogLimit::once_a_minute() }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while this node may take more work. What passes is tried, for nothing else would tell that it has passed.
    pub fn may_claim(&self) -> bool {
        // What the reserve of the disk gave free is for ends, not for beginnings.
        // While the file store is away, attempts would be spent on items that cannot get at their files.
        let store = &self.store;
        !self.liveness.is_retired()
            && !store.is_disk_full()
            && !store.file_store().is_away()
            && self.may_write()
    }

    /// True while this node may change what is stored: it is there, in time, and nothing is broken.
    pub fn may_write(&self) -> bool {
        let live = &self.liveness;
        !live.is_leaving() && !live.is_fenced() && !live.is_stale() && !self.is_broken()
    }

    /// True where something is wrong for good.
    pub fn is_broken(&self) -> bool {
        self.faults().broken.is_some()
    }

    /// Something below does not work: the node is not ready until it does; a broken invariant makes that final.
    pub fn trouble(&self, what: &str, error: &StoreError) {
        let reason = format!("{what}: {error}");
        self.store.record_full(error);
        if matches!(error, StoreError::Invariant(_)) {
            tracing::error!(%error, what, "claiming stops");
            self.break_down(reason);
            return;
        }
        self.faults().passing = Some(reason);
        if self.trouble_log.is_due() {
            tracing::warn!(%error, what, "trying again");
        }
    }

    /// Why the node is not ready, if it is not.
    pub fn unready(&self) -> Option<String> {
        if self.liveness.is_leaving() || self.liveness.is_retired() {
            return Some("The node is draining.".to_owned());
        }
        let faults = self.faults();
        let stopped = || {
            let away = "The node cannot beat in the database: its work is stopped until it can.";
            self.liveness.is_fenced().then(|| away.to_owned())
        };
        let full = || {
            let reason = "The disk is full: nothing new is taken until there is room.";
            self.store.is_disk_full().then(|| reason.to_owned())
        };
        let away = || {
            let reason = "The file store cannot be reached: nothing new is started until it can.";
            self.store.file_store().is_away().then(|| reason.to_owned())
        };
        let blocked = || faults.blocked.then(|| "The process is blocked: its loops have no turn.".to_owned());
        let stumbles = || {
            let which = faults.stumbling.first()?;
            Some(format!("The {which} loop breaks again and again; see the log."))
        };
        let broken = faults.broken.clone().or_else(stopped);
        broken
            .or_else(full)
            .or_else(away)
            .or_else(|| faults.passing.clone())
            .or_else(stumbles)
            .or_else(blocked)
    }

    /// The process's own loops have their turn, or have not had it for long.
    pub fn set_blocked(&self, now: Turns) {
        let blocked = now == Turns::Blocked;
        let before = std::mem::replace(&mut self.faults().blocked, blocked);
        match (before, blocked) {
            (false, true) => tracing::error!("the loops of this process have not had their turn for seconds"),
            (true, false) => tracing::warn!("the loops of this process have their turn again"),
            (true, true) | (false, false) => {}
        }
    }

    /// A commit went through: what passes has passed.
    pub fn recovered(&self) {
        self.faults().passing = None;
    }

    /// Nothing is claimed any more; what is stored can still be read.
    pub fn break_down(&self, reason: String) {
        self.faults().broken.get_or_insert(reason);
    }

    /// A loop of this node broke that is not started again.
    pub fn broke(&self, which: Loop, fault: &dyn Display) {
        log_break(which, fault);
        self.break_down(format!("The {} loop broke; see the log.", which.name()));
    }

    /// A loop that is started again breaks again and again.
    pub fn stumbles(&self, which: Loop) {
        self.faults().stumbling.insert(which.name());
    }

    /// It runs well, or has ended.
    pub fn runs_well(&self, which: Loop) {
        self.faults().stumbling.remove(which.name());
    }
}

/// Whether the process's own loops have their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    Regular,
    Blocked,
}

/// Logs that a loop broke.
pub fn log_break(which: Loop, fault: &dyn Display) {
    tracing::error!(name = which.name(), %fault, "a loop broke");
}
