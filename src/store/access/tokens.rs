//! Bearer tokens, by the hash of their secret.

use super::hashes::{HASHES_IN_MAX, hashes_in, to_role};
use crate::protocol::{PersonRole, Timestamp};
use crate::store::Store;
use crate::store::backend::{all, one, run};
use crate::store::entity::tokens;
use crate::store::error::StoreError;

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

    /// The token with this name, if no person made it.
    ///
    /// # Errors
    /// Outages.
    pub async fn token_named(&self, name: &str) -> Result<Option<TokenRecord>, StoreError> {
        let text = "SELECT * FROM tokens WHERE name = $1 AND person IS NULL";
        let row = one::<tokens::Model, _>(self.inner.backend.reader(), text, vec![name.into()]).await?;
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
