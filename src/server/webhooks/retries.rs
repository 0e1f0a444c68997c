//! When to send a message again, as Standard Webhooks suggests:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>.

use crate::store::Next;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Delays after the first attempt, the second, and so on: ten attempts over about three days.
const DELAYS_MS: [u64; 9] = [
    5 * SECOND_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    24 * HOUR_MS,
];
/// Longest delay that an answer may ask for; one that asks for more is asked sooner.
const RETRY_AFTER_MS_MAX: u64 = 24 * HOUR_MS;
/// A delay is longer by up to this part, so that what failed together does not come back together.
const JITTER_PART: f64 = 0.1;

/// What becomes of a message that was not taken, after `tries` attempts before this one. `retry_after_seconds` is what the
/// answer asked for, `random` a number in 0..=1.
pub fn after_failure(tries: u32, retry_after_seconds: Option<u64>, random: f64) -> Next {
    let Some(delay_ms) = DELAYS_MS.get(tries as usize) else { return Next::Failed };
    let asked_ms = retry_after_seconds.unwrap_or(0).saturating_mul(SECOND_MS).min(RETRY_AFTER_MS_MAX);
    let delay =
        std::time::Duration::from_millis(*delay_ms).mul_f64(1.0 + JITTER_PART * random.clamp(0.0, 1.0));
    Next::Again(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(asked_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_are_spread_over_three_days() {
        let delays: Vec<Next> = (0..10).map(|tries| after_failure(tries, None, 0.0)).collect();
        assert_eq!(delays[0], Next::Again(5_000));
        assert_eq!(delays[3], Next::Again(7_200_000));
        assert_eq!(delays[9], Next::Failed);
        let hours = DELAYS_MS.iter().sum::<u64>() / HOUR_MS;
        assert!((72..80).contains(&hours), "{hours}");
        assert_eq!(after_failure(u32::MAX, None, 0.5), Next::Failed);
    }

    #[test]
    fn what_an_answer_asks_for_only_makes_it_later() {
        assert_eq!(after_failure(0, Some(1), 0.0), Next::Again(5_000));
        assert_eq!(after_failure(0, Some(60), 1.0), Next::Again(60_000));
        assert_eq!(after_failure(0, Some(u64::MAX), 0.0), Next::Again(RETRY_AFTER_MS_MAX));
        assert_eq!(after_failure(0, None, 1.0), Next::Again(5_500));
        assert_eq!(after_failure(9, Some(60), 0.0), Next::Failed);
    }
}
