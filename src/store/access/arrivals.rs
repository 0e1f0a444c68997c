//! Whoever comes in from outside: named by a proxy in front, or by a provider of identities.
//!
//! Somebody who is seen first is made; somebody of the same name who comes in otherwise is never taken over.

use sea_orm::DatabaseTransaction;

use super::people::{LastAdmin, PersonChange, PersonRecord, end_logins, to_person};
use crate::protocol::{PersonRole, SignInBy, SignInRefusal, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, one, row, run};
use crate::store::entity::people;
use crate::store::error::StoreError;

/// Whoever has not asked for anything for so long signs in anew, for the log: an hour.
const ABSENT_MS: u64 = 60 * 60 * 1_000;

/// Who comes in, as it is said elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Their name; empty where they have none that somebody can have here, which is enough for whoever is known.
    pub name: String,
    /// Who says so.
    pub by: Named,
    /// What they may do.
    pub role: GivenRole,
    /// From where they come.
    pub address: String,
}

/// Who says who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A proxy in front, by a header.
    Header,
    /// A provider, which names them by a subject that is theirs for ever.
    OpenId {
        /// The address of the provider.
        issuer: String,
        /// Who they are there.
        subject: String,
    },
}

impl Named {
    /// How such a person comes in.
    #[must_use]
    pub fn sign_in(&self) -> SignInBy {
        match self {
            Self::Header => SignInBy::Header,
            Self::OpenId { .. } => SignInBy::OpenId,
        }
    }
}

/// What somebody may do, as it is said elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenRole {
    /// This, from now on: their groups say so.
    Now(PersonRole),
    /// This, where they come for the first time; later it is for admins of here to say.
    AtFirst(PersonRole),
    /// Nothing: none of their groups comes in.
    None,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// They are in.
    In(PersonRecord),
    /// They are not.
    Refused(SignInRefusal),
}

impl Store {
    /// Lets somebody in who is named elsewhere: makes them where they are new, and has their role follow. The last admin stays
    /// one.
    ///
    /// # Errors
    /// Outages.
    pub async fn arrive(&self, arrival: &Arrival) -> Result<Arrived, StoreError> {
        let tx = self.inner.backend.write().await?;
        // Of two who come at once under one name, one finds the other.
        self.lock_people(&tx).await?;
        let known = self.known_as(&tx, arrival).await?;
        let refused = |why| Ok(Arrived::Refused(why));
        let person = match known {
            Known::Nobody if arrival.name.is_empty() => return refused(SignInRefusal::NoName),
            Known::Nobody => match arrival.role {
                GivenRole::None => return refused(SignInRefusal::NoRole),
                GivenRole::Now(role) | GivenRole::AtFirst(role) => self.make(&tx, arrival, role).await?,
            },
            Known::SomebodyElse => return refused(SignInRefusal::NameTaken),
            Known::Person(person) if person.disabled => return refused(SignInRefusal::Disabled),
            Known::Person(person) => match arrival.role {
                GivenRole::None => return refused(SignInRefusal::NoRole),
                GivenRole::AtFirst(_) => person,
                GivenRole::Now(role) if role == person.role => person,
                GivenRole::Now(role) => self.follow_groups(&tx, person, role).await?,
            },
        };
        let now = self.steady();
        let is_back = now.ms_since(person.seen_at) >= ABSENT_MS || person.seen_from != arrival.address;
        if arrival.by == Named::Header && is_back {
            self.sign(&tx, "sign_in", &person.name, "").await?;
        }
        let values = vec![person.name.clone().into(), now.0.into(), arrival.address.clone().into()];
        run(&tx, "UPDATE people SET seen_at = $2, seen_from = $3 WHERE name = $1", values).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(Arrived::In(person))
    }

