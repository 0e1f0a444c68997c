//! The machine's own clocks: its uptime, its wall clock, and whether that was set lately.
//!
//! The uptime never goes back and counts the time asleep.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::protocol::Timestamp;

/// The wall clock was set where it went further than this from the uptime between two looks, in ms: far more than a look
/// can be off, and far less than the age of any file that matters.
const SET_MS: i64 = 1_000;

/// Time since this machine was started, asleep or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub(super) Duration);

impl Uptime {
    /// Now. Costs some tens of nanoseconds.
    #[must_use]
    pub fn now() -> Self {
        #[cfg(target_os = "linux")]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let part = |number: i64| u64::try_from(number).unwrap_or(0);
            Self(Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec)))
        }
        #[cfg(not(target_os = "linux"))]
        {
            // Stands still while the machine sleeps; waking then looks as if the wall clock had been set.
            static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
            Self(FIRST.get_or_init(std::time::Instant::now).elapsed())
        }
    }

    /// As whole milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long after `earlier`; zero where it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The system's wall clock.
pub(super) fn system_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(whole_ms(since))
}

pub(super) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether the age of a file can be believed: it was dated by this machine's wall clock, and so is what it is compared
/// with.
pub(in crate::store) struct FileAges {
    /// Uptime and wall clock at the last look.
    last: (Uptime, Timestamp),
    set_at: Option<Uptime>,
}

impl FileAges {
    pub(in crate::store) fn new() -> Self {
        Self { last: (Uptime::now(), system_clock()), set_at: None }
    }

    /// Looks, and answers whether the wall clock was left alone for the last `age`.
    pub(in crate::store) fn hold(&mut self, age: Duration) -> bool {
        let (up, wall) = (Uptime::now(), system_clock());
        self.hold_at(up, wall, age)
    }

    fn hold_at(&mut self, up: Uptime, wall: Timestamp, age: Duration) -> bool {
        let passed = whole_ms(up.since(self.last.0));
        let ms = wall.0.saturating_sub(self.last.1.0).saturating_sub(passed);
        self.last = (up, wall);
        if ms.abs() > SET_MS {
            self.set_at = Some(up);
        }
        self.set_at.is_none_or(|set_at| up.since(set_at) >= age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS_MS: i64 = 2 * 3_600 * 1_000;

    #[test]
    fn files_are_not_judged_by_a_clock_that_was_set() {
        let hour = Duration::from_secs(3_600);
        let mut ages = FileAges { last: (up(0), Timestamp(0)), set_at: None };
        assert!(ages.hold_at(up(1_000), Timestamp(1_050), hour));
        assert!(!ages.hold_at(up(2_000), Timestamp(2_000 + HOURS_MS), hour));
        assert!(!ages.hold_at(up(3_601_000), Timestamp(3_601_000 + HOURS_MS), hour));
        assert!(ages.hold_at(up(3_603_000), Timestamp(3_603_000 + HOURS_MS), hour));
        assert!(!ages.hold_at(up(3_604_000), Timestamp(3_604_000), hour));
    }

    fn up(ms: u64) -> Uptime {
        Uptime(Duration::from_millis(ms))
    }
}
