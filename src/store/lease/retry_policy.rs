//! When a failed or lost item is tried again: pure arithmetic, for the engine and for what lost nodes held.
//!
//! The delay before attempt n+1 lies between half and all of base × 2^(n-1), held to its maximum. Knows no clock.

use crate::backoff::exponential_ms;
use crate::protocol::{Options, Timestamp};

/// Base of the delay where a batch says nothing.
const RETRY_BASE_MS: u64 = 1_000;
/// Longest delay where a batch says nothing.
const RETRY_DELAY_MS_MAX: u64 = 300_000;
/// Longest delay that is reckoned with: a hundred years.
const DELAY_MS_MAX: u64 = 3_155_760_000_000;
/// Times of retry are this far apart at most.
const GRID_MS_MAX: u64 = 50;
/// Crashes with an item in hand that set it aside as poison.
const CRASHES_MAX: u32 = 3;

/// How often and how late items are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts per item.
    pub attempts_max: u32,
    /// Base of the delay.
    pub base_ms: u64,
    /// Longest delay.
    pub max_ms: u64,
}

impl RetryPolicy {
    /// What applies where a batch says nothing.
    #[must_use]
    pub fn new(attempts_max: u32) -> Self {
        Self { attempts_max, base_ms: RETRY_BASE_MS, max_ms: RETRY_DELAY_MS_MAX }
    }

    /// What the batch says, and this where it says nothing.
    #[must_use]
    pub fn with(self, options: &Options) -> Self {
        Self {
            attempts_max: options.attempts_max.unwrap_or(self.attempts_max),
            base_ms: options.retry_base_ms.unwrap_or(self.base_ms),
            max_ms: options.retry_max_ms.unwrap_or(self.max_ms),
        }
    }

    /// True where no attempt follows attempt `attempt` once it has failed.
    #[must_use]
    pub fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.attempts_max
    }

    /// True where `crashes` set an item aside at attempt `attempt`. Crashes count for a whole range: an item that has been
    /// in a slot but once is a suspect, not proven.
    #[must_use]
    pub fn is_poison(attempt: u32, crashes: u32) -> bool {
        crashes >= CRASHES_MAX && attempt >= 2
    }

    /// The longest delay after attempt `attempt`.
    #[must_use]
    pub fn longest_ms(&self, attempt: u32) -> u64 {
        exponential_ms(self.base_ms, attempt.saturating_sub(1), self.max_ms.min(DELAY_MS_MAX))
    }

    /// When the attempt after `attempt`, which ended at `now`, may start.
    ///
    /// `chance` is drawn for each item, so that what fails together is not tried again together: it chooses the delay
    /// evenly between half and all. Times lie on a grid that is fine beside the delay, so that what comes due can be
    /// leased by the handful. Source: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    /// ("equal jitter").
    #[must_use]
    pub fn not_before(&self, attempt: u32, now: Timestamp, chance: u32) -> Timestamp {
        let whole = self.longest_ms(attempt);
        let (half, span) = (whole / 2, whole - whole / 2);
        let delay = half + ((u128::from(span) * u128::from(chance)) >> 32) as u64;
        let plus = |ms: u64| now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        let grid = i64::try_from((span / 32).clamp(1, GRID_MS_MAX)).unwrap_or(1);
        let due = plus(delay).0;
        let later = due.saturating_add(grid - 1 - (due - 1).rem_euclid(grid));
        Timestamp(later.min(plus(whole).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { attempts_max: 5, base_ms: 1_000, max_ms: 3_000 };

    #[test]
    fn delays_double_up_to_their_maximum() {
        let now = Timestamp(1_769_852_460_123);
        for (attempt, whole) in [(1, 1_000), (2, 2_000), (3, 3_000), (4, 3_000)] {
            let draws = (0..=u32::MAX).step_by(1 << 20).chain([u32::MAX]);
            let delays: Vec<u64> =
                draws.map(|chance| POLICY.not_before(attempt, now, chance).ms_since(now)).collect();
            let (least, most) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
            assert!(least >= whole / 2 && least < whole / 2 + GRID_MS_MAX, "{least}");
            assert!(most <= whole && most > whole - GRID_MS_MAX, "{most}");
        }
        assert!(!POLICY.is_last(4) && POLICY.is_last(5));
    }

    #[test]
    fn the_third_crash_of_its_own_sets_an_item_aside() {
        for (attempt, crashes, poison) in [
            (2, 2, false),
            (3, 3, true),
            // Its range was lost twice with others in the slots.
            (1, 3, false),
            (2, 4, true),
        ] {
            assert_eq!(RetryPolicy::is_poison(attempt, crashes), poison, "{attempt} {crashes}");
        }
    }

    #[test]
    fn what_fails_together_is_not_tried_again_together() {
        let now = Timestamp(1_769_852_460_000);
        let mut due = std::collections::BTreeMap::<_, u32>::new();
        for item in 0..10_000_u32 {
            let chance = item.wrapping_mul(2_654_435_761);
            *due.entry(POLICY.not_before(1, now, chance)).or_default() += 1;
        }
        let most = due.values().max().unwrap();
        let mean = 10_000 / u32::try_from(due.len()).unwrap();
        assert!(
            due.len() <= 34 && *most <= 2 * mean,
            "{} times, {most} at once, {mean} in the mean",
            due.len()
        );
    }

    #[test]
    fn extremes_do_not_overflow() {
        let policy = RetryPolicy { attempts_max: 100, base_ms: u64::MAX, max_ms: u64::MAX };
        assert!(policy.not_before(99, Timestamp(1_769_852_460_123), u32::MAX) > Timestamp(1_769_852_460_123));
        let none = RetryPolicy { attempts_max: 2, base_ms: 0, max_ms: 0 };
        assert_eq!(none.not_before(1, Timestamp(5), 3), Timestamp(5));
    }
}
