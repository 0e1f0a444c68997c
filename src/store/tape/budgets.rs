//! Budgets: how much of a batch may fail before it pauses by itself.
//!
//! The counts are columns of the batch, moved in the transaction of the outcomes that they count, in recorded order, so
//! they hold for all nodes together. What was cancelled counts as neither good nor bad.

use crate::protocol::{Budget, ItemState, Options};
use crate::store::entity::batches;
use crate::store::error::StoreError;

/// Reason of the pause of a batch that has spent its budget.
pub const BUDGET: &str = "budget";
/// The percentage is looked at from so many ended items on.
const ENDED_MIN: i64 = 100;

/// Takes ends into account.
pub fn spend(batch: &mut batches::Model, state: ItemState, items: i64) {
    match state {
        ItemState::Succeeded => batch.budget_row = 0,
        ItemState::Failed => {
            batch.budget_failed += items;
            batch.budget_row += items;
            batch.budget_longest = batch.budget_longest.max(batch.budget_row);
        }
        ItemState::Pending | ItemState::Running | ItemState::Retrying | ItemState::Cancelled => return,
    }
    batch.budget_ended += items;
}

/// Starts the counts anew.
pub fn renew(batch: &mut batches::Model) {
    (batch.budget_ended, batch.budget_failed) = (0, 0);
    (batch.budget_row, batch.budget_longest) = (0, 0);
}

/// True where a commit with `ended` ends has spent the budget.
pub fn is_spent(batch: &batches::Model, ended: u64) -> Result<bool, StoreError> {
    if ended == 0 || batch.budget_failed == 0 {
        return Ok(false);
    }
    let options: Options = serde_json::from_str(&batch.options)
        .map_err(|error| StoreError::Invariant(format!("options of batch {}: {error}", batch.id)))?;
    let (ended, failed, longest) = (batch.budget_ended, batch.budget_failed, batch.budget_longest);
    Ok(options.budget.is_some_and(|budget| exceeds(budget, ended, failed, longest)))
}

fn exceeds(budget: Budget, ended: i64, failed: i64, longest: i64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let share = failed as f64 * 100.0 / ended.max(1) as f64;
    budget.failed_percent.is_some_and(|most| ended >= ENDED_MIN && share > most)
        || budget.failed_in_a_row.is_some_and(|most| crate::store::backend::int(most) <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_counts_from_the_hundredth_end_on() {
        let budget = Budget { failed_percent: Some(10.0), failed_in_a_row: None };
        assert!(!exceeds(budget, 99, 99, 99));
        assert!(!exceeds(budget, 100, 10, 10));
        assert!(exceeds(budget, 100, 11, 1));
        let budget = Budget { failed_percent: None, failed_in_a_row: Some(3) };
        assert!(!exceeds(budget, 1_000, 900, 2));
        assert!(exceeds(budget, 3, 3, 3));
    }
}
