//! When a failed item is tried again: pure arithmetic.
//!
//! Owns the time of the next attempt and the question whether there is one. Called by the slot's report.
//! Invariant: the delay before attempt n+1 lies between half and all of base × 2^(n-1), held to its maximum.
//! Deliberately knows no clock.

use crate::protocol::{Options, Timestamp};
use crate::tasks::Again;

/// Base of the delay where a batch says nothing.
pub(super) const RETRY_BASE_MS: u64 = 1_000;
/// Longest delay where a batch says nothing.
pub(super) const RETRY_DELAY_MS_MAX: u64 = 300_000;
/// Crashes with an item in hand that set it aside as poison.
pub(super) const CRASHES_MAX: u32 = 3;

/// How often and how late the items of one batch are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPlan {
    /// Attempts per item.
    pub attempts_max: u32,
    /// Base of the delay.
    pub base_ms: u64,
    /// Longest delay.
    pub max_ms: u64,
}

impl RetryPlan {
    /// What the batch says, and the engine's figure where it says nothing.
    pub fn new(options: &Options, attempts_max: u32) -> Self {
        Self {
            attempts_max: options.attempts_max.unwrap_or(attempts_max),
            base_ms: options.retry_base_ms.unwrap_or(RETRY_BASE_MS),
            max_ms: options.retry_max_ms.unwrap_or(RETRY_DELAY_MS_MAX),
        }
    }

    /// True where no attempt follows attempt `attempt` once it has failed.
    pub fn is_last(&self, attempt: u32, again: Again) -> bool {
        again == Again::No || attempt >= self.attempts_max
    }

    /// When the attempt after `attempt`, failed at `now`, may start; none if that was the last.
    ///
    /// Times lie on a grid as wide as the span between half and all of the delay, shifted by the batch's `phase`:
    /// the delay is spread evenly over that span by when an item fails, and neighbours that fail together come due
    /// together. So a stretch of failures waits as one range, however long it is.
    pub fn not_before(&self, attempt: u32, again: Again, now: Timestamp, phase: u32) -> Option<Timestamp> {
        if self.is_last(attempt, again) {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(63);
        let whole = self.base_ms.saturating_mul(1_u64 << doublings).min(self.max_ms);
        let whole = i64::try_from(whole).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let latest = now.plus_ms(whole);
        let grid = (whole - whole / 2).max(1);
        Some(latest.plus_ms(-((latest.0.wrapping_add(i64::from(phase))).rem_euclid(grid))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: RetryPlan = RetryPlan { attempts_max: 5, base_ms: 1_000, max_ms: 3_000 };

    #[test]
    fn delays_double_up_to_their_maximum() {
        for (attempt, whole) in [(1, 1_000), (2, 2_000), (3, 3_000), (4, 3_000)] {
            let delays: Vec<u64> = (0..3_000)
                .map(|ms| {
                    let now = Timestamp(1_769_852_460_123 + ms);
                    PLAN.not_before(attempt, Again::Yes, now, 77).unwrap().ms_since(now)
                })
                .collect();
            let (least, most) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
            assert!(least > whole / 2 && least < whole / 2 + 10, "{least}");
            assert!(most <= whole && most > whole - 10, "{most}");
        }
        assert_eq!(PLAN.not_before(5, Again::Yes, Timestamp(0), 0), None);
        assert_eq!(PLAN.not_before(1, Again::No, Timestamp(0), 0), None);
    }

    #[test]
    fn what_fails_together_comes_due_together() {
        let due = |ms: i64| PLAN.not_before(1, Again::Yes, Timestamp(1_769_852_460_000 + ms), 0).unwrap();
        let times: std::collections::BTreeSet<_> = (0..500).map(due).collect();
        assert!(times.len() <= 2, "{times:?}");
    }

    #[test]
    fn extremes_do_not_overflow() {
        let plan = RetryPlan { attempts_max: 100, base_ms: u64::MAX, max_ms: u64::MAX };
        assert!(plan.not_before(99, Again::Yes, Timestamp(1_769_852_460_123), u32::MAX).is_some());
        let none = RetryPlan { attempts_max: 2, base_ms: 0, max_ms: 0 };
        assert_eq!(none.not_before(1, Again::Yes, Timestamp(5), 3), Some(Timestamp(5)));
    }
}
