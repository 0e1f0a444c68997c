//! Who may come in: people with passwords, logins by cookie, tokens by header, the one-time link.
//!
//! A caller is made here or nowhere; a login, token or person taken away is gone for the next request.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::password::Passwords;
use super::{Action, Caller, Target, Via, may, secret};
use crate::protocol::{ApiError, ErrorCode, PersonRole, Timestamp};
use crate::store::Store;
use crate::store::access::{NewLogin, PersonRecord, TokenRecord};

/// A login that nobody has used for so long has ended: 7 days.
const IDLE_MS: i64 = 7 * DAY_MS;
/// A login ends after so long, whatever happens: 30 days.
const ABSOLUTE_MS: i64 = 30 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Uses of a login or token are written down at most so often, in milliseconds.
const SEEN_EVERY_MS: u64 = 60_000;
/// Characters of the name of a person or token.
const NAME_CHARS_MAX: usize = 64;
/// The name of whoever came in by the one-time link; nobody else can have it.
const LINK_NAME: &str = "local";

/// A sign-in that went well.
#[derive(Clone, Debug)]
pub struct IssuedLogin {
    /// Who.
    pub caller: Caller,
    /// The id of the login, for a cookie. Shown once.
    pub secret: String,
    /// For how long the login can last at most, in seconds.
    pub max_age_seconds: i64,
}

/// Who may come in. Cheap to clone.
#[derive(Clone)]
pub struct People {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    passwords: Passwords,
    /// Hash of the one-time code until it is used. Held for an instant, never across an await.
    first_link: Mutex<Option<String>>,
    /// Rung when a right has been taken away here.
    taken_away: Notify,
}

/// What a stored login amounts to at a time.
fn is_live(seen_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> bool {
    now < expires_at && now < seen_at.plus_ms(IDLE_MS)
}

/// Who comes in by a token.
fn token_caller(token: TokenRecord, hash: String) -> Caller {
    let name = token.person.unwrap_or_else(|| format!("token:{}", token.name));
    Caller { name, role: token.role, via: Via::Token(hash) }
}

fn no_such_link() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "This sign-in link was used or is not of this start.")
}

/// A name of a person or token: letters, digits and `._@-`, beginning with a letter or digit.
fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !plain || !begins_well || name.len() > NAME_CHARS_MAX {
        return Err(ApiError::invalid(
            "A name has 1 to 64 letters (a-z), digits and . _ @ - and begins with a letter or digit.",
        ));
    }
    if name == LINK_NAME {
        return Err(ApiError::invalid("The name \"local\" is kept for the one-time sign-in link."));
    }
    Ok(())
}

