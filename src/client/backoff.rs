//! When to try again: exponential back-off with full jitter.
//!
//! Owns the delays between tries of one tab. Called by the connection. Invariant: a delay is never below the
//! server's hint and never above [`DELAY_MS_MAX`] plus it. Deliberately pure: the caller brings the randomness.

/// Delay before the first try, at most.
pub const DELAY_MS_MIN: u32 = 500;
/// Delay before any try, at most.
pub const DELAY_MS_MAX: u32 = 30_000;

/// Counts failed tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// A connection was made and answered: the next delay starts small again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Milliseconds to wait before the next try. `chance` is in 0..1; `hint_ms` is what the server asked for, if it
    /// did. Half the ceiling is not a floor here: full jitter spreads a thousand tabs evenly.
    pub fn next_ms(&mut self, chance: f64, hint_ms: Option<u32>) -> u32 {
        let ceiling = DELAY_MS_MIN.saturating_mul(1 << self.tries.min(6)).min(DELAY_MS_MAX);
        self.tries = self.tries.saturating_add(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0..=ceiling, which is a u32"
        )]
        let jittered = (f64::from(ceiling) * chance.clamp(0.0, 1.0)) as u32;
        match hint_ms {
            Some(hint) => hint.min(DELAY_MS_MAX).saturating_add(jittered),
            None => jittered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_most() {
        let mut backoff = Backoff::default();
        let delays: Vec<u32> = (0..9).map(|_| backoff.next_ms(1.0, None)).collect();
        assert_eq!(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next_ms(1.0, None), 500);
    }

    #[test]
    fn jitter_is_full_and_the_hint_a_floor() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next_ms(0.0, None), 0);
        assert!(backoff.next_ms(0.5, Some(2_000)) >= 2_000);
        assert!(backoff.next_ms(f64::NAN, Some(u32::MAX)) <= 2 * DELAY_MS_MAX);
    }
}
