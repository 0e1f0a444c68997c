//! How often somebody may try to change the own password: whoever sits at a session of another's cannot guess it there.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::protocol::{ApiError, ErrorCode};

/// Tries in a row, and as many more in each minute.
const TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// People remembered, beyond whom those who have not tried lately are forgotten.
const PEOPLE_MAX: usize = 1_000;

/// The brake, by person.
pub(super) struct ChangeRate(DefaultKeyedRateLimiter<String>);

impl Default for ChangeRate {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(TRIES_PER_MINUTE)))
    }
}

impl ChangeRate {
    /// Counts a try of `person`, before any password is looked at.
    ///
    /// # Errors
    /// `too_many`, with when to try again.
    pub(super) fn admit(&self, person: &str) -> Result<(), ApiError> {
        if self.0.len() >= PEOPLE_MAX {
            self.0.retain_recent();
        }
        self.0.check_key(&person.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let detail = "Too many tries to change this password; wait a moment.";
            let mut refusal = ApiError::new(ErrorCode::TooMany, detail);
            refusal.retry_after_seconds = Some(wait.as_secs().saturating_add(1));
            refusal
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_has_tries_of_their_own() {
        let rate = ChangeRate::default();
        for _try in 0..10 {
            rate.admit("ada").unwrap();
        }
        let refusal = rate.admit("ada").unwrap_err();
        assert_eq!(refusal.code, ErrorCode::TooMany);
        assert!((1..=7).contains(&refusal.retry_after_seconds.unwrap()), "{refusal:?}");
        rate.admit("bob").unwrap();
    }
}
