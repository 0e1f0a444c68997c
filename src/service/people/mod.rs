//! Who comes in: people with passwords or from outside, logins by cookie, tokens by header, the one-time link.
//!
//! ```text
//! accounts       people, their passwords and sessions    password  the slow hash
//! access_tokens  tokens, and the log of acts             outside   who is named by a proxy or a provider
//! share_links    links that show one batch
//! change_rate    the brake on guessing one's own password
//! ```
//!
//! A caller is made here or nowhere; a login, token or person taken away is gone for the next request.

mod access_tokens;
mod accounts;
mod change_rate;
mod outside;
mod password;
mod share_links;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use self::change_rate::ChangeRate;
use self::outside::LoggedNames;
use self::password::Passwords;
use super::caller::Grant;
use super::task_permissions::TaskPermissions;
use super::{Caller, Via, secret};
use crate::protocol::{ApiError, ErrorCode, PersonRole, SignInBy, Timestamp};
use crate::store::Store;
use crate::store::access::{NewLogin, PersonRecord, Signature, TokenRecord};

/// A login that nobody has used for so long has ended: 7 days.
pub(in crate::service) const IDLE_MS: i64 = 7 * DAY_MS;
/// A login ends after so long, whatever happens: 30 days.
const ABSOLUTE_MS: i64 = 30 * DAY_MS;
pub(in crate::service) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Uses of a login or token are written down at most so often, in milliseconds.
const SEEN_EVERY_MS: u64 = 60_000;
/// Characters of the name of a person or token.
const NAME_CHARS_MAX: usize = 64;
/// Refused sign-ins that are written into the log in a minute; the others are not, so that nobody makes it grow.
const REFUSALS_LOGGED_MAX: u32 = 60;
/// That minute.
const REFUSALS_LOGGED_FOR: std::time::Duration = std::time::Duration::from_secs(60);
/// Characters of what a browser says it is; the rest is cut off.
const DEVICE_CHARS_MAX: usize = 200;
/// A browser is known for so long after the last sign-in: a year.
const KNOWN_MS: i64 = 365 * DAY_MS;
/// The name of whoever came in by the one-time link; nobody else can have it.
const LINK_NAME: &str = "local";

/// Where somebody signs in from.
#[derive(Clone, Debug, Default)]
pub struct LoginPlace {
    /// What the browser says it is.
    pub device: String,
    /// Its address.
    pub address: String,
}

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

/// On which terms a login is made.
struct LoginTerms {
    /// The role, of whoever is nobody in the table (the one-time link).
    stored_role: Option<PersonRole>,
    /// By what it is made, for the log.
    via: &'static str,
    /// How long it lasts, in milliseconds.
    lasts_ms: i64,
}

impl Default for LoginTerms {
    fn default() -> Self {
        Self { stored_role: None, via: "session", lasts_ms: ABSOLUTE_MS }
    }
}

/// Who may come in. Cheap to clone.
#[derive(Clone)]
pub struct People {
    pub(in crate::service) inner: Arc<Inner>,
}

pub(in crate::service) struct Inner {
    pub(in crate::service) store: Store,
    pub(in crate::service) passwords: Passwords,
    /// Who may run and see a task.
    permissions: TaskPermissions,
    change_rate: ChangeRate,
    /// Hash of the one-time code until it is used. Held for an instant, never across an await.
    first_link: Mutex<Option<String>>,
    /// Since when refused sign-ins are counted, and how many there were.
    refusals_logged: Mutex<(Option<std::time::Instant>, u32)>,
    /// Whose refusal from outside was written down lately. Bounded.
    outside_refusals: Mutex<LoggedNames>,
    /// Rung when a right has been taken away here.
    pub(in crate::service) taken_away: Notify,
}

/// What a stored login amounts to at a time.
fn is_live(seen_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> bool {
    now < expires_at && now < seen_at.plus_ms(IDLE_MS)
}

/// Who comes in by a token.
fn token_caller(record: TokenRecord, hash: String) -> Caller {
    let TokenRecord { token, owner, .. } = record;
    let grant = Grant { scopes: token.scopes, task: token.task, batch: token.batch };
    Caller { grant, ..Caller::new(owner, token.role, Via::Token(hash)) }
}

fn can_sign_in(person: &PersonRecord) -> bool {
    !person.disabled && !person.password_hash.is_empty()
}

fn no_such_link() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "This sign-in link was used or is not of this start.")
}