impl People {
    /// The desk over `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                passwords: Passwords::default(),
                first_link: Mutex::new(None),
                taken_away: Notify::new(),
            }),
        }
    }

    /// True once somebody can sign in with a password.
    ///
    /// # Errors
    /// Outages only.
    pub async fn can_sign_in(&self) -> Result<bool, ApiError> {
        Ok(self.inner.store.has_people().await?)
    }

    /// Makes the one-time code of this process, where nobody can sign in yet.
    ///
    /// # Errors
    /// Outages only.
    pub async fn open_first_link(&self) -> Result<Option<String>, ApiError> {
        if self.can_sign_in().await? {
            return Ok(None);
        }
        let code = secret::fresh();
        *self.inner.first_link.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret::hash(&code));
        Ok(Some(code))
    }

    /// Whether the one-time code can sign in. Looking uses nothing up.
    ///
    /// # Errors
    /// `not_found` where the code is not, or no longer, the one.
    pub async fn check_first_link(&self, code: &str) -> Result<(), ApiError> {
        let is_the_one = {
            let open = self.inner.first_link.lock().unwrap_or_else(PoisonError::into_inner);
            open.as_deref() == Some(secret::hash(code).as_str())
        };
        // The code first: whoever guesses costs no look into the database.
        if !is_the_one || self.can_sign_in().await? {
            return Err(no_such_link());
        }
        Ok(())
    }

    /// Signs in by the one-time code, which is used up by it. The caller is an admin named `local`.
    ///
    /// # Errors
    /// `not_found` where the code is not, or no longer, the one.
    pub async fn sign_in_by_link(&self, code: &str) -> Result<IssuedLogin, ApiError> {
        let used = self.can_sign_in().await?;
        {
            let mut open = self.inner.first_link.lock().unwrap_or_else(PoisonError::into_inner);
            if used || open.as_deref() != Some(secret::hash(code).as_str()) {
                return Err(no_such_link());
            }
            *open = None;
        }
        self.admit(LINK_NAME, PersonRole::Admin, Some(PersonRole::Admin)).await
    }

    /// Signs in by name and password.
    ///
    /// # Errors
    /// `not_signed_in` for an unknown name and a wrong password alike, `busy` where too many try.
    pub async fn sign_in(&self, name: &str, password: String) -> Result<IssuedLogin, ApiError> {
        let person = match check_name(name) {
            Ok(()) => self.inner.store.person(name).await?.filter(|person| !person.disabled),
            Err(_no_name) => None,
        };
        let stored = person.as_ref().map(|person| person.password_hash.clone());
        let right = self.inner.passwords.verify(password, stored).await?;
        match person {
            Some(person) if right => self.admit(&person.name, person.role, None).await,
            Some(_) | None => {
                Err(ApiError::new(ErrorCode::NotSignedIn, "The name or the password is not right."))
            }
        }
    }

    async fn admit(
        &self,
        name: &str,
        role: PersonRole,
        stored_role: Option<PersonRole>,
    ) -> Result<IssuedLogin, ApiError> {
        let secret = secret::fresh();
        let hash = secret::hash(&secret);
        let expires_at = self.inner.store.steady().plus_ms(ABSOLUTE_MS);
        let login = NewLogin { hash: hash.clone(), person: name.to_owned(), role: stored_role, expires_at };
        self.inner.store.login_add(login).await?;
        tracing::info!(person = name, "signed in");
        let caller = Caller { name: name.to_owned(), role, via: Via::Login(hash) };
        Ok(IssuedLogin { caller, secret, max_age_seconds: ABSOLUTE_MS / 1_000 })
    }

    /// Ends what the caller came in by, if it is a login. A token stays: it is revoked by name.
    ///
    /// # Errors
    /// Outages only.
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), ApiError> {
        match &caller.via {
            Via::Login(hash) => {
                self.inner.store.login_remove(hash).await?;
                self.inner.taken_away.notify_one();
                Ok(())
            }
            Via::Token(_) | Via::Local | Via::Schedule => Ok(()),
        }
    }

    /// The caller of a login's id; none if it has ended or never was.
    ///
    /// # Errors
    /// Outages only.
    pub async fn by_login(&self, id: &str) -> Result<Option<Caller>, ApiError> {
        if !secret::is_well_formed(id) {
            return Ok(None);
        }
        self.by_login_hash(secret::hash(id)).await
    }

    async fn by_login_hash(&self, hash: String) -> Result<Option<Caller>, ApiError> {
        let now = self.inner.store.steady();
        let login = self.inner.store.login(&hash).await?;
        let Some(login) = login.filter(|login| is_live(login.seen_at, login.expires_at, now)) else {
            return Ok(None);
        };
        if now.ms_since(login.seen_at) >= SEEN_EVERY_MS {
            self.inner.store.login_seen(&hash).await?;
        }
        Ok(Some(Caller { name: login.person, role: login.role, via: Via::Login(hash) }))
    }

    /// The caller of a bearer token; none if there is no such token.
    ///
    /// # Errors
    /// Outages only.
    pub async fn by_token(&self, token: &str) -> Result<Option<Caller>, ApiError> {
        match token.strip_prefix(secret::TOKEN_PREFIX) {
            Some(code) if secret::is_well_formed(code) => self.by_token_hash(secret::hash(token)).await,
            Some(_) | None => Ok(None),
        }
    }

    async fn by_token_hash(&self, hash: String) -> Result<Option<Caller>, ApiError> {
        let Some(token) = self.inner.store.token(&hash).await? else { return Ok(None) };
        let now = self.inner.store.now();
        if token.used_at.is_none_or(|used_at| now.ms_since(used_at) >= SEEN_EVERY_MS) {
            self.inner.store.token_used(&hash).await?;
        }
        Ok(Some(token_caller(token, hash)))
    }

    /// Which of `callers` may no longer come in: what they came in by was taken away, disabled or has run out, or their
    /// role has changed. All are looked up together, in a query or two for every few hundred. An outage takes nothing
    /// away.
    pub async fn gone<'a>(&self, callers: &'a [Caller]) -> Vec<&'a Caller> {
        match self.known(callers).await {
            Ok(known) => callers.iter().filter(|caller| !known.contains(*caller)).collect(),
            Err(outage) => {
                tracing::debug!(%outage, "nobody can be looked up: nobody is sent away");
                Vec::new()
            }
        }
    }

    /// Resolves once a right has been taken away by this process: for the one who watches. What another process takes
    /// away is found by looking. Cancel-safe.
    pub async fn taken_away(&self) {
        self.inner.taken_away.notified().await;
    }

    /// Those of `callers` who may come in, as they are now.
    async fn known(&self, callers: &[Caller]) -> Result<HashSet<Caller>, ApiError> {
        let (mut logins, mut tokens, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for caller in callers {
            match &caller.via {
                Via::Local | Via::Schedule => drop(known.insert(caller.clone())),
                Via::Login(hash) => logins.push(hash.clone()),
                Via::Token(hash) => tokens.push(hash.clone()),
            }
        }
        let store = &self.inner.store;
        // A login runs out by the steady clock; when a token was used is for people.
        let now = store.moment();
        let (mut seen, mut used) = (Vec::new(), Vec::new());
        for (hash, login) in store.logins(&logins).await? {
            if !is_live(login.seen_at, login.expires_at, now.steady) {
                continue;
            }
            if now.steady.ms_since(login.seen_at) >= SEEN_EVERY_MS {
                seen.push(hash.clone());
            }
            known.insert(Caller { name: login.person, role: login.role, via: Via::Login(hash) });
        }
        for (hash, token) in store.tokens_of(&tokens).await? {
            if token.used_at.is_none_or(|used_at| now.wall.ms_since(used_at) >= SEEN_EVERY_MS) {
                used.push(hash.clone());
            }
            known.insert(token_caller(token, hash));
        }
        store.logins_seen(&seen).await?;
        store.tokens_used(&used).await?;
        Ok(known)
    }

    /// Adds a person.
    ///
    /// # Errors
    /// `not_allowed`, or `invalid` for a name or password that is not taken, or a name that is.
    pub async fn add_person(
        &self,
        caller: &Caller,
        name: &str,
        role: PersonRole,
        password: String,
    ) -> Result<(), ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        check_name(name)?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let created_at = self.inner.store.now();
        let person = PersonRecord { name: name.to_owned(), role, password_hash, disabled: false, created_at };
        Ok(self.inner.store.person_add(person).await?)
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<PersonRecord>, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        Ok(self.inner.store.people().await?)
    }

    /// Disables a person: their logins and tokens end.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`.
    pub async fn disable(&self, caller: &Caller, name: &str) -> Result<(), ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        self.inner.store.person_disable(name).await?;
        self.inner.taken_away.notify_one();
        Ok(())
    }

    /// Makes a token and answers it, once.
    ///
    /// # Errors
    /// `not_allowed`, or `invalid` for a name that is not taken, or one that is.
    pub async fn create_token(
        &self,
        caller: &Caller,
        name: &str,
        role: PersonRole,
    ) -> Result<String, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        check_name(name)?;
        let token = format!("{}{}", secret::TOKEN_PREFIX, secret::fresh());
        let person = (caller.via != Via::Local).then(|| caller.name.clone());
        let created_at = self.inner.store.now();
        let row = TokenRecord { name: name.to_owned(), role, person, created_at, used_at: None };
        self.inner.store.token_add(&secret::hash(&token), row).await?;
        Ok(token)
    }

    /// Every token, by name.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenRecord>, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        Ok(self.inner.store.tokens().await?)
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`.
    pub async fn revoke_token(&self, caller: &Caller, name: &str) -> Result<(), ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        self.inner.store.token_revoke(name).await?;
        self.inner.taken_away.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["ada", "Ada.L", "a@b.example", "9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "token:x", "a b", "ä", "local", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn logins_end_idle_and_absolutely() {
        let start = Timestamp(1_000_000);
        let end = start.plus_ms(ABSOLUTE_MS);
        assert!(is_live(start, end, start.plus_ms(IDLE_MS - 1)));
        assert!(!is_live(start, end, start.plus_ms(IDLE_MS)));
        assert!(!is_live(end.plus_ms(-1), end, end));
    }
}
