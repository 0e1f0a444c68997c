//! Whoever comes in from outside: a proxy in front, or a provider of identities, says who they are and what they may do.
//!
//! A header lets in the request that has it, and no other: nothing is kept that could be taken along.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{LoginPlace, People, SEEN_EVERY_MS, check_name};
use crate::protocol::{ApiError, ErrorCode, SignInBy};
use crate::service::{Caller, Via};
use crate::store::access::{Arrival, Arrived, GivenRole, Named, PersonRecord, RefusedArrival, Signature};

/// A refusal of one name is written into the log once in so long.
const LOGGED_EVERY: Duration = Duration::from_secs(60);
/// Names whose refusals are remembered for that; where more are refused, the others are not written down.
const LOGGED_NAMES_MAX: usize = 60;

/// When the refusal of a name was written down.
pub(super) type LoggedNames = HashMap<String, Instant>;

/// Why somebody does not come in from outside, in words.
#[must_use]
pub fn arrival_words(why: RefusedArrival) -> &'static str {
    match why {
        RefusedArrival::Disabled => "You were disabled here. Ask an admin.",
        RefusedArrival::NoRole => "None of your groups may come in here. Ask an admin.",
        RefusedArrival::NameTaken => {
            "Somebody of your name comes in here in another way. An admin can say that it is you."
        }
    }
}

impl People {
    /// The caller of a request that a proxy has named.
    ///
    /// # Errors
    /// `not_allowed`, with why they do not come in; outages.
    pub async fn by_header(&self, name: &str, role: GivenRole, from: LoginPlace) -> Result<Caller, ApiError> {
        check_name(name)?;
        let known = self.inner.store.person(name).await?;
        let person = match known.filter(|person| self.is_as_said(person, role)) {
            Some(person) => person,
            None => {
                let arrival =
                    Arrival { name: name.to_owned(), by: Named::Header, role, address: from.address.clone() };
                self.let_in(arrival, from)
                    .await?
                    .map_err(|why| ApiError::new(ErrorCode::NotAllowed, arrival_words(why)))?
            }
        };
        Ok(Caller::new(person.name, person.role, Via::Header))
    }

    /// True where nothing is to be written down of a person whom a header names: all is as it says, and they were seen lately.
    fn is_as_said(&self, person: &PersonRecord, role: GivenRole) -> bool {
        let fits = match role {
            GivenRole::Now(role) => person.role == role,
            GivenRole::AtFirst(_) => true,
            GivenRole::None => false,
        };
        let seen_lately = self.inner.store.steady().ms_since(person.seen_at) < SEEN_EVERY_MS;
        fits && seen_lately && !person.disabled && person.sign_in == SignInBy::Header
    }

    /// Lets somebody in who is named elsewhere; why not, where they are refused, which the log knows.
    pub(super) async fn let_in(
        &self,
        arrival: Arrival,
        from: LoginPlace,
    ) -> Result<Result<PersonRecord, RefusedArrival>, ApiError> {
        let via = arrival.by.sign_in().as_str();
        let signature = Signature { who: arrival.name.clone(), via, address: from.address.clone() };
        match signature.clone().on(self.inner.store.arrive(&arrival)).await? {
            Arrived::In(person) => {
                let kept_role = matches!(arrival.role, GivenRole::Now(role) if role != person.role);
                if kept_role {
                    tracing::warn!(
                        person = person.name,
                        "the last admin keeps that role, whatever their groups say"
                    );
                }
                // Their role may have changed.
                self.inner.taken_away.notify_one();
                Ok(Ok(person))
            }
            Arrived::Refused(why) => {
                if self.is_refusal_due(&arrival.name) {
                    let detail = arrival_words(why);
                    signature.on(self.inner.store.log_act("sign_in.refused", "", detail)).await?;
                }
                Ok(Err(why))
            }
        }
    }

    /// True where the refusal of `name` is to be written down: who is refused so asks for every part of a page anew.
    fn is_refusal_due(&self, name: &str) -> bool {
        let mut logged =
            self.inner.outside_refusals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        logged.retain(|_name, at| now.duration_since(*at) < LOGGED_EVERY);
        if logged.len() >= LOGGED_NAMES_MAX || logged.contains_key(name) {
            return false;
        }
        logged.insert(name.to_owned(), now);
        true
    }
}
