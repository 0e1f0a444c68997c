//! When pings are due.
//!
//! No ping comes later than its interval.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// Connections say their pings together, in so many parts of the time between two: an idle machine then wakes a few
/// times for all of them, and not once for each.
const PING_PARTS: u32 = 20;
/// What those parts are counted from.
static PING_EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When the ping after `now` is due: up to a twentieth earlier than `every`.
pub fn next_ping(now: Instant, every: Duration) -> Instant {
    let latest = now + every;
    let part = (every / PING_PARTS).as_nanos().max(1);
    let beyond = latest.saturating_duration_since(*PING_EPOCH).as_nanos() % part;
    latest - Duration::from_nanos(u64::try_from(beyond).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_of_many_fall_together_and_none_is_late() {
        let every = Duration::from_secs(20);
        let begun = *PING_EPOCH;
        let mut dues: Vec<Instant> = (0..2_000)
            .map(|at| begun + Duration::from_millis(at * 10))
            .map(|now| {
                let due = next_ping(now, every);
                let wait = due - now;
                assert!(wait <= every && wait > every - every / PING_PARTS, "{wait:?}");
                due
            })
            .collect();
        dues.dedup();
        assert_eq!(dues.len(), 20, "20 s of arrivals, in parts of one second");
    }

    #[test]
    fn the_shortest_interval_still_ends() {
        let now = *PING_EPOCH + Duration::from_micros(1_510);
        assert!(next_ping(now, Duration::from_millis(1)) > now + Duration::from_micros(940));
    }
}
