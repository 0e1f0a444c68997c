//! People: who may come in, and how.
//!
//! No password is stored, only its slow hash; a disabled person has neither login nor token left. Every change is in the log.

use sea_orm::{DatabaseTransaction, Value};

use super::hashes::to_role;
use crate::protocol::{PersonRole, SignInBy, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, number, one, row, run};
use crate::store::entity::people;
use crate::store::error::StoreError;

/// People that a list shows.
const LISTED_MAX: usize = 10_000;

/// A person.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonRecord {
    /// Name to sign in with, unique.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// Slow hash of the password, as a PHC string; empty until they have set one.
    pub password_hash: String,
    /// May not come in.
    pub disabled: bool,
    /// When they were added.
    pub created_at: Timestamp,
    /// How they come in.
    pub sign_in: SignInBy,
    /// When they last came in from outside, by the steady clock, to about a minute.
    pub seen_at: Timestamp,
    /// From where.
    pub seen_from: String,
}

impl PersonRecord {
    /// Somebody new, who comes in by a password.
    #[must_use]
    pub fn new(name: String, role: PersonRole, password_hash: String, created_at: Timestamp) -> Self {
        let (seen_at, seen_from) = (Timestamp(0), String::new());
        let sign_in = SignInBy::Password;
        Self { name, role, password_hash, disabled: false, created_at, sign_in, seen_at, seen_from }
    }
}

/// Says nothing of the password.
impl std::fmt::Debug for PersonRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, role, disabled, .. } = self;
        write!(f, "PersonRecord({name:?}, {}, disabled: {disabled})", role.as_str())
    }
}

/// What is to change of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonChange {
    /// What they may do.
    Role(PersonRole),
    /// They may not come in: their logins, tokens and links end.
    Disable,
    /// They may come in again.
    Enable,
    /// How they come in. What they were elsewhere until now is forgotten, and their sessions end.
    SignIn(SignInBy),
}

/// Whether the last admin who can sign in may lose that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAdmin {
    /// No: somebody must be able to manage people.
    Stays,
    /// Yes: at the terminal people can be managed without signing in.
    MayGo,
}

/// The row as it is known above.
pub(super) fn to_person(row: people::Model) -> Result<PersonRecord, StoreError> {
    Ok(PersonRecord {
        role: to_role(&row.role)?,
        name: row.name,
        password_hash: row.password_hash,
        disabled: row.disabled,
        created_at: Timestamp(row.created_at),
        sign_in: SignInBy::parse(&row.sign_in)
            .ok_or_else(|| StoreError::Invariant(format!("a way to sign in is {:?}", row.sign_in)))?,
        seen_at: Timestamp(row.seen_at),
        seen_from: row.seen_from,
    })
}

/// Somebody who can sign in: enabled, and with a password, or an admin who comes in from outside.
const CAN_SIGN_IN: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM people WHERE NOT disabled \
     AND (password_hash <> '' OR (sign_in <> 'password' AND role = 'admin')) LIMIT 1) AS found";
