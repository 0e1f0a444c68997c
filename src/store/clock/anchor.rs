//! How the steady clock goes on from one look at its source to the next: pure arithmetic.
//!
//! Between two looks, and over a source that was set, the steady clock goes on by the uptime.

use super::uptime::{Uptime, whole_ms};
use crate::store::error::StoreError;

/// The source was set where it differs by more than this from what was expected, and than the look could be off, in ms.
const SET_MS: i64 = 250;
/// Steady clocks of two processes are less than this apart, in ms.
const APART_MS: i64 = 1_000;

/// What all processes on a database agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// Grows each time the source is found set.
    pub(super) epoch: i64,
    /// The steady clock less the source's, in ms.
    pub(super) offset: i64,
}

impl Shared {
    pub(super) fn print(self) -> String {
        format!("{} {}", self.epoch, self.offset)
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let parts = text.split_once(' ').and_then(|(epoch, offset)| {
            Some(Self { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? })
        });
        parts.ok_or_else(|| StoreError::Invariant(format!("the clock's offset is {text:?}")))
    }
}

/// The steady clock as of the last look: from there it goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) at: Uptime,
    pub(super) steady_ms: i64,
    pub(super) shared: Shared,
}

/// One look at the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) asked: Uptime,
    pub(super) answered: Uptime,
    pub(super) wall_ms: i64,
    pub(super) shared: Shared,
    /// The latest beat of a node, by the steady clock of whoever beat.
    pub(super) beat_ms: Option<i64>,
}

/// What a look shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// All is well, or somebody else was quicker: go on from here.
    Goes(Anchor),
    /// The source was set by so many ms: this is to be agreed on.
    Set { ms: i64, anchor: Anchor },
}

impl Anchor {
    pub(super) fn first(look: Look) -> Self {
        Self {
            at: Uptime(look.asked.0 + look.answered.since(look.asked) / 2),
            steady_ms: look.wall_ms.saturating_add(look.shared.offset),
            shared: look.shared,
        }
    }

    /// Set ahead to `last`, where that is later than clocks are apart.
    pub(super) fn no_sooner_than(self, last: i64) -> Option<Self> {
        let ms = last.saturating_sub(self.steady_ms);
        let shared = Shared { epoch: self.shared.epoch + 1, offset: self.shared.offset.saturating_add(ms) };
        (ms > APART_MS).then_some(Self { steady_ms: last, shared, ..self })
    }

    pub(super) fn steady_at(&self, at: Uptime) -> i64 {
        self.steady_ms.saturating_add(whole_ms(at.since(self.at)))
    }

