//! Which addresses requests to webhooks may reach: public ones, and those that the operator names.
//!
//! Whoever submits a batch chooses an address, and the server calls it: without this, they could reach what only the server
//! can (<https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html>). Names are
//! looked up here, and the connection goes to the address that was checked, so that a name cannot change its mind between.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Networks that are not public: <https://www.iana.org/assignments/iana-ipv4-special-registry>, and multicast.
const NOT_PUBLIC_V4: [&str; 16] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];
/// Of IPv6 only this is public.
const PUBLIC_V6: &str = "2000::/3";
/// And of that, these are not: <https://www.iana.org/assignments/iana-ipv6-special-registry>. The third carries addresses of
/// IPv4, among them private ones.
const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// The tables above, read once.
static NETWORKS: LazyLock<(Vec<IpNet>, IpNet)> = LazyLock::new(|| {
    let network = |text: &str| text.parse().expect("the tables hold networks: a test reads them");
    let excluded = NOT_PUBLIC_V4.iter().chain(&NOT_PUBLIC_V6).map(|text| network(text)).collect();
    (excluded, network(PUBLIC_V6))
});

/// True for an address that anybody may reach.
fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let (excluded, public_v6) = &*NETWORKS;
    let reachable = address.is_ipv4() || public_v6.contains(&address);
    reachable && !excluded.iter().any(|network| network.contains(&address))
}

/// An address that must not be reached.
#[derive(Debug)]
pub struct RefusedAddress {
    host: String,
    address: Option<IpAddr>,
}

impl std::error::Error for RefusedAddress {}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) if self.host.trim_matches(['[', ']']) == address.to_string() => {
                write!(f, "{address} is not a public address, and [webhooks] allow does not name it")
            }
            Some(address) => write!(
                f,
                "{} is at {address}, which is not a public address, and [webhooks] allow does not name it",
                self.host
            ),
            None => write!(f, "{} has no address", self.host),
        }
    }
}

/// What the operator allows beyond public addresses. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Arc<Allowed>,
}

#[derive(Debug, Default)]
struct Allowed {
    networks: Vec<IpNet>,
    hosts: Vec<String>,
}

impl AddressGuard {
    /// Allows what `entries` name beyond public addresses: addresses, networks like `10.0.0.0/8`, and names of hosts,
    /// wherever they are.
    #[must_use]
    pub fn new(entries: &[String]) -> Self {
        let mut allowed = Allowed::default();
        for entry in entries {
            let network = entry.parse().ok().or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from));
            match network {
                Some(network) => allowed.networks.push(network),
                None => allowed.hosts.push(entry.trim_end_matches('.').to_ascii_lowercase()),
            }
        }
        Self { allowed: Arc::new(allowed) }
    }

    /// Checks an address that is written in a URL, which nobody looks up. Of a name nothing is known yet.
    ///
    /// # Errors
    /// Where it must not be reached.
    pub fn check(&self, url: &Url) -> Result<(), RefusedAddress> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address),
            Some(Host::Ipv6(address)) => IpAddr::from(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.permits(address) {
            return Ok(());
        }
        Err(RefusedAddress { host: url.host_str().unwrap_or_default().to_owned(), address: Some(address) })
    }

    fn permits(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        is_public(address) || self.allowed.networks.iter().any(|network| network.contains(&canonical))
    }

    fn permits_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.allowed.hosts.contains(&host)
    }

    /// The addresses of `host` that may be reached.
    async fn look_up(
        &self,
        host: String,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
        if self.permits_host(&host) {
            return Ok(found);
        }
        let refused = found.iter().map(SocketAddr::ip).find(|address| !self.permits(*address));
        let permitted: Vec<SocketAddr> = found.into_iter().filter(|found| self.permits(found.ip())).collect();
        if permitted.is_empty() {
            return Err(RefusedAddress { host, address: refused }.into());
        }
        Ok(permitted)
    }
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.look_up(name.as_str().to_owned()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &AddressGuard, url: &str) -> bool {
        guard.check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_however_they_are_written() {
        let guard = AddressGuard::default();
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://0/",
            "http://10.0.0.1/",
            "http://172.31.255.255/",
            "http://192.168.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.64.0.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001::1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[fec0::1]/",
            "http://[ff02::1]/",
        ] {
            assert!(!check(&guard, url), "{url}");
        }
        for url in ["http://93.184.216.34/", "https://[2606:2800:220:1::1]/", "http://172.32.0.1/"] {
            assert!(check(&guard, url), "{url}");
        }
    }

    #[test]
    fn the_operator_allows_addresses_and_networks() {
        let entries = ["10.0.0.0/8", "192.168.1.7", "fd00::/8"].map(str::to_owned);
        let guard = AddressGuard::new(&entries);
        for url in
            ["http://10.9.8.7/", "http://[::ffff:10.9.8.7]/", "http://192.168.1.7/", "http://[fd12::1]/"]
        {
            assert!(check(&guard, url), "{url}");
        }
        for url in ["http://192.168.1.8/", "http://127.0.0.1/", "http://[fe80::1]/"] {
            assert!(!check(&guard, url), "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_looked_up_and_their_addresses_checked() {
        let refused = AddressGuard::default().look_up("localhost".to_owned()).await.unwrap_err();
        assert!(refused.downcast_ref::<RefusedAddress>().is_some(), "{refused}");
        assert!(refused.to_string().contains("not a public address"), "{refused}");
        let by_name = AddressGuard::new(&["LOCALHOST.".to_owned()]);
        assert!(!by_name.look_up("localhost".to_owned()).await.unwrap().is_empty());
        let by_network = AddressGuard::new(&["127.0.0.0/8".to_owned()]);
        let found = by_network.look_up("localhost".to_owned()).await.unwrap();
        assert!(found.iter().all(|found| found.is_ipv4()), "{found:?}");
    }
}
