//! The moments of a batch's course: what had ended at the end of each column, and what was asked, on one time line.

use crate::client::chart;
use crate::client::course::Course;
use crate::client::words;
use crate::protocol::{BatchActEntry, Timestamp};

/// A moment, and what stood then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoursePoint {
    /// When it was.
    pub at: Timestamp,
    /// Where it is on the drawing, from 0 to its width.
    pub place: u64,
    /// Ends so far; an item that was retried has ended more than once.
    pub ended: u64,
    /// Those of them that were failures.
    pub failed: u64,
    /// How many ended in a second before it; none where something was asked instead.
    pub rate: Option<String>,
    /// What was asked, and by whom.
    pub act: Option<String>,
}

impl CoursePoint {
    /// How many had ended then, as a sentence without a time.
    #[must_use]
    pub fn figures(&self) -> String {
        let ended = words::counted(self.ended, "item");
        let failed = match self.failed {
            0 => "none of them failed".to_owned(),
            failed => format!("{} of them failed", words::thousands(failed)),
        };
        let rate = self.rate.as_ref().map_or_else(String::new, |rate| format!("; {rate} just before"));
        format!("{ended} ended by then, {failed}{rate}.")
    }

    /// What was asked then, and how many had ended.
    #[must_use]
    pub fn sentence(&self) -> String {
        let figures = self.figures();
        self.act.as_ref().map_or_else(|| figures.clone(), |act| format!("{act}; {figures}"))
    }
}

/// All moments in the order of time: the start, the end of each column, and each act.
#[must_use]
pub fn moments(course: &Course, acts: &[BatchActEntry]) -> Vec<CoursePoint> {
    let Some(first) = course.columns.first() else { return Vec::new() };
    let start = CoursePoint { at: first.starts_at, place: 0, ended: 0, failed: 0, rate: None, act: None };
    let mut moments = vec![start];
    let (mut ended, mut failed) = (0, 0);
    for column in &course.columns {
        let at = Timestamp(column.starts_at.0.saturating_add_unsigned(column.ms));
        ended += chart::ends(column);
        failed += column.failed;
        let rate = Some(words::rate(chart::per_second(chart::ends(column), column.ms)));
        moments.push(CoursePoint { at, place: course.scale.place(at), ended, failed, rate, act: None });
    }
    for entry in acts {
        let Some(act) = chart::act_words(entry) else { continue };
        let before = moments.partition_point(|moment| moment.at <= entry.at);
        let (ended, failed) =
            before.checked_sub(1).map_or((0, 0), |at| (moments[at].ended, moments[at].failed));
        let place = course.scale.place(entry.at);
        moments
            .insert(before, CoursePoint { at: entry.at, place, ended, failed, rate: None, act: Some(act) });
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::course::NewestBucket;
    use crate::protocol::PulseBucket;

    #[test]
    fn ends_add_up_and_acts_stand_between_them() {
        let bucket = |at: i64, succeeded, failed| PulseBucket {
            bucket: 0,
            starts_at: Timestamp(at),
            ms: 1_000,
            succeeded,
            failed,
            rev: 1,
        };
        let act = |at: i64, act: &str| BatchActEntry {
            at: Timestamp(at),
            who: "ada".into(),
            act: act.into(),
            detail: String::new(),
        };
        let course = Course::of(&[bucket(10_000, 40, 0), bucket(11_000, 8, 2)], NewestBucket::Whole);
        let acts = [act(9_000, "submit"), act(11_000, "pause"), act(11_500, "resume"), act(20_000, "retry")];
        let told: Vec<_> =
            moments(&course, &acts).iter().map(|one| (one.at.0, one.place, one.sentence())).collect();
        let expected = [
            (9_000, 0, "submitted by ada; 0 items ended by then, none of them failed."),
            (10_000, 0, "0 items ended by then, none of them failed."),
            (11_000, 500, "40 items ended by then, none of them failed; 40/s just before."),
            (11_000, 500, "paused by ada; 40 items ended by then, none of them failed."),
            (11_500, 750, "resumed by ada; 40 items ended by then, none of them failed."),
            (12_000, 1_000, "50 items ended by then, 2 of them failed; 10/s just before."),
            (20_000, 1_000, "retried by ada; 50 items ended by then, 2 of them failed."),
        ];
        assert_eq!(told, expected.map(|(at, place, words)| (at, place, words.to_owned())));
        assert_eq!(moments(&Course::of(&[], NewestBucket::Whole), &acts), []);
    }
}
