//! How often somebody may fail to sign in: a brake on guessing, by address and by name. What it remembers is bounded.
//!
//! A try takes a place of both before its password is looked at, and gives it back where the password was right: only
//! failures count. A browser that has signed in with the name before has places of its own, so that whoever guesses keeps
//! nobody out who is known. A rate limiter of the usual kind cannot give back, so this is one of our own: a bucket that
//! leaks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::server::transport::network;

/// Failures in a row; with what leaks in a minute, 20 guesses in the first.
const FAILURES_MAX: f64 = 10.0;
/// Failures that are forgotten in a minute.
const FORGOTTEN_PER_MINUTE: f64 = 10.0;
/// Buckets remembered; where more have failed lately, whoever is new waits for a moment.
const BUCKETS_MAX: usize = 20_000;
/// Refusals are told to the log at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What a bucket is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Name(String),
    Browser(String),
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: f64,
    at: Instant,
}

impl Bucket {
    /// Failures that are not forgotten by `now`.
    fn level(self, now: Instant) -> f64 {
        let forgotten = now.saturating_duration_since(self.at).as_secs_f64() / 60.0 * FORGOTTEN_PER_MINUTE;
        (self.failures - forgotten).max(0.0)
    }
}

/// The brake on guessing.
#[derive(Default)]
pub struct LoginRateLimit {
    buckets: Mutex<HashMap<Key, Bucket>>,
    refusals: Mutex<Refusals>,
}

/// Refusals since the log was last told of any.
#[derive(Default)]
struct Refusals {
    count: u64,
    logged_at: Option<Instant>,
}

/// Who tries to sign in.
#[derive(Clone, Copy, Debug)]
pub struct LoginTry<'a> {
    /// From where.
    pub address: IpAddr,
    /// With which name; none by a link.
    pub name: Option<&'a str>,
    /// The secret of a browser that has signed in with that name before.
    pub known_browser: Option<&'a str>,
}

/// The places that a try has taken.
#[derive(Debug)]
pub struct TakenPlaces {
    keys: Vec<Key>,
}

impl LoginRateLimit {
    fn buckets(&self) -> MutexGuard<'_, HashMap<Key, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a try as a failure, until [`LoginRateLimit::succeeded`] says otherwise.
    ///
    /// # Errors
    /// Seconds to wait, at least 1.
    pub fn admit(&self, login: LoginTry<'_>, now: Instant) -> Result<TakenPlaces, u64> {
        let keys = match (login.known_browser, login.name) {
            (Some(browser), _) => vec![Key::Browser(browser.to_owned())],
            (None, Some(name)) => vec![Key::Address(network(login.address)), Key::Name(name.to_owned())],
            (None, None) => vec![Key::Address(network(login.address))],
        };
        let mut buckets = self.buckets();
        if buckets.len() + keys.len() > BUCKETS_MAX {
            buckets.retain(|_key, bucket| bucket.level(now) > 0.0);
            if buckets.len() + keys.len() > BUCKETS_MAX {
                return Err(1);
            }
        }
        let levels: Vec<f64> =
            keys.iter().map(|key| buckets.get(key).map_or(0.0, |bucket| bucket.level(now))).collect();
        let fullest = levels.iter().copied().fold(0.0, f64::max);
        if fullest + 1.0 > FAILURES_MAX {
            let seconds = (fullest + 1.0 - FAILURES_MAX) / FORGOTTEN_PER_MINUTE * 60.0;
            return Err(Duration::from_secs_f64(seconds).as_secs().saturating_add(1));
        }
        for (key, level) in keys.iter().zip(levels) {
            buckets.insert(key.clone(), Bucket { failures: level + 1.0, at: now });
        }
        Ok(TakenPlaces { keys })
    }

    /// The password was right: the try was no failure.
    pub fn succeeded(&self, taken: TakenPlaces) {
        let mut buckets = self.buckets();
        for key in taken.keys {
            if let Some(bucket) = buckets.get_mut(&key) {
                bucket.failures = (bucket.failures - 1.0).max(0.0);
            }
        }
    }

    /// Counts a refusal; the number of those since the log was last told, once a minute.
    pub fn refused(&self, now: Instant) -> Option<u64> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.count += 1;
        if refusals.logged_at.is_some_and(|at| now.saturating_duration_since(at) < TOLD_EVERY) {
            return None;
        }
        refusals.logged_at = Some(now);
        Some(std::mem::take(&mut refusals.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by<'a>(address: &str, name: &'a str) -> LoginTry<'a> {
        LoginTry { address: address.parse().unwrap(), name: Some(name), known_browser: None }
    }

    #[test]
    fn twenty_guesses_in_the_first_minute_by_address_and_by_name() {
        let limit = LoginRateLimit::default();
        let start = Instant::now();
        let guesses = |tries: &dyn Fn(u64) -> (String, String)| {
            (0..600_u64)
                .filter(|at| {
                    let (address, name) = tries(*at);
                    limit.admit(by(&address, &name), start + Duration::from_millis(at * 100)).is_ok()
                })
                .count()
        };
        // One address, many names; then one name from many addresses.
        let of_address = guesses(&|at| ("2001:db8::1".to_owned(), format!("name{at}")));
        assert!((18..=20).contains(&of_address), "{of_address}");
        let of_name = guesses(&|at| (format!("10.0.{}.{}", at / 200, at % 200), "ada".to_owned()));
        assert!((18..=20).contains(&of_name), "{of_name}");
    }

    #[test]
    fn only_failures_count() {
        let limit = LoginRateLimit::default();
        let now = Instant::now();
        for _ in 0..100 {
            let taken = limit.admit(by("10.0.0.1", "ada"), now).unwrap();
            limit.succeeded(taken);
        }
        for _ in 0..10 {
            limit.admit(by("10.0.0.1", "ada"), now).unwrap();
        }
        let wait = limit.admit(by("10.0.0.1", "ada"), now).unwrap_err();
        assert!((1..=7).contains(&wait), "{wait}");
        assert!(limit.admit(by("10.0.0.1", "ada"), now + Duration::from_secs(wait)).is_ok());
        assert!(limit.admit(by("10.0.0.2", "bob"), now).is_ok());
    }

    #[test]
    fn whoever_guesses_keeps_no_known_browser_out() {
        let limit = LoginRateLimit::default();
        let now = Instant::now();
        while limit.admit(by("10.0.0.1", "ada"), now).is_ok() {}
        let known = LoginTry { known_browser: Some("browser"), ..by("10.0.0.1", "ada") };
        assert!(limit.admit(known, now).is_ok());
        // It may not guess without end either.
        let more = (0..100).filter(|_| limit.admit(known, now).is_ok()).count();
        assert_eq!(more, 9);
    }

    #[test]
    fn the_log_is_told_once_a_minute() {
        let limit = LoginRateLimit::default();
        let now = Instant::now();
        assert_eq!(limit.refused(now), Some(1));
        assert_eq!((0..50).filter_map(|_| limit.refused(now)).count(), 0);
        assert_eq!(limit.refused(now + TOLD_EVERY), Some(51));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = LoginRateLimit::default();
        let now = Instant::now();
        for at in 0..BUCKETS_MAX {
            let _either = limit.admit(by(&format!("10.{}.{}.1", at / 250, at % 250), &format!("n{at}")), now);
        }
        assert!(limit.buckets().len() <= BUCKETS_MAX);
        assert_eq!(limit.admit(by("192.0.2.1", "new"), now).unwrap_err(), 1);
        assert!(limit.admit(by("192.0.2.1", "new"), now + Duration::from_secs(60)).is_ok());
    }
}
