//! The drawing of a batch's course: ends by time, as paths of an SVG.
//!
//! All is whole numbers: a place across is a time, a height a number of ends. Buckets are first merged to as many
//! columns as can be seen; a time in which nothing ended for long is drawn shorter than it was.

use std::fmt::Write as _;

use crate::protocol::{BatchActEntry, PulseBucket, Timestamp};

/// Width of the drawing, in units of its own.
pub const CHART_WIDTH: u64 = 1_000;
/// Its height.
pub const CHART_HEIGHT: u64 = 200;
/// Height of a column that holds anything.
const SEEN_MIN: u64 = 4;
/// Part of the time with ends that a time without may take, as a divisor.
const GAP_DIVISOR: u64 = 4;

/// Buckets as at most `columns_max` columns of one width, a multiple of theirs by a power of two. Nothing is lost.
#[must_use]
pub fn columns(buckets: &[PulseBucket], columns_max: usize) -> Vec<PulseBucket> {
    let mut columns = buckets.to_vec();
    while columns.len() > columns_max.max(1) {
        let ms = columns[0].ms.saturating_mul(2).max(1);
        let mut merged: Vec<PulseBucket> = Vec::new();
        for column in columns {
            let width = i64::try_from(ms).unwrap_or(i64::MAX);
            let starts_at = Timestamp(column.starts_at.0 - column.starts_at.0.rem_euclid(width));
            match merged.last_mut().filter(|last| last.starts_at == starts_at) {
                Some(last) => {
                    last.succeeded += column.succeeded;
                    last.failed += column.failed;
                }
                None => merged.push(PulseBucket { starts_at, ms, ..column }),
            }
        }
        columns = merged;
    }
    columns
}

/// Ends in a column, good and bad.
#[must_use]
pub fn ends(column: &PulseBucket) -> u64 {
    column.succeeded + column.failed
}

/// Ends of the fullest column; 0 where there is none.
#[must_use]
pub fn peak(columns: &[PulseBucket]) -> u64 {
    columns.iter().map(ends).max().unwrap_or(0)
}

/// `ends` in a column of `ms`, by the second.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and widths are far below 2^53")]
pub fn per_second(ends: u64, ms: u64) -> f64 {
    ends as f64 * 1_000.0 / ms.max(1) as f64
}

/// A stretch of time in which a unit across is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: i64,
    to: i64,
    /// Where it begins and ends, in ms of the drawing.
    start: u64,
    end: u64,
}

/// Which time is where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeScale {
    stretches: Vec<Stretch>,
    /// True where a time without ends is drawn shorter than it was.
    pub shortened: bool,
}

impl TimeScale {
    /// The scale of columns in the order of time.
    #[must_use]
    pub fn of(columns: &[PulseBucket]) -> Self {
        let mut scale = Self::default();
        let active: u64 = columns.iter().map(|column| column.ms).sum();
        for column in columns {
            let from = column.starts_at.0;
            let start = scale.stretches.last().map_or(0, |last| {
                let gap = u64::try_from(from - last.to).unwrap_or(0);
                let drawn = gap.min((active / GAP_DIVISOR).max(column.ms));
                scale.shortened |= drawn < gap;
                last.end + drawn
            });
            if let Some(last) = scale.stretches.last().copied().filter(|last| last.to < from) {
                scale.stretches.push(Stretch { from: last.to, to: from, start: last.end, end: start });
            }
            let to = from.saturating_add(i64::try_from(column.ms).unwrap_or(i64::MAX));
            scale.stretches.push(Stretch { from, to, start, end: start + column.ms });
        }
        scale
    }

    fn drawn(&self) -> u64 {
        self.stretches.last().map_or(1, |last| last.end.max(1))
    }

    /// Where `at` is, from 0 to [`CHART_WIDTH`]; what lies outside is at the edge.
    #[must_use]
    pub fn place(&self, at: Timestamp) -> u64 {
        let Some(stretch) = self.stretches.iter().find(|stretch| at.0 < stretch.to).or(self.stretches.last())
        else {
            return 0;
        };
        let long = u64::try_from(stretch.to - stretch.from).unwrap_or(0).max(1);
        let into = u64::try_from(at.0 - stretch.from).unwrap_or(0).min(long);
        let within = share(into, stretch.end - stretch.start, long);
        share(stretch.start + within, CHART_WIDTH, self.drawn())
    }