/// The same for somebody who may also manage the others.
const OTHER_ADMINS: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM people WHERE NOT disabled \
     AND (password_hash <> '' OR sign_in <> 'password') AND role = 'admin' AND name <> $1 LIMIT 1) AS found";

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the name is; outages.
    pub async fn person_add(&self, new: PersonRecord) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        self.insert_person(&tx, &new).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    pub(super) async fn insert_person(
        &self,
        tx: &DatabaseTransaction,
        new: &PersonRecord,
    ) -> Result<(), StoreError> {
        let values = vec![
            new.name.clone().into(),
            new.role.as_str().into(),
            new.password_hash.clone().into(),
            new.disabled.into(),
            new.created_at.0.into(),
            new.sign_in.as_str().into(),
        ];
        let text = "INSERT INTO people (name, role, password_hash, disabled, created_at, sign_in) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        if run(tx, text, values).await? == 0 {
            return Err(StoreError::Taken(format!("the name {}", new.name)));
        }
        self.sign(tx, "person.add", &new.name, new.role.as_str()).await
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

    /// Everybody, by name; the first 10,000.
    ///
    /// # Errors
    /// Outages.
    pub async fn people(&self) -> Result<Vec<PersonRecord>, StoreError> {
        let text = format!("SELECT * FROM people ORDER BY name LIMIT {LISTED_MAX}");
        let rows = all::<people::Model, _>(self.inner.backend.reader(), &text, vec![]).await?;
        rows.into_iter().map(to_person).collect()
    }

    /// True once somebody can sign in with a password, or an admin has come in from outside.
    ///
    /// # Errors
    /// Outages.
    pub async fn has_people(&self) -> Result<bool, StoreError> {
        Ok(number(self.inner.backend.reader(), CAN_SIGN_IN, vec![]).await?.unwrap_or(0) > 0)
    }

    /// Changes a person.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::LastAdmin`]; outages.
    pub async fn person_change(
        &self,
        name: &str,
        change: PersonChange,
        last_admin: LastAdmin,
    ) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        // Two who take each other's right away at once do so one after the other.
        self.lock_people(&tx).await?;
        self.change_within(&tx, name, change, last_admin).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    /// As [`Store::person_change`], in `tx`, which holds the lock of people.
    pub(super) async fn change_within(
        &self,
        tx: &DatabaseTransaction,
        name: &str,
        change: PersonChange,
        last_admin: LastAdmin,
    ) -> Result<(), StoreError> {
        let (set, act, detail): (_, _, Value) = match change {
            PersonChange::Role(role) => ("role = $2", "person.role", role.as_str().into()),
            PersonChange::Disable => ("disabled = $2", "person.disable", true.into()),
            PersonChange::Enable => ("disabled = $2", "person.enable", false.into()),
            PersonChange::SignIn(by) => ("sign_in = $2", "person.sign_in", by.as_str().into()),
        };
        let before: Option<people::Model> =
            one(tx, "SELECT * FROM people WHERE name = $1", vec![name.into()]).await?;
        let before = to_person(before.ok_or(StoreError::NotFound("person"))?)?;
        if change == PersonChange::SignIn(before.sign_in) {
            return Ok(());
        }
        let has_password = !before.password_hash.is_empty();
        let loses = match change {
            PersonChange::Disable | PersonChange::Role(PersonRole::Viewer | PersonRole::Operator) => true,
            PersonChange::SignIn(by) => by == SignInBy::Password && !has_password,
            PersonChange::Role(PersonRole::Admin) | PersonChange::Enable => false,
        };
        let can_sign_in = has_password || before.sign_in != SignInBy::Password;
        let counts = before.role == PersonRole::Admin && !before.disabled && can_sign_in;
        let stays = last_admin == LastAdmin::Stays;
        if stays && loses && counts && number(tx, OTHER_ADMINS, vec![name.into()]).await?.unwrap_or(0) == 0 {
            return Err(StoreError::LastAdmin);
        }
        run(tx, &format!("UPDATE people SET {set} WHERE name = $1"), vec![name.into(), detail]).await?;
        match change {
            PersonChange::Disable => end_all(tx, name).await?,
            PersonChange::SignIn(_) => self.come_in_otherwise(tx, name).await?,
            PersonChange::Role(_) | PersonChange::Enable => {}
        }
        let said = match change {
            PersonChange::Role(role) => role.as_str(),
            PersonChange::SignIn(by) => by.as_str(),
            PersonChange::Disable | PersonChange::Enable => "",
        };
        self.sign(tx, act, name, said).await
    }

    /// Sets a password. All logins of the person end but `stays`, and so do links that would set another, and what their
    /// browsers are known by.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn password_set(&self, name: &str, hash: &str, stays: Option<&str>) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        self.set_password(&tx, name, hash, stays, "person.password").await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    async fn set_password(
        &self,
        tx: &DatabaseTransaction,
        name: &str,
        hash: &str,
        stays: Option<&str>,
        act: &str,
    ) -> Result<(), StoreError> {
        let text = "UPDATE people SET password_hash = $2 WHERE name = $1";
        if run(tx, text, vec![name.into(), hash.into()]).await? == 0 {
            return Err(StoreError::NotFound("person"));
        }
        let values = vec![name.into(), stays.unwrap_or_default().into()];
        run(tx, "DELETE FROM logins WHERE person = $1 AND hash <> $2", values).await?;
        for table in ["person_links", "known_browsers"] {
            run(tx, &format!("DELETE FROM {table} WHERE person = $1"), vec![name.into()]).await?;
        }
        self.sign(tx, act, name, "").await
    }

    /// A link by which a person sets their password, under the hash of its code; one before it is void.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn person_link_add(
        &self,
        name: &str,
        hash: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        if one::<people::Model, _>(&tx, "SELECT * FROM people WHERE name = $1", vec![name.into()])
            .await?
            .is_none()
        {
            return Err(StoreError::NotFound("person"));
        }
        run(&tx, "DELETE FROM person_links WHERE person = $1", vec![name.into()]).await?;
        let values = vec![hash.into(), name.into(), expires_at.0.into()];
        run(&tx, "INSERT INTO person_links (hash, person, expires_at) VALUES ($1, $2, $3)", values).await?;
        self.sign(&tx, "person.reset", name, "").await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await
    }

    /// Whose password a link sets; none where it is void.
    ///
    /// # Errors
    /// Outages.
    pub async fn person_link(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let text = "SELECT l.person FROM person_links l JOIN people p ON p.name = l.person \
                    WHERE l.hash = $1 AND l.expires_at > $2 AND NOT p.disabled";
        let found = row(self.inner.backend.reader(), text, vec![hash.into(), self.steady().0.into()]).await?;
        Ok(found.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Uses a link up: sets the password of its person, whose name is answered.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the link is void; outages.
    pub async fn person_link_use(&self, hash: &str, password_hash: &str) -> Result<String, StoreError> {
        let person = self.person_link(hash).await?.ok_or(StoreError::NotFound("link"))?;
        let tx = self.inner.backend.write().await?;
        // Of two who use it at once, one finds it gone.
        if run(&tx, "DELETE FROM person_links WHERE hash = $1", vec![hash.into()]).await? == 0 {
            return Err(StoreError::NotFound("link"));
        }
        self.set_password(&tx, &person, password_hash, None, "person.password_by_link").await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(person)
    }

    /// On a shared database: changes of people wait for each other.
    pub(super) async fn lock_people(&self, tx: &DatabaseTransaction) -> Result<(), StoreError> {
        if self.is_shared() {
            run(tx, "LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE", vec![]).await?;
        }
        Ok(())
    }
}

/// What a person is signed in by.
pub(super) async fn end_logins(tx: &DatabaseTransaction, name: &str) -> Result<(), StoreError> {
    run(tx, "DELETE FROM logins WHERE person = $1", vec![name.into()]).await.map(drop)
}

/// What a person came in by, and gave to others.
async fn end_all(tx: &DatabaseTransaction, name: &str) -> Result<(), StoreError> {
    for table in ["logins", "tokens", "person_links", "known_browsers"] {
        run(tx, &format!("DELETE FROM {table} WHERE person = $1"), vec![name.into()]).await?;
    }
    Ok(())
}