    pub(super) fn judge(&self, look: Look) -> Shows {
        let way = look.answered.since(look.asked);
        // Read somewhere on the way; off by half of it at most.
        let at = Uptime(look.asked.0 + way / 2);
        let off_ms = SET_MS.saturating_add(whole_ms(way / 2));
        let told = look.wall_ms.saturating_add(look.shared.offset);
        let expected = self.steady_at(at);
        let goes = Shows::Goes(Self { at, steady_ms: told, shared: look.shared });
        let ms = told.saturating_sub(expected);
        if look.shared.epoch < self.shared.epoch {
            // Looked before another thread of this process found what is known now: its offset is of before the source
            // was set, the time perhaps of after.
            return Shows::Goes(*self);
        }
        if ms.abs() <= off_ms {
            // A look that took long says less than what is known, unless it tells of an offset that is new.
            let is_news = look.shared.epoch > self.shared.epoch;
            return if is_news || whole_ms(way) <= SET_MS { goes } else { Shows::Goes(*self) };
        }
        if ms > 0 && look.beat_ms.is_some_and(|beat| beat > expected.saturating_add(off_ms)) {
            // Others have gone on meanwhile: it is this machine that stood still.
            return goes;
        }
        // Perhaps once more since another has found it set, before this process had heard of that.
        let shared = Shared { epoch: look.shared.epoch + 1, offset: look.shared.offset.saturating_sub(ms) };
        Shows::Set { ms, anchor: Self { at, steady_ms: expected, shared } }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOURS_MS: i64 = 2 * 3_600 * 1_000;

    fn uptime(ms: u64) -> Uptime {
        Uptime(Duration::from_millis(ms))
    }

    fn anchor() -> Anchor {
        Anchor { at: uptime(1_000), steady_ms: 500_000, shared: Shared { epoch: 3, offset: -500_000 } }
    }

    /// A second after the anchor, by a source that was set by so many ms.
    fn look(set_ms: i64) -> Look {
        Look {
            asked: uptime(2_000),
            answered: uptime(2_002),
            wall_ms: 1_001_001 + set_ms,
            shared: anchor().shared,
            beat_ms: Some(500_500),
        }
    }

    #[test]
    fn the_steady_clock_goes_on_however_the_source_is_set() {
        for set_ms in [HOURS_MS, -HOURS_MS, 2_000, -2_000, i64::from(u32::MAX) * 1_000] {
            let Shows::Set { ms, anchor: after } = anchor().judge(look(set_ms)) else {
                panic!("{set_ms} was not seen")
            };
            assert_eq!((ms, after.shared.epoch, after.steady_ms), (set_ms, 4, 501_001));
            // Whoever comes new, or starts again, reads the same.
            let (again, fresh) = (Look { shared: after.shared, ..look(set_ms) }, look(set_ms).wall_ms);
            assert_eq!(fresh + after.shared.offset, after.steady_ms);
            assert_eq!(after.judge(again), Shows::Goes(after));
        }
    }

    #[test]
    fn what_another_has_found_is_taken_over() {
        let shared = Shared { epoch: 4, offset: anchor().shared.offset - HOURS_MS };
        let seen = anchor().judge(Look { shared, ..look(HOURS_MS) });
        assert_eq!(seen, Shows::Goes(Anchor { at: uptime(2_001), steady_ms: 501_001, shared }));
    }

    #[test]
    fn a_source_that_is_set_again_before_all_have_heard_is_found_set() {
        // Another has found it two hours ahead; now it is two hours behind.
        let shared = Shared { epoch: 4, offset: anchor().shared.offset - HOURS_MS };
        let Shows::Set { ms, anchor: after } = anchor().judge(Look { shared, ..look(-HOURS_MS) }) else {
            panic!("it was not seen")
        };
        let agreed = Shared { epoch: 5, offset: anchor().shared.offset + HOURS_MS };
        assert_eq!((ms, after.steady_ms, after.shared), (-2 * HOURS_MS, 501_001, agreed));
    }

    #[test]
    fn a_look_of_before_says_nothing() {
        let found =
            Anchor { shared: Shared { epoch: 4, offset: anchor().shared.offset - HOURS_MS }, ..anchor() };
        assert_eq!(found.judge(look(HOURS_MS)), Shows::Goes(found));
    }

    #[test]
    fn a_machine_that_stood_still_sets_nothing() {
        // Nobody else has beaten since: then nothing tells the two apart, and nobody else is delayed.
        assert!(matches!(anchor().judge(look(HOURS_MS)), Shows::Set { .. }));
        let others = Look { beat_ms: Some(501_001 + HOURS_MS - 900), ..look(HOURS_MS) };
        let seen = anchor().judge(others);
        assert_eq!(
            seen,
            Shows::Goes(Anchor { at: uptime(2_001), steady_ms: 501_001 + HOURS_MS, shared: anchor().shared })
        );
    }

    #[test]
    fn a_slow_answer_is_not_taken_for_a_set_clock() {
        let slow = Look { answered: uptime(4_000), ..look(900) };
        assert_eq!(anchor().judge(slow), Shows::Goes(anchor()));
        let drifted = anchor().judge(look(3));
        assert_eq!(
            drifted,
            Shows::Goes(Anchor { at: uptime(2_001), steady_ms: 501_004, shared: anchor().shared })
        );
    }

    #[test]
    fn what_has_passed_stays_passed() {
        assert_eq!(
            anchor().no_sooner_than(anchor().steady_ms - HOURS_MS),
            None,
            "it was not running meanwhile"
        );
        let later = anchor().no_sooner_than(anchor().steady_ms + HOURS_MS).unwrap();
        let shared = Shared { epoch: 4, offset: anchor().shared.offset + HOURS_MS };
        assert_eq!(later, Anchor { steady_ms: anchor().steady_ms + HOURS_MS, shared, ..anchor() });
    }

    #[test]
    fn the_offset_is_printed_and_read() {
        for shared in [Shared::default(), Shared { epoch: 7, offset: -HOURS_MS }] {
            assert_eq!(Shared::parse(&shared.print()).unwrap(), shared);
        }
        assert!(Shared::parse("7").is_err() && Shared::parse("a b").is_err());
    }
}