    /// The time at `place`, from 0 to [`CHART_WIDTH`].
    #[must_use]
    pub fn time(&self, place: u64) -> Option<Timestamp> {
        let drawn = share(place.min(CHART_WIDTH), self.drawn(), CHART_WIDTH);
        let stretch = self.stretches.iter().find(|stretch| drawn < stretch.end).or(self.stretches.last())?;
        let long = u64::try_from(stretch.to - stretch.from).unwrap_or(0);
        let into = share(drawn - stretch.start.min(drawn), long, (stretch.end - stretch.start).max(1));
        Some(Timestamp(stretch.from + i64::try_from(into).unwrap_or(0)))
    }
}

/// `part` of `whole` on a scale of `of`, without overflow.
fn share(part: u64, of: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * u128::from(of) / u128::from(whole.max(1))).unwrap_or(of)
}

/// One path for all columns: as high as `value` of each against `peak`, neighbours joined.
#[must_use]
pub fn path(
    columns: &[PulseBucket],
    scale: &TimeScale,
    peak: u64,
    value: impl Fn(&PulseBucket) -> u64,
) -> String {
    let mut text = String::new();
    let mut last = None;
    for column in columns {
        let count = value(column);
        let to = column.starts_at.0.saturating_add(i64::try_from(column.ms).unwrap_or(i64::MAX));
        let (left, right) = (scale.place(column.starts_at), scale.place(Timestamp(to)));
        if count == 0 {
            continue;
        }
        if last != Some(left) {
            if last.is_some() {
                let _infallible = write!(text, "V{CHART_HEIGHT}z");
            }
            let _infallible = write!(text, "M{left} {CHART_HEIGHT}");
        }
        let height = share(count, CHART_HEIGHT, peak).clamp(SEEN_MIN, CHART_HEIGHT);
        let _infallible = write!(text, "V{}H{}", CHART_HEIGHT - height, right.max(left + 1));
        last = Some(right.max(left + 1));
    }
    if last.is_some() {
        let _infallible = write!(text, "V{CHART_HEIGHT}z");
    }
    text
}

/// The column at `place`, if anything ended there.
#[must_use]
pub fn column_at<'c>(columns: &'c [PulseBucket], scale: &TimeScale, place: u64) -> Option<&'c PulseBucket> {
    let at = scale.time(place)?.0;
    columns.iter().find(|column| {
        (column.starts_at.0..column.starts_at.0.saturating_add_unsigned(column.ms)).contains(&at)
    })
}

/// What was asked, as a sentence without a time: `paused by ada`, `paused by token build`; none where it says nothing of the course.
#[must_use]
pub fn act_words(entry: &BatchActEntry) -> Option<String> {
    let done = match entry.act.as_str() {
        "submit" => "submitted",
        "seal" => "closed to more items",
        "pause" => "paused",
        "resume" => "resumed",
        "cancel" => "cancelled",
        "retry" => "retried",
        "patch" => "changed",
        _ => return None,
    };
    let said = match (entry.act.as_str(), entry.detail.as_str()) {
        (_, "") => String::new(),
        ("patch", detail) => format!(" ({detail})"),
        ("seal", reason) => format!(" ({})", super::words::reason(reason)),
        _ => String::new(),
    };
    let who = super::words::shown(&entry.who);
    let who = who.strip_prefix("token:").map_or_else(|| who.clone(), |token| format!("token {token}"));
    Some(format!("{done}{said} by {who}"))
}

