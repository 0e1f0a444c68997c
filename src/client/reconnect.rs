//! When a live client tries again: back-off with full jitter, not before the server's hint.
//!
//! The figures are those of `docs/protocol.md`. The caller keeps the [`Backoff`], brings the randomness and sleeps.

use std::time::Duration;

use crate::backoff::Backoff;

/// Longest delay before the first try.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(500);
/// Longest delay before any try, and the longest hint that is believed.
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// The back-off of one live client.
#[must_use]
pub const fn reconnect_backoff() -> Backoff {
    Backoff::new(RECONNECT_FIRST, RECONNECT_MAX)
}

/// The delay after a connection was lost, or was not made. `random` is in 0..1; `hint_ms` is what the server asked for
/// when it closed the connection: a floor, to which the jitter is added.
#[must_use]
pub fn reconnect_delay(backoff: &mut Backoff, random: f64, hint_ms: Option<u32>) -> Duration {
    let hint = Duration::from_millis(hint_ms.unwrap_or(0).into()).min(RECONNECT_MAX);
    hint + backoff.next_jittered(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_a_floor_and_is_bounded() {
        let delay = |random: f64, hint_ms| reconnect_delay(&mut reconnect_backoff(), random, hint_ms);
        assert_eq!(delay(0.0, None), Duration::ZERO);
        assert_eq!(delay(1.0, None), RECONNECT_FIRST);
        assert_eq!(delay(0.0, Some(2_000)), Duration::from_secs(2));
        assert_eq!(delay(1.0, Some(u32::MAX)), RECONNECT_MAX + RECONNECT_FIRST);
    }

    #[test]
    fn a_crowd_is_spread_and_never_waits_longer_than_documented() {
        let mut backoff = reconnect_backoff();
        for _ in 0..40 {
            assert!(reconnect_delay(&mut backoff, 1.0, None) <= RECONNECT_MAX);
        }
        backoff.reset();
        assert_eq!(reconnect_delay(&mut backoff, 1.0, None), RECONNECT_FIRST);
    }
}
