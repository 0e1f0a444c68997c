//! Who is at the door: the client's address, and how often it may try to sign in.
//!
//! Owns the brake on guessing. Called by sign-in. Invariant: what it remembers is bounded, and `X-Forwarded-For` is
//! believed only from proxies that were named, from the right. Deliberately knows no person.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::ConnectInfo;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::Extensions;
use http::HeaderMap;

/// Tries in a row from one address.
const TRIES_MAX: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Tries that an address wins back in a minute.
const TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Addresses remembered; where more have tried lately, nobody new may for a moment.
const ADDRESSES_MAX: usize = 10_000;

/// The brake on sign-in.
pub struct Doorman {
    tries: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    trusted_proxies: Vec<IpAddr>,
}

impl Doorman {
    /// Believes `X-Forwarded-For` from `trusted_proxies` only.
    #[must_use]
    pub fn new(trusted_proxies: Vec<IpAddr>) -> Self {
        let quota = Quota::per_minute(TRIES_PER_MINUTE).allow_burst(TRIES_MAX);
        Self { tries: RateLimiter::keyed(quota), clock: DefaultClock::default(), trusted_proxies }
    }

    /// Takes one try of `address`.
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

    /// The address of whoever sent the request.
    #[must_use]
    pub fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip().to_canonical());
        if !self.trusted_proxies.contains(&peer) {
            return peer;
        }
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            let Ok(address) = hop.parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.trusted_proxies.contains(&client) {
                break;
            }
        }
        client
    }
}

/// What counts as one address: an IPv6 client has a /64 to itself.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mask = !0_u128 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(doorman: &Doorman, peer: &str, forwarded: &str) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        doorman.address(&extensions, &headers).to_string()
    }

    #[test]
    fn only_named_proxies_are_believed() {
        let doorman = Doorman::new(vec!["10.0.0.1".parse().unwrap()]);
        assert_eq!(from(&doorman, "9.9.9.9", "1.1.1.1"), "9.9.9.9");
        assert_eq!(from(&doorman, "10.0.0.1", "1.1.1.1, 2.2.2.2"), "2.2.2.2");
        assert_eq!(from(&doorman, "10.0.0.1", "2.2.2.2, 10.0.0.1"), "2.2.2.2");
        assert_eq!(from(&doorman, "10.0.0.1", "junk"), "10.0.0.1");
    }

    #[test]
    fn guessing_is_braked_by_address() {
        let doorman = Doorman::new(Vec::new());
        let (one, other): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        for _ in 0..TRIES_MAX.get() {
            assert_eq!(doorman.admit(one), Ok(()));
        }
        assert!(doorman.admit("2001:db8::2".parse().unwrap()).is_err_and(|seconds| seconds >= 1));
        assert_eq!(doorman.admit(other), Ok(()));
    }
}
