//! People: who may sign in with a password.
//!
//! No password is stored, only its slow hash; a disabled person has neither login nor token left.

use super::hashes::to_role;
use crate::protocol::{PersonRole, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, number, one, run};
use crate::store::entity::people;
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

fn to_person(row: people::Model) -> Result<PersonRecord, StoreError> {
    Ok(PersonRecord {
        role: to_role(&row.role)?,
        name: row.name,
        password_hash: row.password_hash,
        disabled: row.disabled,
        created_at: Timestamp(row.created_at),
    })
}

impl Store {
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
}
