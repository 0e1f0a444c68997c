//! Who may hold a live connection, and how many at once.
//!
//! [`admit`] lets a caller in, for all three transports: the [`Admission`] it returns is held by the connection to its end.
//! A place is taken before anything is built for a connection and given back when it ends, however it ends; counts never
//! pass their bounds, whatever comes at the same moment.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::Request;
use http::header;
use tokio_util::sync::CancellationToken;

use crate::protocol::{ApiError, ErrorCode};
use crate::server::gate::RevocationGuard;
use crate::server::state::{AppState, OriginVerdict};
use crate::server::transport::network;
use crate::service::Caller;

/// Connections of one address beyond this machine, where nobody says otherwise. Loopback has no bound of its own by
/// default: a proxy that was not named makes everybody come from there.
const PER_ADDRESS_DEFAULT: usize = 1_000;

/// Bounds on open connections; one more is told so by 4429.
#[derive(Clone, Copy, Debug)]
pub struct PermitLimits {
    /// In all.
    pub all_max: usize,
    /// Of one person or token.
    pub per_person_max: usize,
    /// Of one address (an IPv6 network of 64 bits counts as one); none: 1,000, and no bound on loopback.
    pub per_address_max: Option<usize>,
}

/// The open connections.
pub struct Permits {
    limits: PermitLimits,
    /// Bounded by the limits: what has no connection is forgotten.
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    people: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For this person.
    Person,
    /// For this address.
    Address,
    /// For anybody.
    All,
}

impl Full {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Person => "you have too many live connections open",
            Self::Address => "too many live connections come from your address",
            Self::All => "there are too many live connections",
        }
    }

    /// As the refusal of a fallback.
    pub fn refusal(self) -> ApiError {
        ApiError::new(ErrorCode::TooMany, format!("No live connection: {}.", self.words()))
    }
}

/// A place, until dropped.
pub struct Permit {
    places: Arc<Permits>,
    person: String,
    address: IpAddr,
}

impl Permits {
    /// None taken.
    #[must_use]
    pub fn new(limits: PermitLimits) -> Self {
        Self { limits, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.taken().all
    }

    /// Takes a place for `person` from `address`.
    ///
    /// # Errors
    /// Which bound it would pass.
    pub fn take(self: &Arc<Self>, person: &str, address: IpAddr) -> Result<Permit, Full> {
        let address = network(address.to_canonical());
        let per_address =
            self.limits.per_address_max.or((!address.is_loopback()).then_some(PER_ADDRESS_DEFAULT));
        let mut taken = self.taken();
        if taken.all >= self.limits.all_max {
            return Err(Full::All);
        }
        if held(&taken.people, person) >= self.limits.per_person_max {
            return Err(Full::Person);
        }
        if per_address.is_some_and(|most| held(&taken.addresses, &address) >= most) {
            return Err(Full::Address);
        }
        taken.all += 1;
        *taken.people.entry(person.to_owned()).or_default() += 1;
        *taken.addresses.entry(address).or_default() += 1;
        Ok(Permit { places: Arc::clone(self), person: person.to_owned(), address })
    }
}

fn held<K, Q>(counts: &HashMap<K, usize>, key: &Q) -> usize
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    counts.get(key).copied().unwrap_or(0)
}

fn give_back<K, Q>(counts: &mut HashMap<K, usize>, key: &Q)
where
    K: Eq + Hash + std::borrow::Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        give_back(&mut taken.people, self.person.as_str());
        give_back(&mut taken.addresses, &self.address);
    }
}

/// A live connection that was let in, until dropped: it holds a place, and is told when its caller may no longer come in.
pub struct Admission {
    place: Permit,
    stay: RevocationGuard,
}

/// Lets `caller` in from `address`.
///
/// # Errors
/// Which bound the connection would pass.
pub fn admit(state: &AppState, caller: &Caller, address: IpAddr) -> Result<Admission, Full> {
    let place = state.places.take(&caller.name, address)?;
    Ok(Admission { place, stay: state.revocations.arrive(caller) })
}

impl Admission {
    /// Cancelled once the caller may no longer come in.
    pub fn revoked(&self) -> &CancellationToken {
        self.stay.gone()
    }

    /// Live connections open now, of everybody.
    pub fn all_open(&self) -> usize {
        self.place.places.open()
    }
}

/// Refuses another site's page, and whoever says nothing of where it comes from but by a bearer token.
///
/// # Errors
/// `not_allowed`.
pub fn refuse_foreign(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let by_token = request.headers().contains_key(header::AUTHORIZATION);
    match state.site.judge(request.headers()) {
        OriginVerdict::Same => Ok(()),
        OriginVerdict::Missing if by_token => Ok(()),
        OriginVerdict::Missing | OriginVerdict::Foreign => {
            let detail = "The live connection is for this installation's own pages and for bearer tokens.";
            Err(ApiError::new(ErrorCode::NotAllowed, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all_max: usize, per_person_max: usize, per_address_max: Option<usize>) -> Arc<Permits> {
        Arc::new(Permits::new(PermitLimits { all_max, per_person_max, per_address_max }))
    }

    #[test]
    fn places_are_bounded_by_person_address_and_in_all() {
        let places = places(4, 2, Some(3));
        let [one, two]: [IpAddr; 2] = ["2001:db8::1", "192.0.2.1"].map(|text| text.parse().unwrap());
        let same_network: IpAddr = "2001:db8::2".parse().unwrap();
        let held = [places.take("ada", one), places.take("ada", one)].map(Result::unwrap);
        assert_eq!(places.take("ada", two).err(), Some(Full::Person));
        let third = places.take("bob", same_network).unwrap();
        assert_eq!(places.take("cleo", one).err(), Some(Full::Address));
        let fourth = places.take("cleo", two).unwrap();
        assert_eq!(places.take("dora", two).err(), Some(Full::All));
        drop(held);
        assert_eq!(places.open(), 2);
        assert!(places.take("ada", one).is_ok(), "what was given back can be taken at once");
        drop((third, fourth));
        let taken = places.taken();
        assert_eq!(
            (taken.all, taken.people.len(), taken.addresses.len()),
            (0, 0, 0),
            "nothing is remembered"
        );
    }

    #[test]
    fn this_machine_is_no_address_unless_said() {
        let places = places(10_000, 10_000, None);
        let [here, beyond]: [IpAddr; 2] = ["127.0.0.1", "192.0.2.1"].map(|text| text.parse().unwrap());
        let _held: Vec<_> = (0..1_000).map(|_| places.take("ada", beyond).unwrap()).collect();
        assert_eq!(places.take("ada", beyond).err(), Some(Full::Address));
        let _more: Vec<_> = (0..1_100).map(|_| places.take("ada", here).unwrap()).collect();
    }
}