/// True where the act is a mark on the time line: those that change how fast it goes.
#[must_use]
pub fn is_mark(entry: &BatchActEntry) -> bool {
    matches!(entry.act.as_str(), "pause" | "resume" | "cancel" | "retry" | "patch")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(at: i64, ms: u64, succeeded: u64, failed: u64) -> PulseBucket {
        PulseBucket { bucket: 0, starts_at: Timestamp(at), ms, succeeded, failed, rev: 1 }
    }

    #[test]
    fn neighbours_are_joined_and_heights_are_shares_of_the_peak() {
        let columns = [bucket(0, 1_000, 5, 5), bucket(1_000, 1_000, 5, 0), bucket(3_000, 1_000, 1, 0)];
        let scale = TimeScale::of(&columns);
        assert!(!scale.shortened);
        let peak = peak(&columns);
        assert_eq!(path(&columns, &scale, peak, ends), "M0 200V0H250V100H500V200zM750 200V180H1000V200z");
        assert_eq!(path(&columns, &scale, peak, |column| column.failed), "M0 200V100H250V200z");
        assert_eq!(path(&[], &TimeScale::of(&[]), 0, ends), "");
    }

    #[test]
    fn a_few_among_many_are_seen() {
        let columns = [bucket(0, 1_000, 99_999, 1)];
        let scale = TimeScale::of(&columns);
        assert_eq!(path(&columns, &scale, 100_000, |column| column.failed), "M0 200V196H1000V200z");
    }

    /// A retry a day later left two lines at the edges of an empty drawing.
    #[test]
    fn a_day_without_ends_does_not_squeeze_the_rest() {
        let day = 86_400_000;
        let columns = [bucket(0, 1_000, 1, 0), bucket(1_000, 1_000, 1, 0), bucket(day, 1_000, 1, 0)];
        let scale = TimeScale::of(&columns);
        assert!(scale.shortened);
        assert_eq!(scale.place(Timestamp(2_000)), 500);
        assert_eq!(scale.place(Timestamp(day)), 750);
        assert_eq!(scale.place(Timestamp(2_000 + (day - 2_000) / 2)), 625);
        assert_eq!(scale.time(1_000), Some(Timestamp(day + 1_000)));
        assert_eq!((scale.place(Timestamp(-5)), scale.place(Timestamp(2 * day))), (0, 1_000));
        assert_eq!(column_at(&columns, &scale, 100).map(|column| column.starts_at.0), Some(0));
        assert_eq!(column_at(&columns, &scale, 600), None);
    }

    #[test]
    fn acts_are_said_in_words() {
        let entry = |act: &str, detail: &str| BatchActEntry {
            at: Timestamp(0),
            who: "ada".into(),
            act: act.into(),
            detail: detail.into(),
        };
        assert_eq!(act_words(&entry("pause", "")).unwrap(), "paused by ada");
        assert_eq!(act_words(&entry("patch", "slots 4")).unwrap(), "changed (slots 4) by ada");
        assert_eq!(
            act_words(&entry("seal", "upload_stopped")).unwrap(),
            "closed to more items (the upload stopped) by ada"
        );
        assert_eq!(act_words(&entry("nonsense", "")), None);
        assert!(is_mark(&entry("retry", "")) && !is_mark(&entry("submit", "")));
    }

    proptest! {
        #[test]
        fn merging_loses_nothing_and_places_rise(
            steps in prop::collection::vec((0i64..50, 0u64..1_000, 0u64..1_000), 0..600),
            most in 1usize..130,
        ) {
            let mut at = 1_700_000_000_000;
            let mut buckets = Vec::new();
            for (gap, succeeded, failed) in steps {
                buckets.push(bucket(at, 1_000, succeeded, failed));
                at += (gap + 1) * 1_000;
            }
            let columns = columns(&buckets, most);
            prop_assert!(columns.len() <= most);
            let sums = |all: &[PulseBucket]| {
                all.iter().fold((0, 0), |sums, one| (sums.0 + one.succeeded, sums.1 + one.failed))
            };
            prop_assert_eq!(sums(&columns), sums(&buckets));
            let scale = TimeScale::of(&columns);
            let places: Vec<u64> = columns.iter().map(|column| scale.place(column.starts_at)).collect();
            prop_assert!(places.is_sorted() && places.iter().all(|place| *place <= CHART_WIDTH));
            prop_assert!((0..=CHART_WIDTH).map(|place| scale.time(place)).is_sorted());
        }
    }
}
