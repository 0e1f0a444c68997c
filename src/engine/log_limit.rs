//! One log line for many events of the same kind.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets an event that may come thousands of times be logged once in a while.
#[derive(Debug)]
pub struct LogLimit {
    interval: Duration,
    logged_at: Mutex<Option<Instant>>,
}

impl LogLimit {
    /// Once a minute.
    #[must_use]
    pub const fn once_a_minute() -> Self {
        Self { interval: Duration::from_secs(60), logged_at: Mutex::new(None) }
    }

    /// True where the event is to be logged now; it then counts as logged.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged_at.is_none_or(|at| at.elapsed() >= self.interval);
        if due {
            *logged_at = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_and_those_right_after_it_are_not() {
        let limit = LogLimit::once_a_minute();
        assert_eq!([limit.is_due(), limit.is_due(), limit.is_due()], [true, false, false]);
        let always = LogLimit { interval: Duration::ZERO, ..LogLimit::once_a_minute() };
        assert!(always.is_due() && always.is_due());
    }
}
