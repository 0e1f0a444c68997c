//! The open connections: how many there may be, from where, and which of them may be closed for a newcomer.
//!
//! No more than `all_max` are open, and of those at most `all_max` less a reserve are at the request of somebody who
//! is signed in. So there is always one that waits for a request, or is at one of a stranger: where all places are
//! taken, the one that has done so for the longest is closed, and a newcomer (a probe of `/healthz` among them) is
//! served at once. An upgraded connection is no longer counted here: `live` has bounds of its own.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::client_address::network;
use crate::protocol::{ApiError, ErrorCode};

/// Connections that are open now; written by the listener only.
pub static OPEN_CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// The part of all connections that is kept for newcomers: one in so many.
const RESERVE_PART: usize = 16;
/// Of a reserve at least.
const RESERVE_MIN: usize = 4;
/// Of a reserve at most.
const RESERVE_MAX: usize = 64;
/// The part of all connections that one address may hold, where nobody says otherwise: one in so many.
const ADDRESS_PART: usize = 4;

/// Bounds on open connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In all; one more closes the one that has waited for a request for the longest.
    pub all_max: usize,
    /// From one address (an IPv6 network of 64 bits counts as one); one more is closed at once. None: a quarter of all,
    /// and no bound on loopback: a proxy that was not named makes everybody come from there.
    pub per_address_max: Option<usize>,
    /// Proxies that were named: everybody comes from there, so they have no bound.
    pub trusted_proxies: Vec<IpAddr>,
}

/// All that are open.
pub struct OpenConnections {
    limits: ConnectionLimits,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    all: usize,
    /// At a request of somebody who is signed in.
    admitted: usize,
    addresses: HashMap<IpAddr, usize>,
    /// Those that wait for a request, or are at one of a stranger, the longest first.
    waiting: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// One that is open, until dropped.
pub struct OpenConnection {
    connections: Arc<OpenConnections>,
    address: IpAddr,
    cut: CancellationToken,
    lingers: AtomicBool,
    standing: Mutex<Standing>,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It waits for a request, or is at one of a stranger.
    Waiting(u64),
    /// It is at a request of somebody who is signed in.
    Admitted,
}

impl OpenConnections {
    /// None open.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admitted_max(&self) -> usize {
        let reserve = (self.limits.all_max / RESERVE_PART).clamp(RESERVE_MIN, RESERVE_MAX);
        self.limits.all_max.saturating_sub(reserve).max(1)
    }

    fn per_address_max(&self, address: IpAddr) -> usize {
        let unbound = address.is_loopback() || self.limits.trusted_proxies.contains(&address);
        let default = if unbound { usize::MAX } else { (self.limits.all_max / ADDRESS_PART).max(1) };
        self.limits.per_address_max.unwrap_or(default)
    }

    /// Counts a connection from `peer`; none where its address has as many as it may have.
    pub fn open(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<OpenConnection>> {
        let peer = peer.to_canonical();
        let per_address_max = self.per_address_max(peer);
        let address = network(peer);
        let mut held = self.held();
        if held.addresses.get(&address).is_some_and(|count| *count >= per_address_max) {
            return None;
        }
        if held.all >= self.limits.all_max {
            // From here on it is not counted: it ends as soon as its task is looked at.
            let (_since, longest) = held.waiting.pop_first()?;
            longest.cancel();
            held.all -= 1;
        }
        held.all += 1;
        *held.addresses.entry(address).or_default() += 1;
        let cut = CancellationToken::new();
        let standing = Mutex::new(Standing::Waiting(held.wait(cut.clone())));
        drop(held);
        let lingers = AtomicBool::new(false);
        Some(Arc::new(OpenConnection { connections: Arc::clone(self), address, cut, lingers, standing }))
    }
}

fn crowded() -> ApiError {
    ApiError::new(ErrorCode::Busy, "Too many requests are under way; try again.")
}

impl Held {
    fn wait(&mut self, cut: CancellationToken) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, cut);
        self.next
    }
}

