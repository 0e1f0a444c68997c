//! How often a session wants updates.

use std::time::Duration;

/// Longest time between updates that can be asked for; slower is held to this.
const PACE_SECONDS_MAX: Duration = Duration::from_secs(3600);

/// How often a session wants updates of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At every tick.
    Tick,
    /// No more often than this, which is longer than the shortest tick.
    Every(Duration),
    /// Not at all.
    Never,
}

impl Pace {
    /// From updates a second, held to the tick, which is `shortest` at least; none if `hz` is no number of updates.
    pub fn from_hz(hz: f64, shortest: Duration) -> Option<Self> {
        if !hz.is_finite() || hz < 0.0 {
            return None;
        }
        if hz == 0.0 {
            return Some(Self::Never);
        }
        let every = Duration::try_from_secs_f64(1.0 / hz).unwrap_or(Duration::MAX);
        Some(if every <= shortest { Self::Tick } else { Self::Every(every.min(PACE_SECONDS_MAX)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_held_to_the_tick() {
        let tick = Duration::from_millis(25);
        assert_eq!(Pace::from_hz(60.0, tick), Some(Pace::Tick));
        assert_eq!(Pace::from_hz(40.0, tick), Some(Pace::Tick));
        assert_eq!(Pace::from_hz(10.0, tick), Some(Pace::Every(Duration::from_millis(100))));
        assert_eq!(Pace::from_hz(0.2, tick), Some(Pace::Every(Duration::from_secs(5))));
        assert_eq!(Pace::from_hz(0.0, tick), Some(Pace::Never));
        assert_eq!(Pace::from_hz(1e-300, tick), Some(Pace::Every(PACE_SECONDS_MAX)));
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Pace::from_hz(bad, tick), None);
        }
    }
}
