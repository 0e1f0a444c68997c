//! How fast a batch goes and when it may be done.
//!
//! Only ends count, so a retry never makes a batch look faster.

use std::collections::{HashMap, VecDeque};

use crate::protocol::{BatchState, Rev, Timestamp};
use crate::store::{BatchKey, BatchRecord};

/// Looked at first: the last ten seconds in steps of half a second.
const NEAR: Window = Window { step_ms: 500, span_ms: 10_000 };
/// Looked at where too little ended in the near window.
const FAR: Window = Window { step_ms: 15_000, span_ms: 600_000 };
/// No figure before so much time was seen.
const SEEN_MS_MIN: u64 = 3_000;
/// No figure from fewer ends.
const ENDED_MIN: u64 = 5;
/// Batches that are watched for their rate at most; beyond, the one that was quiet longest is forgotten.
const BATCHES_MAX: usize = 1_024;

#[derive(Clone, Copy)]
struct Window {
    step_ms: u64,
    span_ms: u64,
}

/// Counts over time within one window; about `span / step` points.
#[derive(Default)]
struct Track {
    points: VecDeque<(Timestamp, u64)>,
}

impl Track {
    fn add(&mut self, window: Window, now: Timestamp, ended: u64) {
        let fresh = self.points.len() < 2
            || self.points.iter().rev().nth(1).is_some_and(|(at, _)| now.ms_since(*at) >= window.step_ms);
        match self.points.back_mut() {
            Some(last) if !fresh => *last = (now, ended),
            _ => self.points.push_back((now, ended)),
        }
        while self.points.len() > 2 && now.ms_since(self.points[1].0) > window.span_ms {
            self.points.pop_front();
        }
    }

    /// Items per second up to `now`, and the ends that this rests on.
    fn rate(&self, window: Window, now: Timestamp) -> Option<(f64, u64)> {
        let (_, last) = *self.points.back()?;
        let first = self.points.iter().find(|(at, _)| now.ms_since(*at) <= window.span_ms)?;
        let (ms, ended) = (now.ms_since(first.0), last - first.1);
        if ms < SEEN_MS_MIN || ended < ENDED_MIN {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        Some((ended as f64 * 1_000.0 / ms as f64, ended))
    }
}

/// The history of one batch.
#[derive(Default)]
struct History {
    near: Track,
    far: Track,
    ended: u64,
    /// Of the newest state seen: changes are told by several loops, not always in order.
    rev: Rev,
    noted_at: Timestamp,
}

/// The history of all batches that move.
#[derive(Default)]
pub struct Estimates {
    histories: HashMap<BatchKey, History>,
}

fn ended(batch: &BatchRecord) -> u64 {
    batch.succeeded + batch.failed + batch.cancelled
}

impl Estimates {
    /// Takes a committed state of a batch.
    pub fn record(&mut self, batch: &BatchRecord, now: Timestamp) {
        if self.histories.get(&batch.key).is_some_and(|history| batch.rev <= history.rev) {
            return;
        }
        if !matches!(batch.state, BatchState::Running | BatchState::Pending) {
            self.histories.remove(&batch.key);
            return;
        }
        let ended = ended(batch);
        if self.histories.len() >= BATCHES_MAX && !self.histories.contains_key(&batch.key) {
            let quiet =
                self.histories.iter().min_by_key(|(_, history)| history.noted_at).map(|(key, _)| *key);
            quiet.map(|key| self.histories.remove(&key));
        }
        let history = self.histories.entry(batch.key).or_default();
        if ended < history.ended {
            // A retry took outcomes away: what was seen before says nothing about what comes.
            *history = History::default();
        }
        history.ended = ended;
        history.rev = batch.rev;
        history.noted_at = now;
        history.near.add(NEAR, now, ended);
        history.far.add(FAR, now, ended);
    }

    /// Rate per second and range of milliseconds left; none where there is no ground.
    pub fn of(&self, batch: &BatchRecord, now: Timestamp) -> (Option<f64>, Option<(u64, u64)>) {
        if batch.state != BatchState::Running {
            return (None, None);
        }
        let history = self.histories.get(&batch.key);
        let found =
            history.and_then(|history| history.near.rate(NEAR, now).or_else(|| history.far.rate(FAR, now)));
        let Some((rate, grounds)) = found else {
            return (None, None);
        };
        let left = batch.total - ended(batch).min(batch.total);
        let eta = (batch.sealed && left > 0).then(|| range_ms(left, rate, grounds));
        (Some(rounded(rate)), eta)
    }
}

/// As many digits as an estimate bears, so that what has not changed is not told anew: whole from 1,000 on, tenths from
/// 1 on, thousandths below.
fn rounded(rate: f64) -> f64 {
    let by = match rate {
        rate if rate >= 1_000.0 => 1.0,
        rate if rate >= 1.0 => 10.0,
        _ => 1_000.0,
    };
    (rate * by).round() / by
}

/// The same of a time: whole seconds from a minute on, tenths below.
fn rounded_ms(ms: f64) -> f64 {
    let to = if ms >= 60_000.0 { 1_000.0 } else { 100.0 };
    (ms / to).round() * to
}

/// Time for `left` items at `rate`, give or take what so few `grounds` allow to say.
fn range_ms(left: u64, rate: f64, grounds: u64) -> (u64, u64) {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate: positive, and casts from float saturate"
    )]
    {
        let spread = (1.5 / (grounds as f64).sqrt()).clamp(0.05, 0.5);
        let ms = left as f64 * 1_000.0 / rate;
        (rounded_ms(ms / (1.0 + spread)) as u64, rounded_ms(ms / (1.0 - spread)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, ended: u64) -> (Track, Timestamp) {
        let mut track = Track::default();
        for step in 0..=(ms / 100) {
            track.add(NEAR, Timestamp(i64::try_from(step * 100).unwrap()), ended * step * 100 / ms.max(1));
        }
        (track, Timestamp(i64::try_from(ms).unwrap()))
    }

    #[test]
    fn too_early_means_no_figure() {
        let (track, now) = at(2_000, 1_000);
        assert!(track.rate(NEAR, now).is_none());
        let (track, now) = at(9_000, 3);
        assert!(track.rate(NEAR, now).is_none());
    }

    #[test]
    fn rate_is_that_of_the_last_seconds() {
        let (mut track, now) = at(60_000, 6_000);
        let (rate, _) = track.rate(NEAR, now).unwrap();
        assert!((rate - 100.0).abs() < 6.0, "{rate}");
        assert!(track.points.len() <= 30, "{}", track.points.len());
        for step in 1..=200 {
            track.add(NEAR, now.plus_ms(step * 100), 6_000 + u64::try_from(step).unwrap() * 100);
        }
        let (rate, _) = track.rate(NEAR, now.plus_ms(20_000)).unwrap();
        assert!((rate - 1_000.0).abs() < 60.0, "{rate}");
    }

    #[test]
    fn silence_lowers_the_rate() {
        let (track, now) = at(10_000, 1_000);
        let (rate, _) = track.rate(NEAR, now.plus_ms(5_000)).unwrap();
        assert!(rate < 80.0, "{rate}");
    }

    #[test]
    fn few_grounds_make_a_wide_range() {
        let (near, far) = range_ms(1_000, 10.0, 9);
        let (closer, further) = range_ms(1_000, 10.0, 1_000);
        assert!(near < closer && closer < 100_000 && 100_000 < further && further < far);
    }
}