/// A name of a person or token: letters, digits and `._@-`, beginning with a letter or digit.
pub(in crate::service) fn check_name(name: &str) -> Result<(), ApiError> {
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
                permissions: TaskPermissions::default(),
                change_rate: ChangeRate::default(),
                first_link: Mutex::new(None),
                refusals_logged: Mutex::default(),
                outside_refusals: Mutex::default(),
                taken_away: Notify::new(),
            }),
        }
    }

    /// The same with these permissions: for whoever serves, before anything is asked.
    ///
    /// # Panics
    /// If it is shared already.
    #[must_use]
    pub fn with_permissions(mut self, permissions: TaskPermissions) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nobody has it yet");
        inner.permissions = permissions;
        self
    }

    /// The same with the tasks that they may not see or run.
    pub(in crate::service) fn permitted(&self, caller: Caller) -> Caller {
        let refused_tasks = self.inner.permissions.refused(&caller.name, caller.role);
        Caller { refused_tasks, ..caller }
    }

    /// True once somebody can sign in with a password, or an admin has come in from outside.
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
    pub async fn sign_in_by_link(&self, code: &str, from: LoginPlace) -> Result<IssuedLogin, ApiError> {
        let used = self.can_sign_in().await?;
        {
            let mut open = self.inner.first_link.lock().unwrap_or_else(PoisonError::into_inner);
            if used || open.as_deref() != Some(secret::hash(code).as_str()) {
                return Err(no_such_link());
            }
            *open = None;
        }
        let terms = LoginTerms { stored_role: Some(PersonRole::Admin), ..LoginTerms::default() };
        self.admit(LINK_NAME, PersonRole::Admin, terms, from).await
    }

    /// Signs in by name and password.
    ///
    /// # Errors
    /// `not_signed_in` for an unknown name and a wrong password alike, `busy` where too many try.
    pub async fn sign_in(
        &self,
        name: &str,
        password: String,
        from: LoginPlace,
    ) -> Result<IssuedLogin, ApiError> {
        let person = match check_name(name) {
            Ok(()) => self.inner.store.person(name).await?.filter(can_sign_in),
            Err(_no_name) => None,
        };
        let stored = person.as_ref().map(|person| person.password_hash.clone());
        let right = self.inner.passwords.verify(password, stored).await?;
        match person {
            Some(person) if right => self.admit(&person.name, person.role, LoginTerms::default(), from).await,
            Some(_) | None => {
                self.log_refusal(name, from).await?;
                Err(ApiError::new(ErrorCode::NotSignedIn, "The name or the password is not right."))
            }
        }
    }

    /// Writes a refused sign-in into the log; of a flood of them the first of each minute.
    async fn log_refusal(&self, name: &str, from: LoginPlace) -> Result<(), ApiError> {
        let is_due = {
            let mut logged = self.inner.refusals_logged.lock().unwrap_or_else(PoisonError::into_inner);
            let now = std::time::Instant::now();
            if logged.0.is_none_or(|since| now.duration_since(since) >= REFUSALS_LOGGED_FOR) {
                *logged = (Some(now), 0);
            }
            logged.1 += 1;
            logged.1 <= REFUSALS_LOGGED_MAX
        };
        if !is_due {
            return Ok(());
        }
        let signature = Signature { who: name.to_owned(), via: "nobody", address: from.address };
        Ok(signature.on(self.inner.store.log_act("sign_in.refused", "", &from.device)).await?)
    }

    async fn admit(
        &self,
        name: &str,
        role: PersonRole,
        terms: LoginTerms,
        from: LoginPlace,
    ) -> Result<IssuedLogin, ApiError> {
        let LoginTerms { stored_role, via, lasts_ms } = terms;
        let secret = secret::fresh();
        let hash = secret::hash(&secret);
        let expires_at = self.inner.store.steady().plus_ms(lasts_ms);
        let LoginPlace { device, address } = from;
        let signature = Signature { who: name.to_owned(), via, address: address.clone() };
        let login = NewLogin {
            hash: hash.clone(),
            person: name.to_owned(),
            role: stored_role,
            expires_at,
            device: device.chars().take(DEVICE_CHARS_MAX).collect(),
            address,
        };
        signature.on(self.inner.store.login_add(login)).await?;
        tracing::info!(person = name, "signed in");
        let caller = self.permitted(Caller::new(name, role, Via::Login(hash)));
        Ok(IssuedLogin { caller, secret, max_age_seconds: lasts_ms / 1_000 })
    }

    /// Knows the browser that `person` has just signed in with, by a secret of its own, which is answered.
    ///
    /// # Errors
    /// Outages only.
    pub async fn know_browser(&self, person: &str, kept: Option<&str>) -> Result<(String, i64), ApiError> {
        let secret =
            kept.filter(|kept| secret::is_well_formed(kept)).map_or_else(secret::fresh, str::to_owned);
        let until = self.inner.store.steady().plus_ms(KNOWN_MS);
        self.inner.store.browser_known(&secret::hash(&secret), person, until).await?;
        Ok((secret, KNOWN_MS / 1_000))
    }

    /// True where somebody has signed in as `name` with the browser that keeps this secret.
    ///
    /// # Errors
    /// Outages only.
    pub async fn is_browser_known(&self, kept: &str, name: &str) -> Result<bool, ApiError> {
        if !secret::is_well_formed(kept) || check_name(name).is_err() {
            return Ok(false);
        }
        Ok(self.inner.store.is_browser_known(&secret::hash(kept), name).await?)
    }

    /// Ends what the caller came in by, if it is a login. A token stays: it is revoked by name.
    ///
    /// # Errors
    /// Outages only.
    pub async fn sign_out(&self, caller: &Caller) -> Result<(), ApiError> {
        match &caller.via {
            Via::Login(hash) => {
                caller.signs(self.inner.store.sign_out(hash)).await?;
                self.inner.taken_away.notify_one();
                Ok(())
            }
            Via::Token(_) | Via::Header | Via::Share { .. } | Via::Local | Via::Schedule => Ok(()),
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
        Ok(Some(self.permitted(Caller::new(login.person, login.role, Via::Login(hash)))))
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
        if token.token.used_at.is_none_or(|used_at| now.ms_since(used_at) >= SEEN_EVERY_MS) {
            self.inner.store.token_used(&hash).await?;
        }
        Ok(Some(self.permitted(token_caller(token, hash))))
    }

    /// Which of `callers` may no longer come in: what they came in by was taken away, disabled or has run out, or their
    /// role has changed. All are looked up together, in a query or two for every few hundred. An outage takes nothing
    /// away.
    pub async fn gone<'a>(&self, callers: &'a [Caller]) -> Vec<&'a Caller> {
        match self.known(callers).await {
            Ok(known) => {
                let still_in = |caller: &Caller| known.contains(&Caller { address: None, ..caller.clone() });
                callers.iter().filter(|caller| !still_in(caller)).collect()
            }
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
        let (mut logins, mut tokens) = (Vec::new(), Vec::new());
        let (mut links, mut named) = (Vec::new(), Vec::new());
        let mut known = HashSet::new();
        for caller in callers {
            match &caller.via {
                Via::Local | Via::Schedule => drop(known.insert(Caller { address: None, ..caller.clone() })),
                Via::Login(hash) => logins.push(hash.clone()),
                Via::Token(hash) => tokens.push(hash.clone()),
                Via::Share { hash, .. } => links.push(hash.clone()),
                Via::Header => named.push(caller.name.clone()),
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
            known.insert(self.permitted(Caller::new(login.person, login.role, Via::Login(hash))));
        }
        for (hash, token) in store.tokens_of(&tokens).await? {
            if token.token.used_at.is_none_or(|used_at| now.wall.ms_since(used_at) >= SEEN_EVERY_MS) {
                used.push(hash.clone());
            }
            known.insert(self.permitted(token_caller(token, hash)));
        }
        known.extend(self.by_share_hashes(&links).await?);
        for person in store.people_named(&named).await? {
            if !person.disabled && person.sign_in == SignInBy::Header {
                known.insert(self.permitted(Caller::new(person.name, person.role, Via::Header)));
            }
        }
        store.logins_seen(&seen).await?;
        store.tokens_used(&used).await?;
        Ok(known)
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
