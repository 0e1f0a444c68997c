//! Logins: signed-in cookies, by the hash of their id.

use super::hashes::{HASHES_IN_MAX, hashes_in, to_role};
use crate::protocol::{PersonRole, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, one, rows, run};
use crate::store::entity::logins;
use crate::store::error::StoreError;

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

impl Store {
    /// Adds a login, and takes away those that have ended.
    ///
    /// # Errors
    /// Outages.
    pub async fn login_add(&self, new: NewLogin) -> Result<(), StoreError> {
        let now = self.steady();
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM logins WHERE expires_at <= $1", vec![now.0.into()]).await?;
        let values = vec![
            new.hash.into(),
            new.person.into(),
            new.role.map(PersonRole::as_str).into(),
            now.0.into(),
            new.expires_at.0.into(),
        ];
        let text = "INSERT INTO logins (hash, person, role, created_at, seen_at, expires_at) \
                    VALUES ($1, $2, $3, $4, $4, $5)";
        run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// The login with this hash, of a person who is not disabled.
    ///
    /// # Errors
    /// Outages.
    pub async fn login(&self, hash: &str) -> Result<Option<LoginRecord>, StoreError> {
        let text = "SELECT * FROM logins WHERE hash = $1";
        let row = one::<logins::Model, _>(self.inner.backend.reader(), text, vec![hash.into()]).await?;
        let Some(login) = row else { return Ok(None) };
        let role = match &login.role {
            Some(role) => to_role(role)?,
            None => match self.person(&login.person).await? {
                Some(person) if !person.disabled => person.role,
                Some(_) | None => return Ok(None),
            },
        };
        Ok(Some(LoginRecord {
            person: login.person,
            role,
            seen_at: Timestamp(login.seen_at),
            expires_at: Timestamp(login.expires_at),
        }))
    }

    /// The logins with these hashes, each with its hash, of people who are not disabled. One query for every
    /// 512 of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn logins(&self, hashes: &[String]) -> Result<Vec<(String, LoginRecord)>, StoreError> {
        let mut found = Vec::with_capacity(hashes.len());
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, values) = hashes_in(hashes);
            let text = format!(
                "SELECT l.hash, l.person, COALESCE(l.role, p.role) AS role, l.seen_at, l.expires_at \
                 FROM logins l LEFT JOIN people p ON p.name = l.person \
                 WHERE l.hash {named} AND (l.role IS NOT NULL OR NOT p.disabled)"
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

    /// Takes a login away; one that is not there is no error.
    ///
    /// # Errors
    /// Outages.
    pub async fn login_remove(&self, hash: &str) -> Result<(), StoreError> {
        self.change("DELETE FROM logins WHERE hash = $1", vec![hash.into()]).await?;
        Ok(())
    }
}
