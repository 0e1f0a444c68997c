//! The course of a batch in a few bars, for its row in a list.
//!
//! The server makes the first ones of its time buckets; from then on the counts of the row, which come anyway, add to
//! them at a calm pace. A time in which nothing ended takes no place, as in the buckets.

use std::fmt::Write as _;

use crate::protocol::{SPARK_BARS_MAX, SparkBar, Timestamp};

/// Width of the drawing, in units of its own.
const WIDTH: u64 = 96;
/// Its height.
const HEIGHT: u64 = 24;
/// A row's spark is drawn anew no more often than this.
const PACE_MS: u64 = 2_000;

/// Bars, and what they know of the batch so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spark {
    bars: Vec<SparkBar>,
    /// How long a bar is that is full.
    bar_ms: u64,
    /// When they last grew, by the clock of whoever looks, and what had ended well and badly then; none before the first
    /// row that came.
    seen: Option<(Timestamp, [u64; 2])>,
}

impl Spark {
    /// The bars as they were read, as their figures with spaces between.
    #[must_use]
    pub fn new(figures: &str) -> Self {
        let figures: Vec<u64> = figures.split(' ').filter_map(|figure| figure.parse().ok()).collect();
        let bars: Vec<SparkBar> = figures.as_chunks().0.to_vec();
        let bar_ms = bars.iter().map(|bar| bar[0]).max().unwrap_or(PACE_MS);
        Self { bars, bar_ms, seen: None }
    }

    /// Takes in how many have `ended` well and badly at `now`. What a retry took back is not taken out.
    pub fn follow(&mut self, ended: [u64; 2], now: Timestamp) {
        let Some((at, before)) = self.seen.filter(|(at, _ended)| *at <= now) else {
            self.seen = Some((now, ended));
            return;
        };
        let ms = now.ms_since(at);
        if ms < PACE_MS {
            return;
        }
        self.seen = Some((now, ended));
        let [good, bad] = [0, 1].map(|at| ended[at].saturating_sub(before[at]));
        if (good, bad) == (0, 0) {
            return;
        }
        self.bars.push([ms, good, bad]);
        self.merge();
    }

    /// Has the newest bar fill up before there is another, and all be twice as long where there are too many.
    fn merge(&mut self) {
        loop {
            let mut merged: Vec<SparkBar> = Vec::new();
            for bar in &self.bars {
                match merged.last_mut().filter(|last| last[0] + bar[0] <= self.bar_ms) {
                    Some(last) => (0..3).for_each(|at| last[at] += bar[at]),
                    None => merged.push(*bar),
                }
            }
            self.bars = merged;
            if self.bars.len() as u64 <= SPARK_BARS_MAX {
                return;
            }
            self.bar_ms = self.bar_ms.saturating_mul(2);
        }
    }

    /// The drawing: all ends, and the failures among them in front. Numbers only: there is nothing to escape.
    #[must_use]
    pub fn svg(&self) -> String {
        let peak = self.bars.iter().map(|bar| rate(bar, bar[1] + bar[2])).max().unwrap_or(0);
        if peak == 0 {
            return String::new();
        }
        let ended = self.path(peak, |bar| bar[1] + bar[2]);
        let failed = self.path(peak, |bar| bar[2]);
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <path class=\"chart-ended\" d=\"{ended}\"></path><path class=\"chart-failed\" d=\"{failed}\"></path></svg>"
        )
    }

    /// The outline of all bars, as high as `value` of each by time against `peak`.
    fn path(&self, peak: u64, value: fn(&SparkBar) -> u64) -> String {
        let mut text = format!("M0 {HEIGHT}");
        for (bar, right) in self.bars.iter().zip(1..) {
            let rate = rate(bar, value(bar));
            // Few among many are seen.
            let height = (rate * HEIGHT / peak).clamp(u64::from(rate > 0), HEIGHT);
            let _infallible = write!(text, "V{}H{}", HEIGHT - height, right * WIDTH / self.bars.len() as u64);
        }
        let _infallible = write!(text, "V{HEIGHT}z");
        text
    }
}

/// `ends` in the time of a bar, by 1,000 seconds.
fn rate(bar: &SparkBar, ends: u64) -> u64 {
    ends.saturating_mul(1_000_000) / bar[0].max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_by_time_and_a_bar_that_is_not_full_is_no_dip() {
        let spark = Spark::new("2000 8 2 1000 4 1");
        let whole = "M0 24V0H48V0H96V24z";
        assert!(spark.svg().contains(whole), "{}", spark.svg());
        assert!(spark.svg().contains("M0 24V20H48V20H96V24z"), "{}", spark.svg());
        assert_eq!(Spark::new("").svg(), "");
        assert_eq!(Spark::new("1000 0 0").svg(), "");
    }

    #[test]
    fn rows_that_come_add_to_it_at_a_calm_pace() {
        let mut spark = Spark::new(&["4000 40 0"; 24].join(" "));
        spark.follow([960, 0], Timestamp(1_000));
        let before = spark.clone();
        spark.follow([970, 0], Timestamp(2_500));
        assert_eq!(spark, before, "not before its time");
        spark.follow([980, 3], Timestamp(3_000));
        assert_eq!(spark.bars.len(), 13, "twice as long each, and one that fills up");
        assert_eq!(spark.bars.last(), Some(&[2_000, 20, 3]));
        spark.follow([990, 3], Timestamp(5_000));
        assert_eq!((spark.bars.len(), spark.bars.last()), (13, Some(&[4_000, 30, 3])));
        spark.follow([990, 0], Timestamp(60_000));
        spark.follow([990, 1], Timestamp(62_000));
        assert_eq!(spark.bars.last(), Some(&[6_000, 30, 4]), "what waited or was taken back takes no place");
        spark.follow([999, 1], Timestamp(500));
        assert_eq!(spark.bars.last(), Some(&[6_000, 30, 4]), "a clock that was set back starts anew");
    }

    #[test]
    fn there_are_never_too_many_bars_and_none_is_lost() {
        let mut spark = Spark::new("");
        for at in 0..500_u64 {
            spark.follow([at, 0], Timestamp(i64::try_from(at).unwrap() * 2_000));
            assert!(spark.bars.len() as u64 <= SPARK_BARS_MAX);
        }
        assert_eq!(spark.bars.iter().map(|bar| bar[1]).sum::<u64>(), 499);
    }
}
