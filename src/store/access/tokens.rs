//! Bearer tokens, by the hash of their secret.
//!
//! A name can be given anew once its token was revoked; the new one owns nothing of the old one's.

use sea_orm::QueryResult;

use super::hashes::{HASHES_IN_MAX, hashes_in, to_role};
use crate::protocol::{AccessToken, BatchId, Scope, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, number, row, rows, run};
use crate::store::error::StoreError;

/// Tokens that a list shows.
const LISTED_MAX: usize = 10_000;
/// Tokens of one person, or made on the command line.
const PER_PERSON_MAX: i64 = 10_000;

/// A bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// As people see it; its role is that of its person where that is less.
    pub token: AccessToken,
    /// Who batches that it submits belong to.
    pub owner: String,
    /// When it ends, by the steady clock.
    pub ends_at: Option<Timestamp>,
}

/// A token to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAddition {
    /// As people see it.
    pub token: AccessToken,
    /// When it ends, by the steady clock.
    pub ends_at: Option<Timestamp>,
}

/// With the role that its person has now; of disabled people there are none.
const SELECT: &str = "SELECT t.*, p.role AS person_role FROM tokens t LEFT JOIN people p ON p.name = t.person \
     WHERE (p.name IS NULL OR NOT p.disabled)";
const INSERT: &str = "INSERT INTO tokens (hash, name, role, person, created_at, owner, scopes, task, batch, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
const NAME: &str = "INSERT INTO token_names (name, used) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE \
     SET used = token_names.used + 1 RETURNING used";

impl Store {
    fn to_token(&self, row: &QueryResult) -> Result<TokenRecord, StoreError> {
        let broken = |what: &str| StoreError::Invariant(format!("a token's {what} is not readable"));
        let now = self.moment();
        let name: String = row.try_get("", "name")?;
        let own = to_role(&row.try_get::<String>("", "role")?)?;
        let person_role: Option<String> = row.try_get("", "person_role")?;
        let most = person_role.map(|role| to_role(&role)).transpose()?.unwrap_or(own);
        let scopes: String = row.try_get("", "scopes")?;
        let scopes: Option<Vec<Scope>> = scopes.split_whitespace().map(Scope::parse).collect();
        let batch: Option<String> = row.try_get("", "batch")?;
        let batch: Option<BatchId> =
            batch.map(|id| id.parse().map_err(|_form| broken("batch"))).transpose()?;
        let ends_at = row.try_get::<Option<i64>>("", "expires_at")?.map(Timestamp);
        let owner: Option<String> = row.try_get("", "owner")?;
        Ok(TokenRecord {
            owner: owner.unwrap_or_else(|| format!("token:{name}")),
            ends_at,
            token: AccessToken {
                name,
                person: row.try_get("", "person")?,
                role: own.min(most),
                scopes: scopes.ok_or_else(|| broken("scopes"))?,
                task: row.try_get("", "task")?,
                batch,
                created_at: Timestamp(row.try_get("", "created_at")?),
                used_at: row.try_get::<Option<i64>>("", "used_at")?.map(Timestamp),
                expires_at: ends_at.map(|at| now.wall.plus_ms(at.0 - now.steady.0)),
            },
        })
    }

    /// Adds a token under the hash of its secret.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the name is; [`StoreError::OverBound`]; outages.
    pub async fn token_add(&self, hash: &str, new: &TokenAddition) -> Result<(), StoreError> {
        let TokenAddition { token, ends_at } = new;
        let tx = self.inner.backend.write().await?;
        let mine = "SELECT COUNT(*) FROM tokens WHERE COALESCE(person, '') = $1";
        let mine = number(&tx, mine, vec![token.person.clone().unwrap_or_default().into()]).await?;
        if mine.unwrap_or(0) >= PER_PERSON_MAX {
            return Err(StoreError::OverBound(format!("{PER_PERSON_MAX} tokens of one person")));
        }
        let used = number(&tx, NAME, vec![token.name.clone().into()]).await?.unwrap_or(1);
        let owner = match (&token.person, used) {
            (Some(person), _) => person.clone(),
            (None, 1) => format!("token:{}", token.name),
            (None, used) => format!("token:{}~{used}", token.name),
        };
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let values = vec![
            hash.into(),
            token.name.clone().into(),
            token.role.as_str().into(),
            token.person.clone().into(),
            token.created_at.0.into(),
            owner.into(),
            scopes.join(" ").into(),
            token.task.clone().into(),
            token.batch.map(|batch| batch.to_string()).into(),
            ends_at.map(|at| at.0).into(),
        ];
        if run(&tx, INSERT, values).await? == 0 {
            return Err(StoreError::Taken(format!("the name {}", token.name)));
        }
        self.sign(&tx, "token.add", &token.name, token.role.as_str()).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    /// The token with this hash.
    ///
    /// # Errors
    /// Outages.
    pub async fn token(&self, hash: &str) -> Result<Option<TokenRecord>, StoreError> {
        let found = self.tokens_of(std::slice::from_ref(&hash.to_owned())).await?;
        Ok(found.into_iter().next().map(|(_hash, token)| token))
    }

    /// The token whose batches belong to `owner`, if no person made it and it has not ended.
    ///
    /// # Errors
    /// Outages.
    pub async fn token_of_owner(&self, owner: &str) -> Result<Option<TokenRecord>, StoreError> {
        let text = format!("{SELECT} AND t.person IS NULL AND t.owner = $1");
        let found = row(self.inner.backend.reader(), &text, vec![owner.into()]).await?;
        let token = found.map(|row| self.to_token(&row)).transpose()?;
        Ok(token.filter(|token| token.ends_at.is_none_or(|end| self.steady() < end)))
    }

    /// The tokens with these hashes that have not ended, each with its hash. One query for every 512 of them.
    ///
    /// # Errors
    /// Outages.
    pub async fn tokens_of(&self, hashes: &[String]) -> Result<Vec<(String, TokenRecord)>, StoreError> {
        let now = self.steady();
        let mut found = Vec::with_capacity(hashes.len());
        for hashes in hashes.chunks(HASHES_IN_MAX) {
            let (named, values) = hashes_in(hashes);
            let text = format!("{SELECT} AND t.hash {named}");
            for row in rows(self.inner.backend.reader(), &text, values).await? {
                let token = self.to_token(&row)?;
                if token.ends_at.is_none_or(|end| now < end) {
                    found.push((row.try_get("", "hash")?, token));
                }
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

    /// Tokens of `person`, every token where none is named, by name; ended ones too, until they are revoked.
    ///
    /// # Errors
    /// Outages.
    pub async fn tokens(&self, person: Option<&str>) -> Result<Vec<AccessToken>, StoreError> {
        let text = format!("{SELECT} AND ($1 = '' OR t.person = $1) ORDER BY t.name LIMIT {LISTED_MAX}");
        let found = rows(self.inner.backend.reader(), &text, vec![person.unwrap_or_default().into()]).await?;
        found.iter().map(|row| Ok(self.to_token(row)?.token)).collect()
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

    /// Takes a token away: one of `person`, where one is named.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn token_revoke(&self, name: &str, person: Option<&str>) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        let text = "DELETE FROM tokens WHERE name = $1 AND ($2 = '' OR person = $2)";
        if run(&tx, text, vec![name.into(), person.unwrap_or_default().into()]).await? == 0 {
            return Err(StoreError::NotFound("token"));
        }
        self.sign(&tx, "token.revoke", name, "").await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }
}
