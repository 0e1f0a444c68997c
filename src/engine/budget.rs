//! When a batch pauses by itself because too much fails.
//!
//! Owns what has been seen of each batch with a budget since it was started or resumed. Fed by the recorder in
//! recorded order. Invariant: a resume starts both counts anew. Deliberately only judges: the recorder pauses.

use std::collections::HashMap;

use crate::protocol::{Budget, ItemState};
use crate::store::{BatchKey, BatchRecord, OutcomeRun};

/// The percentage is looked at from so many ended items on.
const ENDED_MIN: u64 = 100;
/// Batches watched at most; beyond, all counts start anew.
const WATCHED_MAX: usize = 4_096;

#[derive(Default)]
struct Watch {
    /// Counts at the last resume.
    ended_before: u64,
    failed_before: u64,
    failed_in_a_row: u64,
    longest_row: u64,
}

/// All batches with a budget.
#[derive(Default)]
pub(super) struct Budgets {
    watches: HashMap<BatchKey, Watch>,
}

impl Budgets {
    /// Takes ends in recorded order.
    pub fn note(&mut self, batch: BatchKey, outcomes: &[OutcomeRun]) {
        if self.watches.len() >= WATCHED_MAX {
            self.watches.clear();
        }
        let watch = self.watches.entry(batch).or_default();
        for run in outcomes {
            match run.state {
                ItemState::Failed => {
                    watch.failed_in_a_row += run.range.count();
                    watch.longest_row = watch.longest_row.max(watch.failed_in_a_row);
                }
                ItemState::Succeeded => watch.failed_in_a_row = 0,
                ItemState::Pending | ItemState::Running | ItemState::Retrying | ItemState::Cancelled => {}
            }
        }
    }

    /// Starts anew from where the batch stands.
    pub fn reset(&mut self, batch: &BatchRecord) {
        if batch.options.budget.is_some() {
            let (ended_before, failed_before) = (batch.succeeded + batch.failed, batch.failed);
            self.watches.insert(batch.key, Watch { ended_before, failed_before, ..Watch::default() });
        }
    }

    /// Forgets a finished batch.
    pub fn forget(&mut self, batch: BatchKey) {
        self.watches.remove(&batch);
    }

    /// True where the batch has spent its budget.
    pub fn is_spent(&self, batch: &BatchRecord) -> bool {
        let (Some(budget), Some(watch)) = (batch.options.budget, self.watches.get(&batch.key)) else {
            return false;
        };
        watch.exceeds(budget, batch.succeeded + batch.failed, batch.failed)
    }
}

impl Watch {
    fn exceeds(&self, budget: Budget, ended: u64, failed: u64) -> bool {
        let ended = ended.saturating_sub(self.ended_before);
        let failed = failed.saturating_sub(self.failed_before);
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let share = failed as f64 * 100.0 / ended.max(1) as f64;
        let percent = budget.failed_percent.is_some_and(|most| ended >= ENDED_MIN && share > most);
        percent || budget.failed_in_a_row.is_some_and(|most| self.longest_row >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_counts_from_the_hundredth_end_on() {
        let budget = Budget { failed_percent: Some(10.0), failed_in_a_row: None };
        let watch = Watch::default();
        assert!(!watch.exceeds(budget, 99, 99));
        assert!(!watch.exceeds(budget, 100, 10));
        assert!(watch.exceeds(budget, 100, 11));
        let resumed = Watch { ended_before: 100, failed_before: 11, ..Watch::default() };
        assert!(!resumed.exceeds(budget, 199, 110));
    }
}
