//! Whoever comes in from outside: a proxy in front, or a provider of identities, says who they are and what they may do.
//!
//! A header lets in the request that has it, and no other: nothing is kept that could be taken along.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{IssuedLogin, LoginPlace, LoginTerms, People, SEEN_EVERY_MS, check_name};
use crate::protocol::{ApiError, ErrorCode, SignInBy, SignInRefusal, Timestamp};
use crate::service::{Caller, Via, secret};
use crate::store::access::{Arrival, Arrived, GivenRole, Named, PersonRecord, Signature};

/// A refusal of one name is written into the log once in so long.
const LOGGED_EVERY: Duration = Duration::from_secs(60);
/// Names whose refusals are remembered for that; where more are refused, the others are not written down.
const LOGGED_NAMES_MAX: usize = 60;

/// When the refusal of a name was written down.
pub(super) type LoggedNames = HashMap<String, Instant>;

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
                    .map_err(|why| ApiError::new(ErrorCode::NotAllowed, why.words()))?
            }
        };
        Ok(self.permitted(Caller::new(person.name, person.role, Via::Header)))
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
    ) -> Result<Result<PersonRecord, SignInRefusal>, ApiError> {
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
                    let detail = why.words();
                    signature.on(self.inner.store.log_act("sign_in.refused", "", detail)).await?;
                }
                Ok(Err(why))
            }
        }
    }

    /// Signs in whom a provider names, for as long as `lasts_ms`.
    ///
    /// # Errors
    /// Outages only; inside, why they do not come in.
    pub async fn sign_in_by_provider(
        &self,
        mut arrival: Arrival,
        from: LoginPlace,
        lasts_ms: i64,
    ) -> Result<Result<IssuedLogin, SignInRefusal>, ApiError> {
        if check_name(&arrival.name).is_err() {
            arrival.name.clear();
        }
        let person = match self.let_in(arrival, from.clone()).await? {
            Ok(person) => person,
            Err(why) => return Ok(Err(why)),
        };
        let terms = LoginTerms { via: SignInBy::OpenId.as_str(), lasts_ms, ..LoginTerms::default() };
        self.admit(&person.name, person.role, terms, from).await.map(Ok)
    }

    /// Writes down that a sign-in by a provider has failed before anybody was named; of a flood the first of each minute.
    ///
    /// # Errors
    /// Outages only.
    pub async fn log_failed_sign_in(&self, why: SignInRefusal, from: LoginPlace) -> Result<(), ApiError> {
        let place = LoginPlace { device: why.words().to_owned(), ..from };
        self.log_refusal("", place).await
    }

    /// Uses up a sign-in that was begun, once in `within_ms`; false where it was used before.
    ///
    /// # Errors
    /// Outages only.
    pub async fn use_attempt(&self, state: &str, within_ms: u64) -> Result<bool, ApiError> {
        let until = self.clock().plus_ms(i64::try_from(within_ms).unwrap_or(i64::MAX));
        Ok(self.inner.store.sign_in_used(&secret::hash(state), until).await?)
    }

    /// Now, by the clock that nobody sets: by it a sign-in that was begun runs out.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        self.inner.store.steady()
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
