//! The address of a client: that of its connection, or what a named proxy says of it.
//!
//! `X-Forwarded-For` is believed only from proxies that were named, from the right.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

/// The proxies that were named.
#[derive(Debug, Default)]
pub struct TrustedProxies(Vec<IpAddr>);

impl TrustedProxies {
    /// Believes these only.
    #[must_use]
    pub fn new(proxies: Vec<IpAddr>) -> Self {
        Self(proxies)
    }

    /// The address of whoever sent a request.
    #[must_use]
    pub fn client_address(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip().to_canonical());
        if !self.0.contains(&peer) {
            return peer;
        }
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            let Ok(address) = hop.parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.0.contains(&client) {
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

    fn from(proxies: &TrustedProxies, peer: &str, forwarded: &str) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        proxies.client_address(&extensions, &headers).to_string()
    }

    #[test]
    fn only_named_proxies_are_believed() {
        let proxies = TrustedProxies::new(vec!["10.0.0.1".parse().unwrap()]);
        assert_eq!(from(&proxies, "9.9.9.9", "1.1.1.1"), "9.9.9.9");
        assert_eq!(from(&proxies, "10.0.0.1", "1.1.1.1, 2.2.2.2"), "2.2.2.2");
        assert_eq!(from(&proxies, "10.0.0.1", "2.2.2.2, 10.0.0.1"), "2.2.2.2");
        assert_eq!(from(&proxies, "10.0.0.1", "junk"), "10.0.0.1");
    }
}