impl OpenConnection {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled where it must end at once.
    #[must_use]
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Somebody who is signed in asks on it: from here to the end of the answer it is not closed for a newcomer.
    ///
    /// # Errors
    /// `busy` where only the reserve is left.
    pub fn admit(&self) -> Result<(), ApiError> {
        let mut standing = self.standing();
        let Standing::Waiting(since) = *standing else { return Ok(()) };
        let mut held = self.connections.held();
        if held.admitted >= self.connections.admitted_max() {
            return Err(crowded());
        }
        if held.waiting.remove(&since).is_none() {
            // Its place has been given to a newcomer.
            return Err(crowded());
        }
        held.admitted += 1;
        *standing = Standing::Admitted;
        Ok(())
    }

    /// The answer has left: it waits for the next request.
    pub fn answered(&self) {
        let mut standing = self.standing();
        let mut held = self.connections.held();
        match *standing {
            Standing::Waiting(since) if held.waiting.remove(&since).is_none() => return,
            Standing::Waiting(_) => {}
            Standing::Admitted => held.admitted -= 1,
        }
        *standing = Standing::Waiting(held.wait(self.cut.clone()));
    }

    /// At its end, what the client still sends is to be read.
    pub fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    /// True where [`OpenConnection::linger`] was called.
    #[must_use]
    pub fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let standing = *self.standing();
        let mut held = self.connections.held();
        match standing {
            Standing::Waiting(since) => {
                if held.waiting.remove(&since).is_some() {
                    held.all -= 1;
                }
            }
            Standing::Admitted => {
                held.admitted -= 1;
                held.all -= 1;
            }
        }
        if let Some(count) = held.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all_max: usize, per_address_max: Option<usize>) -> Arc<OpenConnections> {
        let trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
        Arc::new(OpenConnections::new(ConnectionLimits { all_max, per_address_max, trusted_proxies }))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_newcomer_takes_the_place_of_whoever_has_waited_longest() {
        let connections = connections(16, None);
        let here = address("127.0.0.1");
        let held: Vec<_> = (0..16).map(|_| connections.open(here).unwrap()).collect();
        held[0].admit().unwrap();
        held[1].admit().unwrap();
        held[1].answered();
        let _newcomer = connections.open(here).unwrap();
        let cut: Vec<usize> = (0..16).filter(|at| held[*at].cut().is_cancelled()).collect();
        assert_eq!(cut, [2], "the first is at a request, the second has just been answered");
    }

    #[test]
    fn a_reserve_is_kept_for_newcomers() {
        let connections = connections(16, None);
        let here = address("127.0.0.1");
        let held: Vec<_> = (0..16).map(|_| connections.open(here).unwrap()).collect();
        let admitted = held.iter().filter(|open| open.admit().is_ok()).count();
        assert_eq!(admitted, 12);
        for _newcomer in 0..100 {
            assert!(connections.open(here).is_some());
        }
        assert!(held.iter().take(12).all(|open| !open.cut().is_cancelled()), "no request under way is cut");
    }

    #[test]
    fn one_address_holds_its_part() {
        let connections = connections(400, None);
        let beyond: Vec<_> = (0..101).map(|_| connections.open(address("192.0.2.1"))).collect();
        assert_eq!(beyond.iter().flatten().count(), 100);
        let same_network: Vec<_> = (0..101)
            .map(|host| connections.open(IpAddr::V6(format!("2001:db8::{host:x}").parse().unwrap())))
            .collect();
        assert_eq!(same_network.iter().flatten().count(), 100);
        let proxy: Vec<_> = (0..150).map(|_| connections.open(address("10.0.0.1"))).collect();
        assert!(proxy.iter().all(Option::is_some), "a named proxy stands for many");
        drop((beyond, same_network, proxy));
        let held = connections.held();
        assert_eq!((held.all, held.admitted, held.addresses.len(), held.waiting.len()), (0, 0, 0, 0));
    }

    #[test]
    fn loopback_has_a_bound_where_one_is_set() {
        let connections = connections(400, Some(2));
        let held: Vec<_> = (0..3).map(|_| connections.open(address("127.0.0.1"))).collect();
        assert_eq!(held.iter().flatten().count(), 2);
    }
}
