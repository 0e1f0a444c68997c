//! People, logins and tokens: rows only, hashes only.
//!
//! Owns who is known. Called by service and the command line. Invariant: no secret is stored, only its hash; a
//! disabled person has neither login nor token left. Deliberately decides nothing: times are compared by the caller.

use sea_orm::Value;

use crate::protocol::{PersonRole, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, number, one, rows, run};
use crate::store::entity::{logins, people, tokens};
use crate::store::error::StoreError;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRecord {
    /// Name to sign in with, unique.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// Slow hash of the password, as a PHC string.
    pub password_hash: String,
    /// May not come in.
    pub disabled: bool,
    /// When they were added.
    pub created_at: Timestamp,
}

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

/// A bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Name, unique.
    pub name: String,
    /// What it may do.
    pub role: PersonRole,
    /// The person who made it; none = made on the command line.
    pub person: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    pub used_at: Option<Timestamp>,
}

/// Hashes named in one query; more take another.
const HASHES_IN_MAX: usize = 512;
/// Hashes named in the query for a few: mostly there are.
const HASHES_IN_FEW: usize = 16;

/// `IN ($1,$2,…)` for all of `hashes` (not empty, at most [`HASHES_IN_MAX`]), and the values after it. The last is repeated
/// up to one of two lengths, so that the texts stay prepared.
fn hashes_in(hashes: &[String]) -> (String, Vec<Value>) {
    let count = if hashes.len() <= HASHES_IN_FEW { HASHES_IN_FEW } else { HASHES_IN_MAX };
    let marks: Vec<String> = (1..=count).map(|at| format!("${at}")).collect();
    let last = hashes.last().expect("chunks are never empty");
    let filled = hashes.iter().chain(std::iter::repeat(last)).take(count);
    (format!("IN ({})", marks.join(",")), filled.map(|hash| hash.clone().into()).collect())
}

fn to_role(text: &str) -> Result<PersonRole, StoreError> {
    PersonRole::parse(text).ok_or_else(|| StoreError::Invariant(format!("a role is {text:?}")))
}

fn to_person(row: people::Model) -> Result<PersonRecord, StoreError> {
    Ok(PersonRecord {
        role: to_role(&row.role)?,
        name: row.name,
        password_hash: row.password_hash,
        disabled: row.disabled,
        created_at: Timestamp(row.created_at),
    })
}

fn to_token(row: tokens::Model) -> Result<TokenRecord, StoreError> {
    Ok(TokenRecord {
        role: to_role(&row.role)?,
        name: row.name,
        person: row.person,
        created_at: Timestamp(row.created_at),
        used_at: row.used_at.map(Timestamp),
    })
}

impl Store {
    /// One change that is durable before the answer; how many rows it touched.
    async fn change(&self, text: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        let tx = self.inner.backend.write().await?;
        let touched = run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(touched)
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the name is; outages.
    pub async fn person_add(&self, new: PersonRecord) -> Result<(), StoreError> {
        let values = vec![
            new.name.clone().into(),
            new.role.as_str().into(),
            new.password_hash.into(),
            new.disabled.into(),
            new.created_at.0.into(),
        ];
        let text = "INSERT INTO people (name, role, password_hash, disabled, created_at) \
                    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        match self.change(text, values).await? {
            0 => Err(StoreError::Taken(format!("the name {}", new.name))),
            _ => Ok(()),
        }
    }

