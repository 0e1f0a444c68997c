//! How long the tick is: short while sending costs little, longer when it does not.
//!
//! A topic is released at most once per tick, so the tick bounds both how old news gets and how much sending costs. The hub
//! measures what its sending costs and sets the tick so that sending takes at most a [`SENDING_PARTS`]th of one core:
//!
//! ```text
//! cost of a tick = time spent sending since the last look × tick ÷ time since the last look
//! wanted         = cost of a tick × SENDING_PARTS, at least TICK_MIN, at most `live.tick_ms`
//! tick           = wanted where that is longer, else a FALL_PARTS-th of the way towards it
//! ```
//!
//! It is looked at once per tick. It rises at once, since a machine that is overloaded cannot wait, and falls in steps, so
//! that one cheap tick among dear ones does not make it swing. Costs are wall time: where the engine keeps the cores busy,
//! sending takes longer and makes way for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Shortest tick: two frames of a screen with 60 Hz fit into it, and the runtime's clock of whole milliseconds tells it.
pub const TICK_MIN: Duration = Duration::from_millis(25);
/// Sending may take one part in so many of one core before the tick becomes longer.
const SENDING_PARTS: u32 = 4;
/// The tick falls by one part in so many of what it is too long.
const FALL_PARTS: u32 = 4;

/// The tick of a hub.
pub struct Tempo {
    shortest: Duration,
    longest: Duration,
    /// The tick now, in nanoseconds; read for every update without the lock.
    tick_nanos: AtomicU64,
    look: Mutex<Look>,
}

/// What has been spent since the last look.
struct Look {
    /// None: nothing has been sent yet.
    since: Option<Instant>,
    spent: Duration,
}

impl Tempo {
    /// A tick of [`TICK_MIN`] to `longest`; never longer than that.
    pub fn new(longest: Duration) -> Self {
        let shortest = TICK_MIN.min(longest);
        let look = Mutex::new(Look { since: None, spent: Duration::ZERO });
        Self { shortest, longest, tick_nanos: AtomicU64::new(nanos(shortest)), look }
    }

    /// The tick now.
    pub fn tick(&self) -> Duration {
        Duration::from_nanos(self.tick_nanos.load(Ordering::Relaxed))
    }

    /// The shortest that it may become.
    pub fn shortest(&self) -> Duration {
        self.shortest
    }

    /// The longest that it may become.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Notes that sending took from `begun` to `ended`, and sets the tick once per tick.
    pub fn spent(&self, begun: Instant, ended: Instant) {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *look.since.get_or_insert(begun);
        look.spent += ended.saturating_duration_since(begun);
        let (passed, tick) = (ended.saturating_duration_since(since), self.tick());
        if passed < tick {
            return;
        }
        // At least what was spent: several threads may send at once.
        let cost = look.spent.mul_f64(tick.div_duration_f64(passed));
        let wanted = (cost * SENDING_PARTS).clamp(self.shortest, self.longest);
        let next = if wanted >= tick { wanted } else { tick - (tick - wanted) / FALL_PARTS };
        self.tick_nanos.store(nanos(next), Ordering::Relaxed);
        *look = Look { since: Some(ended), spent: Duration::ZERO };
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(100);

    /// Ticks that cost `cost` each, `count` times; answers the tick after them.
    fn run(tempo: &Tempo, now: &mut Instant, cost: Duration, count: u32) -> Duration {
        for _ in 0..count {
            let begun = *now;
            *now += tempo.tick().max(cost);
            tempo.spent(begun, begun + cost);
        }
        tempo.tick()
    }

    #[test]
    fn the_tick_follows_what_sending_costs() {
        let (tempo, mut now) = (Tempo::new(LONGEST), Instant::now());
        assert_eq!(tempo.tick(), TICK_MIN);
        assert_eq!(
            run(&tempo, &mut now, Duration::from_millis(1), 20),
            TICK_MIN,
            "sending costs next to nothing"
        );
        let tick = run(&tempo, &mut now, Duration::from_millis(12), 20);
        assert!((44..=52).contains(&tick.as_millis()), "12 ms are a quarter of 48: {tick:?}");
        assert_eq!(run(&tempo, &mut now, Duration::from_millis(200), 20), LONGEST, "never longer than said");
        assert_eq!(run(&tempo, &mut now, Duration::from_millis(1), 100).as_millis(), 25, "and back");
    }

    #[test]
    fn a_short_tick_stays_as_it_is_set() {
        let (tempo, mut now) = (Tempo::new(Duration::from_millis(10)), Instant::now());
        assert_eq!(tempo.tick(), Duration::from_millis(10));
        assert_eq!(run(&tempo, &mut now, Duration::from_millis(50), 9), Duration::from_millis(10));
    }

    #[test]
    fn one_dear_tick_after_a_long_pause_is_no_load() {
        let (tempo, mut now) = (Tempo::new(LONGEST), Instant::now());
        run(&tempo, &mut now, Duration::from_millis(1), 2);
        now += Duration::from_secs(10);
        assert_eq!(run(&tempo, &mut now, Duration::from_millis(20), 1), TICK_MIN);
    }
}
