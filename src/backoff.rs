//! Exponential back-off: how long to wait before the next try.
//!
//! Pure: it keeps no time and draws no random number. Loops that try again keep a [`Backoff`] and sleep for what it
//! says; what is retried by a stored attempt number asks [`exponential_ms`].

use std::time::Duration;

/// Most doublings that are counted; the longest delay is reached long before.
const DOUBLINGS_MAX: u32 = 31;

/// The delays between tries that fail one after the other: `first`, then twice as long each time, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Delays from `first` up to `max`. Nothing has failed yet.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    /// A try has succeeded: the next delay is the first one again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// True where a delay has been asked for since the last success.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// A try has failed: the delay before the next one.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.first.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// As [`Backoff::next_delay`] with full jitter: a part of it, chosen by `random` in 0..=1. What is no such number
    /// counts as 0. Full jitter spreads a crowd evenly where half the delay as a floor would not; source:
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    pub fn next_jittered(&mut self, random: f64) -> Duration {
        let part = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        self.next_delay().mul_f64(part)
    }
}

/// `base_ms`, doubled `doublings` times, at most `max_ms`; saturates.
#[must_use]
pub const fn exponential_ms(base_ms: u64, doublings: u32, max_ms: u64) -> u64 {
    let factor = if doublings < u64::BITS { 1 << doublings } else { u64::MAX };
    let delay_ms = base_ms.saturating_mul(factor);
    if delay_ms < max_ms { delay_ms } else { max_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new(FIRST, MAX);
        assert!(!backoff.has_failed());
        let delays: Vec<_> = (0..9).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert!(backoff.has_failed());
        backoff.reset();
        assert_eq!((backoff.next_delay(), backoff.next_delay()), (FIRST, 2 * FIRST));
    }

    #[test]
    fn it_stays_at_the_longest_for_ever() {
        let mut backoff = Backoff::new(FIRST, MAX);
        for _ in 0..1_000 {
            backoff.next_delay();
        }
        assert_eq!(backoff.next_delay(), MAX);
        let mut immediate = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!((immediate.next_delay(), immediate.next_delay()), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn jitter_is_full() {
        let delay = |random: f64| Backoff::new(FIRST, MAX).next_jittered(random);
        assert_eq!((delay(0.0), delay(0.5), delay(1.0)), (Duration::ZERO, FIRST / 2, FIRST));
        assert_eq!((delay(-1.0), delay(7.0), delay(f64::NAN)), (Duration::ZERO, FIRST, Duration::ZERO));
    }

    #[test]
    fn stored_attempts_double_without_overflow() {
        assert_eq!(
            [0, 1, 2, 9].map(|doublings| exponential_ms(100, doublings, 1_000)),
            [100, 200, 400, 1_000]
        );
        assert_eq!(exponential_ms(u64::MAX, 63, u64::MAX), u64::MAX);
        assert_eq!((exponential_ms(1, 400, 5_000), exponential_ms(0, 9, 5)), (5_000, 0));
    }
}
