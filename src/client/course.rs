//! The course of a batch: what a chart of it draws, and what it says.
//!
//! As text and numbers only, so that server and browser make the same.

use super::chart::{self, CHART_WIDTH, TimeScale};
use super::words;
use crate::protocol::{PulseBucket, Timestamp};

/// Columns of the drawing at most, and rows of its table.
const COLUMNS_MAX: usize = 120;

/// Whether more may still end in the time of the newest bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewestBucket {
    /// It is as full as it gets.
    Whole,
    /// The batch is under way: only a part of its time has passed, or its next ends make another.
    FillsUp,
}

/// Columns, and which time is where among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// What is drawn: without a newest bucket that fills up, and the last one as wide as the part of it that is whole.
    pub columns: Vec<PulseBucket>,
    /// Which time is where.
    pub scale: TimeScale,
    /// Ends of the fullest column, were it as wide as the others.
    peak: u64,
    /// All there is, for the table.
    rows: Vec<PulseBucket>,
}

impl Course {
    /// The course that time buckets tell of.
    #[must_use]
    pub fn of(buckets: &[PulseBucket], newest: NewestBucket) -> Self {
        let rows = chart::columns(buckets, COLUMNS_MAX);
        let mut columns = rows.clone();
        if let (NewestBucket::FillsUp, [whole @ .., open]) = (newest, buckets)
            && !whole.is_empty()
        {
            columns = chart::columns(whole, COLUMNS_MAX);
            if let Some(last) = columns.last_mut() {
                let passed = open.starts_at.ms_since(last.starts_at);
                last.ms = last.ms.min(passed.max(1));
            }
        }
        let scale = TimeScale::of(&columns);
        let mut course = Self { columns, scale, peak: 0, rows };
        course.peak =
            course.columns.iter().map(|column| course.by_time(column, chart::ends)).max().unwrap_or(0);
        course
    }

    /// `value` of a column, were it as wide as the others.
    fn by_time(&self, column: &PulseBucket, value: fn(&PulseBucket) -> u64) -> u64 {
        let ms = self.columns.first().map_or(column.ms, |first| first.ms.max(column.ms));
        value(column).saturating_mul(ms) / column.ms.max(1)
    }

    /// The outline of `value` of all columns.
    #[must_use]
    pub fn path(&self, value: fn(&PulseBucket) -> u64) -> String {
        chart::path(&self.columns, &self.scale, self.peak, |column| self.by_time(column, value))
    }

    /// The most that ended in one second of a column.
    #[must_use]
    pub fn top(&self) -> String {
        let ms = self.columns.first().map_or(1_000, |column| column.ms);
        if self.peak == 0 { String::new() } else { words::rate(chart::per_second(self.peak, ms)) }
    }

    /// The times below: when it begins, and how long after that the middle and the end are.
    #[must_use]
    pub fn axis(&self) -> [String; 3] {
        let times = [0, CHART_WIDTH / 2, CHART_WIDTH].map(|place| self.scale.time(place));
        let [Some(start), Some(middle), Some(end)] = times else { return Default::default() };
        let after = |at: Timestamp| format!("+{}", words::duration(at.ms_since(start)));
        [words::absolute(start), after(middle), after(end)]
    }

    /// What the chart shows, or its column under the pointer; `ended` is how many items of the batch have ended.
    #[must_use]
    pub fn hint(&self, pointed: Option<u64>, ended: u64) -> String {
        if let Some(place) = pointed {
            return match chart::column_at(&self.columns, &self.scale, place) {
                Some(column) => read_out(column),
                None => "nothing ended here".into(),
            };
        }
        let Some(column) = self.columns.first() else {
            // Batches that ended before time buckets were kept have none.
            return if ended == 0 {
                "Nothing has ended yet."
            } else {
                "When its items ended was not recorded."
            }
            .into();
        };
        let shortened = if self.scale.shortened { "; long waits are drawn shorter" } else { "" };
        format!("ended per second, in steps of {}{shortened}", words::duration(column.ms))
    }

    /// Rows of the table. Numbers and times only: there is nothing to escape.
    #[must_use]
    pub fn rows(&self) -> String {
        let row = |head: String, good: u64, bad: u64, rate: String| {
            let (good, bad) = (words::thousands(good), words::thousands(bad));
            format!("<tr><th scope=\"row\">{head}</th><td>{good}</td><td>{bad}</td><td>{rate}</td></tr>")
        };
        let rate = |column: &PulseBucket| words::rate(chart::per_second(chart::ends(column), column.ms));
        let mut rows: String = self
            .rows
            .iter()
            .map(|one| row(words::absolute(one.starts_at), one.succeeded, one.failed, rate(one)))
            .collect();
        let sum = |of: fn(&PulseBucket) -> u64| self.rows.iter().map(of).sum();
        rows.push_str(&row("all".into(), sum(|one| one.succeeded), sum(|one| one.failed), String::new()));
        rows
    }
}

fn read_out(column: &PulseBucket) -> String {
    format!(
        "{}: {} succeeded, {} failed in {}",
        words::absolute(column.starts_at),
        words::thousands(column.succeeded),
        words::thousands(column.failed),
        words::duration(column.ms),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_that_was_not_recorded_is_not_called_a_start() {
        let course = Course::of(&[], NewestBucket::Whole);
        assert_eq!(course.hint(None, 0), "Nothing has ended yet.");
        assert_eq!(course.hint(None, 7), "When its items ended was not recorded.");
    }

    #[test]
    fn what_is_not_full_yet_is_no_dip() {
        let bucket = |at: i64, succeeded| PulseBucket {
            bucket: 0,
            starts_at: Timestamp(at * 1_000),
            ms: 1_000,
            succeeded,
            failed: 0,
            rev: 1,
        };
        let buckets = [bucket(0, 10), bucket(1, 10), bucket(2, 1)];
        let runs = Course::of(&buckets, NewestBucket::FillsUp);
        assert_eq!(runs.path(chart::ends), "M0 200V0H500V0H1000V200z");
        assert_eq!(Course::of(&buckets, NewestBucket::Whole).path(chart::ends).matches("V180").count(), 1);
        assert!(runs.rows().contains("<td>21</td>"), "the table has all: {}", runs.rows());
        assert_ne!(Course::of(&buckets[..1], NewestBucket::FillsUp).path(chart::ends), "");
        // 121 buckets make columns of two: of the last one a half is whole.
        let many: Vec<PulseBucket> = (0..122).map(|at| bucket(at, if at == 121 { 1 } else { 10 })).collect();
        let runs = Course::of(&many, NewestBucket::FillsUp);
        assert_eq!((runs.columns.len(), runs.columns[60].ms, runs.columns[60].succeeded), (61, 1_000, 10));
        assert_eq!(runs.path(chart::ends).matches("V0").count(), 61, "{}", runs.path(chart::ends));
    }
}
