//! Logins: signed-in cookies, by the hash of their id.
//!
//! One by the one-time link has a role of its own, and ends once somebody can sign in with a password.

use super::hashes::{HASHES_IN_MAX, hashes_in, to_role};
use crate::protocol::{LoginSession, PersonRole, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, rows, run};
use crate::store::entity::logins;
use crate::store::error::StoreError;

/// Sessions that a list shows.
const LISTED_MAX: usize = 1_000;
/// Characters of a hash that name a session: of no use to whoever would sign in.
const SESSION_ID_CHARS: usize = 16;

/// A login to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLogin {
    /// Hash of its id.
    pub hash: String,
    /// Who.
    pub person: String,
    /// The role, where `person` is nobody in the table (the one-time link).
    pub role: Option<PersonRole>,
    /// When it ends, whatever happens.
    pub expires_at: Timestamp,
    /// What the browser says it is.
    pub device: String,
    /// Where it is made from.
    pub address: String,
}

/// A login, with the role that its person has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// Who.
    pub person: String,
    /// What they may do now.
    pub role: PersonRole,
    /// When it was last used, to about a minute.
    pub seen_at: Timestamp,
    /// When it ends, whatever happens.
    pub expires_at: Timestamp,
}

/// Which logins end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedLogins {
    /// The one that a list named so.
    One(String),
    /// All of them, but the one with this hash.
    AllBut(Option<String>),
}

/// The logins that let somebody in: a person is enabled; without one nobody can sign in yet.
const LIVE: &str = "(CASE WHEN l.role IS NULL THEN p.name IS NOT NULL AND NOT p.disabled ELSE NOT EXISTS \
     (SELECT 1 FROM people q WHERE NOT q.disabled \
     AND (q.password_hash <> '' OR (q.sign_in <> 'password' AND q.role = 'admin'))) END)";

impl Store {
    /// Adds a login, and takes away those that have ended.
    ///
    /// # Errors
    /// Outages.
    pub async fn login_add(&self, new: NewLogin) -> Result<(), StoreError> {
        let now = self.steady();
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM logins WHERE expires_at <= $1", vec![now.0.into()]).await?;
        self.sign(&tx, "sign_in", &new.person, &new.device).await?;
        let values = vec![
            new.hash.into(),
            new.person.into(),
            new.role.map(PersonRole::as_str).into(),
            now.0.into(),
            new.expires_at.0.into(),
            new.device.into(),
            new.address.into(),
        ];
        let text = "INSERT INTO logins (hash, person, role, created_at, seen_at, expires_at, device, address) \
                    VALUES ($1, $2, $3, $4, $4, $5, $6, $7)";
        run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// The login with this hash, where it lets somebody in.
    ///
    /// # Errors
    /// Outages.
    pub async fn login(&self, hash: &str) -> Result<Option<LoginRecord>, StoreError> {
        let found = self.logins(std::slice::from_ref(&hash.to_owned())).await?;
        Ok(found.into_iter().next().map(|(_hash, login)| login))
    }

    /// The logins with these hashes that let somebody in, each with its hash. One query for every 512 of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn logins(&self, hashes: &[String]) -> Result<Vec<(String, LoginRecord)>, StoreError> {
        let mut found = Vec::with_capacity(hashes.len());
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, values) = hashes_in(hashes);
            let text = format!(
                "SELECT l.hash, l.person, COALESCE(l.role, p.role) AS role, l.seen_at, l.expires_at \
                 FROM logins l LEFT JOIN people p ON p.name = l.person WHERE l.hash {named} AND {LIVE}"
            );
            for row in rows(self.inner.backend.reader(), &text, values).await? {
                let role: String = row.try_get("", "role")?;
                let login = LoginRecord {
                    person: row.try_get("", "person")?,
                    role: to_role(&role)?,
                    seen_at: Timestamp(row.try_get("", "seen_at")?),
                    expires_at: Timestamp(row.try_get("", "expires_at")?),
                };
                found.push((row.try_get("", "hash")?, login));
            }
        }
        Ok(found)
    }

    /// Sessions of `person`, of everybody where none is named, the last used first; `current` is the hash of the one that
    /// asks. Those that were last used before `idle_since` have ended.
    ///
    /// # Errors
    /// Outages.
    pub async fn sessions(
        &self,
        person: Option<&str>,
        current: Option<&str>,
        idle_since: Timestamp,
    ) -> Result<Vec<LoginSession>, StoreError> {
        let now = self.moment();
        let text = format!(
            "SELECT l.* FROM logins l LEFT JOIN people p ON p.name = l.person WHERE ($1 = '' OR l.person = $1) \
             AND l.expires_at > $2 AND l.seen_at > $3 AND {LIVE} ORDER BY l.seen_at DESC, l.hash LIMIT {LISTED_MAX}"
        );
        let values = vec![person.unwrap_or_default().into(), now.steady.0.into(), idle_since.0.into()];
        let found: Vec<logins::Model> = all(self.inner.backend.reader(), &text, values).await?;
        let wall = |steady: i64| now.wall.plus_ms(steady - now.steady.0);
        let sessions = found.into_iter().map(|login| LoginSession {
            current: current == Some(login.hash.as_str()),
            id: login.hash.chars().take(SESSION_ID_CHARS).collect(),
            person: login.person,
            device: login.device,
            address: login.address,
            created_at: wall(login.created_at),
            seen_at: wall(login.seen_at),
        });
        Ok(sessions.collect())
    }

    /// Ends sessions of `person`, of anybody where none is named; how many.
    ///
    /// # Errors
    /// Outages.
    pub async fn end_sessions(&self, person: Option<&str>, which: &EndedLogins) -> Result<u64, StoreError> {
        let person = person.unwrap_or_default();
        let (condition, value) = match which {
            EndedLogins::One(id) => ("SUBSTR(hash, 1, 16) = $2", id.clone()),
            EndedLogins::AllBut(stays) => ("hash <> $2", stays.clone().unwrap_or_default()),
        };
        let tx = self.inner.backend.write().await?;
        let text = format!("DELETE FROM logins WHERE ($1 = '' OR person = $1) AND {condition}");
        let ended = run(&tx, &text, vec![person.into(), value.into()]).await?;
        if ended > 0 {
            self.sign(&tx, "session.end", person, &ended.to_string()).await?;
        }
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(ended)
    }

    /// Notes that these logins are in use.
    ///
    /// # Errors
    /// Outages.
    pub async fn logins_seen(&self, hashes: &[String]) -> Result<(), StoreError> {
        let now = self.steady().0;
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, mut values) = hashes_in(hashes);
            values.push(now.into());
            let text = format!("UPDATE logins SET seen_at = ${} WHERE hash {named}", values.len());
            run(self.inner.backend.writer(), &text, values).await?;
        }
        Ok(())
    }

    /// Notes that a login is in use.
    ///
    /// # Errors
    /// Outages.
    pub async fn login_seen(&self, hash: &str) -> Result<(), StoreError> {
        let values = vec![hash.into(), self.steady().0.into()];
        run(self.inner.backend.writer(), "UPDATE logins SET seen_at = $2 WHERE hash = $1", values).await?;
        Ok(())
    }

    /// Takes the caller's own login away; one that is not there is no error.
    ///
    /// # Errors
    /// Outages.
    pub async fn sign_out(&self, hash: &str) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        if run(&tx, "DELETE FROM logins WHERE hash = $1", vec![hash.into()]).await? > 0 {
            self.sign(&tx, "sign_out", "", "").await?;
        }
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }
}
