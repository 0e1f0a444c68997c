//! How often an address may try to sign in: a brake on guessing. What it remembers is bounded.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::server::transport::network;

/// Tries in a row from one address.
const TRIES_MAX: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Tries that an address wins back in a minute.
const TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Addresses remembered; where more have tried lately, nobody new may for a moment.
const ADDRESSES_MAX: usize = 10_000;

/// The rate limit of sign-in, by address.
pub struct LoginRateLimit {
    tries: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl Default for LoginRateLimit {
    fn default() -> Self {
        let quota = Quota::per_minute(TRIES_PER_MINUTE).allow_burst(TRIES_MAX);
        Self { tries: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }
}

impl LoginRateLimit {
    /// Counts one try of `address`.
    ///
    /// # Errors
    /// Seconds to wait, at least 1.
    pub fn admit(&self, address: IpAddr) -> Result<(), u64> {
        if self.tries.len() >= ADDRESSES_MAX {
            self.tries.retain_recent();
            if self.tries.len() >= ADDRESSES_MAX {
                return Err(1);
            }
        }
        let key = network(address);
        self.tries
            .check_key(&key)
            .map_err(|until| until.wait_time_from(self.clock.now()).as_secs().saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_braked_by_address() {
        let limit = LoginRateLimit::default();
        let (one, other): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        for _ in 0..TRIES_MAX.get() {
            assert_eq!(limit.admit(one), Ok(()));
        }
        assert!(limit.admit("2001:db8::2".parse().unwrap()).is_err_and(|seconds| seconds >= 1));
        assert_eq!(limit.admit(other), Ok(()));
    }
}