    /// Who it is here; a person whom an admin lets in by a provider is bound to the first subject of their name.
    async fn known_as(&self, tx: &DatabaseTransaction, arrival: &Arrival) -> Result<Known, StoreError> {
        if let Named::OpenId { issuer, subject } = &arrival.by {
            let text = "SELECT p.* FROM people p JOIN person_identities i ON i.person = p.name \
                        WHERE i.issuer = $1 AND i.subject = $2";
            let values = vec![issuer.clone().into(), subject.clone().into()];
            if let Some(person) = one::<people::Model, _>(tx, text, values).await? {
                return Ok(Known::Person(to_person(person)?));
            }
        }
        let values = vec![arrival.name.clone().into()];
        let text = "SELECT * FROM people WHERE name = $1";
        let Some(person) = one::<people::Model, _>(tx, text, values).await? else { return Ok(Known::Nobody) };
        let person = to_person(person)?;
        if person.sign_in != arrival.by.sign_in() {
            return Ok(Known::SomebodyElse);
        }
        if matches!(arrival.by, Named::OpenId { .. }) {
            let text = "SELECT person FROM person_identities WHERE person = $1";
            if row(tx, text, vec![person.name.clone().into()]).await?.is_some() {
                return Ok(Known::SomebodyElse);
            }
            self.bind(tx, arrival).await?;
        }
        Ok(Known::Person(person))
    }

    async fn make(
        &self,
        tx: &DatabaseTransaction,
        arrival: &Arrival,
        role: PersonRole,
    ) -> Result<PersonRecord, StoreError> {
        let person = PersonRecord {
            sign_in: arrival.by.sign_in(),
            ..PersonRecord::new(arrival.name.clone(), role, String::new(), self.now())
        };
        self.insert_person(tx, &person).await?;
        self.bind(tx, arrival).await?;
        Ok(person)
    }

    /// Binds what somebody is elsewhere to the person of that name here.
    async fn bind(&self, tx: &DatabaseTransaction, arrival: &Arrival) -> Result<(), StoreError> {
        let Named::OpenId { issuer, subject } = &arrival.by else { return Ok(()) };
        let values = vec![issuer.clone().into(), subject.clone().into(), arrival.name.clone().into()];
        let text = "INSERT INTO person_identities (issuer, subject, person) VALUES ($1, $2, $3)";
        run(tx, text, values).await?;
        self.sign(tx, "person.bind", &arrival.name, issuer).await
    }

    /// Has a role follow, unless nobody could manage people then.
    async fn follow_groups(
        &self,
        tx: &DatabaseTransaction,
        person: PersonRecord,
        role: PersonRole,
    ) -> Result<PersonRecord, StoreError> {
        match self.change_within(tx, &person.name, PersonChange::Role(role), LastAdmin::Stays).await {
            Ok(()) => Ok(PersonRecord { role, ..person }),
            Err(StoreError::LastAdmin) => Ok(person),
            Err(error) => Err(error),
        }
    }

    /// Notes that a sign-in was used, by its hash, until `expires_at`; false where it was before.
    ///
    /// # Errors
    /// Outages.
    pub async fn sign_in_used(&self, hash: &str, expires_at: Timestamp) -> Result<bool, StoreError> {
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM used_sign_ins WHERE expires_at <= $1", vec![self.steady().0.into()]).await?;
        let text = "INSERT INTO used_sign_ins (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let fresh = run(&tx, text, vec![hash.into(), expires_at.0.into()]).await? > 0;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(fresh)
    }

    /// The people of these names. One query for every 512 of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn people_named(&self, names: &[String]) -> Result<Vec<PersonRecord>, StoreError> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(super::hashes::HASHES_IN_MAX) {
            let (named, values) = super::hashes::hashes_in(names);
            let text = format!("SELECT * FROM people WHERE name {named}");
            let rows = all::<people::Model, _>(self.inner.backend.reader(), &text, values).await?;
            for person in rows {
                found.push(to_person(person)?);
            }
        }
        Ok(found)
    }

    /// Changes how a person comes in: what they were elsewhere is forgotten, and their sessions end.
    pub(super) async fn come_in_otherwise(
        &self,
        tx: &DatabaseTransaction,
        name: &str,
    ) -> Result<(), StoreError> {
        run(tx, "DELETE FROM person_identities WHERE person = $1", vec![name.into()]).await?;
        end_logins(tx, name).await
    }
}

/// Who somebody from outside is here.
enum Known {
    Nobody,
    Person(PersonRecord),
    SomebodyElse,
}