    /// The person named `name`, disabled or not.
    ///
    /// # Errors
    /// Outages.
    pub async fn person(&self, name: &str) -> Result<Option<PersonRecord>, StoreError> {
        let text = "SELECT * FROM people WHERE name = $1";
        let row = one::<people::Model, _>(self.inner.backend.reader(), text, vec![name.into()]).await?;
        row.map(to_person).transpose()
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// Outages.
    pub async fn people(&self) -> Result<Vec<PersonRecord>, StoreError> {
        let text = "SELECT * FROM people ORDER BY name";
        let rows = all::<people::Model, _>(self.inner.backend.reader(), text, vec![]).await?;
        rows.into_iter().map(to_person).collect()
    }

    /// True once somebody can sign in with a password.
    ///
    /// # Errors
    /// Outages.
    pub async fn has_people(&self) -> Result<bool, StoreError> {
        let text = "SELECT 1 FROM people WHERE NOT disabled LIMIT 1";
        Ok(number(self.inner.backend.reader(), text, vec![]).await?.is_some())
    }

    /// Disables a person and takes their logins and tokens away, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn person_disable(&self, name: &str) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        if run(&tx, "UPDATE people SET disabled = TRUE WHERE name = $1", vec![name.into()]).await? == 0 {
            return Err(StoreError::NotFound("person"));
        }
        run(&tx, "DELETE FROM logins WHERE person = $1", vec![name.into()]).await?;
        run(&tx, "DELETE FROM tokens WHERE person = $1", vec![name.into()]).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

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

    /// Adds a token under the hash of its secret.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the name is; outages.
    pub async fn token_add(&self, hash: &str, new: TokenRecord) -> Result<(), StoreError> {
        let values = vec![
            hash.into(),
            new.name.clone().into(),
            new.role.as_str().into(),
            new.person.into(),
            new.created_at.0.into(),
        ];
        let text = "INSERT INTO tokens (hash, name, role, person, created_at) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT DO NOTHING";
        match self.change(text, values).await? {
            0 => Err(StoreError::Taken(format!("the name {}", new.name))),
            _ => Ok(()),
        }
    }

    /// The token with this hash.
    ///
    /// # Errors
    /// Outages.
    pub async fn token(&self, hash: &str) -> Result<Option<TokenRecord>, StoreError> {
        let text = "SELECT * FROM tokens WHERE hash = $1";
        let row = one::<tokens::Model, _>(self.inner.backend.reader(), text, vec![hash.into()]).await?;
        row.map(to_token).transpose()
    }

    /// The tokens with these hashes, each with its hash. One query for every 512 of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn tokens_of(&self, hashes: &[String]) -> Result<Vec<(String, TokenRecord)>, StoreError> {
        let mut found = Vec::with_capacity(hashes.len());
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, values) = hashes_in(hashes);
            let text = format!("SELECT * FROM tokens WHERE hash {named}");
            for row in all::<tokens::Model, _>(self.inner.backend.reader(), &text, values).await? {
                found.push((row.hash.clone(), to_token(row)?));
            }
        }
        Ok(found)
    }

    /// Notes that these tokens are in use.
    ///
    /// # Errors
    /// Outages.
    pub async fn tokens_used(&self, hashes: &[String]) -> Result<(), StoreError> {
        let now = self.now().0;
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, mut values) = hashes_in(hashes);
            values.push(now.into());
            let text = format!("UPDATE tokens SET used_at = ${} WHERE hash {named}", values.len());
            run(self.inner.backend.writer(), &text, values).await?;
        }
        Ok(())
    }

    /// Every token, by name.
    ///
    /// # Errors
    /// Outages.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let text = "SELECT * FROM tokens ORDER BY name";
        let rows = all::<tokens::Model, _>(self.inner.backend.reader(), text, vec![]).await?;
        rows.into_iter().map(to_token).collect()
    }

    /// Notes that a token is in use.
    ///
    /// # Errors
    /// Outages.
    pub async fn token_used(&self, hash: &str) -> Result<(), StoreError> {
        let values = vec![hash.into(), self.now().0.into()];
        run(self.inner.backend.writer(), "UPDATE tokens SET used_at = $2 WHERE hash = $1", values).await?;
        Ok(())
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn token_revoke(&self, name: &str) -> Result<(), StoreError> {
        match self.change("DELETE FROM tokens WHERE name = $1", vec![name.into()]).await? {
            0 => Err(StoreError::NotFound("token")),
            _ => Ok(()),
        }
    }
}
