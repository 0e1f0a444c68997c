//! The life of people: added, changed, disabled and enabled; their passwords and sessions.
//!
//! A password is set by whoever it is for: with the one until now, or by a link that works once. Every change is in the log.

use super::{DAY_MS, IDLE_MS, IssuedLogin, LoginPlace, People, check_name};
use crate::protocol::{
    ApiError, ErrorCode, NewPerson, PasswordChange, Person, PersonLink, PersonPage, PersonPatch, SessionPage,
};
use crate::service::{Action, Caller, Target, Via, may, secret};
use crate::store::access::{EndedLogins, LastAdmin, PersonChange, PersonRecord};

/// A link by which a password is set works for a day.
const LINK_MS: i64 = DAY_MS;
/// Where such a link leads.
const LINK_PATH: &str = "/password/";

fn shown(record: PersonRecord) -> Person {
    let PersonRecord { name, role, disabled, created_at, sign_in, .. } = record;
    Person { name, role, disabled, created_at, sign_in }
}

fn no_such_link() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "This link was used, is too old, or was replaced by a newer one.")
}

impl People {
    /// Adds a person; without a password the answer has the link by which they set it.
    ///
    /// # Errors
    /// `not_allowed`, or `invalid` for a name or password that is not taken, or a name that is.
    pub async fn add(&self, caller: &Caller, new: NewPerson) -> Result<PersonLink, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        check_name(&new.name)?;
        let password_hash = match new.password {
            Some(password) => self.inner.passwords.hash(&new.name, password).await?,
            None => String::new(),
        };
        let needs_link = password_hash.is_empty();
        let created_at = self.inner.store.now();
        let person = PersonRecord::new(new.name, new.role, password_hash, created_at);
        caller.signs(self.inner.store.person_add(person.clone())).await?;
        self.inner.taken_away.notify_one();
        let link = if needs_link { Some(self.fresh_link(caller, &person.name).await?) } else { None };
        Ok(PersonLink { person: shown(person), link })
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn list(&self, caller: &Caller) -> Result<PersonPage, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        Ok(PersonPage { people: self.inner.store.people().await?.into_iter().map(shown).collect() })
    }

    /// Changes what a person may do, or whether and how they may come in. Where they lose a right, what is under way for them ends
    /// within a second.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`, `invalid` where nobody could manage people any more.
    pub async fn change(&self, caller: &Caller, name: &str, patch: &PersonPatch) -> Result<Person, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        let role = patch.role.map(PersonChange::Role);
        let disabled =
            patch.disabled.map(|off| if off { PersonChange::Disable } else { PersonChange::Enable });
        // At the terminal people can be managed without signing in.
        let last = if caller.via == Via::Local { LastAdmin::MayGo } else { LastAdmin::Stays };
        let sign_in = patch.sign_in.map(PersonChange::SignIn);
        for change in [role, disabled, sign_in].into_iter().flatten() {
            caller.signs(self.inner.store.person_change(name, change, last)).await?;
        }
        self.inner.taken_away.notify_one();
        let person = self.inner.store.person(name).await?;
        person.map(shown).ok_or_else(|| ApiError::not_found("person"))
    }

    /// A link by which a person sets their password, once, within a day; a link from before is void. Until they use it their
    /// password stays as it is.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`.
    pub async fn reset(&self, caller: &Caller, name: &str) -> Result<PersonLink, ApiError> {
        may(caller, Action::ManagePeople, Target::Installation)?;
        let link = self.fresh_link(caller, name).await?;
        let person = self.inner.store.person(name).await?;
        Ok(PersonLink {
            person: person.map(shown).ok_or_else(|| ApiError::not_found("person"))?,
            link: Some(link),
        })
    }

    async fn fresh_link(&self, caller: &Caller, name: &str) -> Result<String, ApiError> {
        let code = secret::fresh();
        let until = self.inner.store.steady().plus_ms(LINK_MS);
        caller.signs(self.inner.store.person_link_add(name, &secret::hash(&code), until)).await?;
        Ok(format!("{LINK_PATH}{code}"))
    }

    /// Whose password the link with `code` sets. Looking uses nothing up.
    ///
    /// # Errors
    /// `not_found` where it is void.
    pub async fn check_password_link(&self, code: &str) -> Result<String, ApiError> {
        let hash = Some(code).filter(|code| secret::is_well_formed(code)).map(secret::hash);
        match hash {
            Some(hash) => self.inner.store.person_link(&hash).await?.ok_or_else(no_such_link),
            None => Err(no_such_link()),
        }
    }

    /// Sets the password by a link, which is used up, and signs its person in. All their other sessions end.
    ///
    /// # Errors
    /// `not_found` where the link is void, `invalid` for a password that is not taken.
    pub async fn set_password_by_link(
        &self,
        code: &str,
        password: String,
        from: LoginPlace,
    ) -> Result<IssuedLogin, ApiError> {
        let name = self.check_password_link(code).await?;
        let hash = self.inner.passwords.hash(&name, password.clone()).await?;
        self.as_person(&name, &from, self.inner.store.person_link_use(&secret::hash(code), &hash)).await?;
        self.inner.taken_away.notify_one();
        self.sign_in(&name, password, from).await
    }

    /// Runs `work` as the act of somebody who is about to sign in.
    async fn as_person<T>(
        &self,
        name: &str,
        from: &LoginPlace,
        work: impl Future<Output = Result<T, crate::store::StoreError>>,
    ) -> Result<T, ApiError> {
        let mut person = Caller::local();
        name.clone_into(&mut person.name);
        person.via = Via::Login(String::new());
        person.address = from.address.parse().ok();
        Ok(person.signs(work).await?)
    }

    /// Changes the caller's own password. All their other sessions end.
    ///
    /// # Errors
    /// `not_allowed` where they have none (a token, the one-time link), or `current` is not right; `too_many` after several
    /// tries in a minute; `invalid` for a new one that is not taken.
    pub async fn change_password(&self, caller: &Caller, change: PasswordChange) -> Result<(), ApiError> {
        may(caller, Action::ManageOwnAccess, Target::Installation)?;
        let refused = |detail: &str| ApiError::new(ErrorCode::NotAllowed, detail);
        let Via::Login(login) = &caller.via else {
            return Err(refused("A password is changed by whoever is signed in with it."));
        };
        self.inner.change_rate.admit(&caller.name)?;
        let person = self.inner.store.person(&caller.name).await?;
        let stored = person.map(|person| person.password_hash).filter(|hash| !hash.is_empty());
        if !self.inner.passwords.verify(change.current, stored).await? {
            caller.signs(self.inner.store.log_act("person.password_refused", &caller.name, "")).await?;
            return Err(refused("The password until now is not right."));
        }
        let hash = self.inner.passwords.hash(&caller.name, change.new).await?;
        caller.signs(self.inner.store.password_set(&caller.name, &hash, Some(login))).await?;
        self.inner.taken_away.notify_one();
        Ok(())
    }

    /// The caller's own sessions; for an admin who asks for `person`, theirs, and with an empty name everybody's.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn sessions(&self, caller: &Caller, person: Option<&str>) -> Result<SessionPage, ApiError> {
        let person = self.whose(caller, person)?;
        let current = match &caller.via {
            Via::Login(hash) => Some(hash.as_str()),
            Via::Token(_) | Via::Header | Via::Share { .. } | Via::Local | Via::Schedule => None,
        };
        let idle_since = self.inner.store.steady().plus_ms(-IDLE_MS);
        Ok(SessionPage { sessions: self.inner.store.sessions(person, current, idle_since).await? })
    }

    /// True where the caller signs in with a password: whoever comes in by a link, a proxy or a provider has none to change.
    ///
    /// # Errors
    /// Outages only.
    pub async fn has_password(&self, caller: &Caller) -> Result<bool, ApiError> {
        let person = self.inner.store.person(&caller.name).await?;
        Ok(person.is_some_and(|person| !person.password_hash.is_empty()))
    }

    /// Ends a session, or all of somebody but the one that asks.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`.
    pub async fn end_sessions(
        &self,
        caller: &Caller,
        person: Option<&str>,
        id: Option<&str>,
    ) -> Result<(), ApiError> {
        let person = self.whose(caller, person)?;
        let stays = match &caller.via {
            Via::Login(hash) => Some(hash.clone()),
            Via::Token(_) | Via::Header | Via::Share { .. } | Via::Local | Via::Schedule => None,
        };
        let which = id.map_or(EndedLogins::AllBut(stays), |id| EndedLogins::One(id.to_owned()));
        let ended = caller.signs(self.inner.store.end_sessions(person, &which)).await?;
        self.inner.taken_away.notify_one();
        if ended == 0 && id.is_some() {
            return Err(ApiError::not_found("session"));
        }
        Ok(())
    }

    /// Whose things are asked for: the caller's own where nobody is named; anybody's, and with an empty name everybody's, for
    /// whoever manages people. None is everybody.
    pub(super) fn whose<'a>(
        &self,
        caller: &'a Caller,
        person: Option<&'a str>,
    ) -> Result<Option<&'a str>, ApiError> {
        match person {
            None => {
                may(caller, Action::ManageOwnAccess, Target::Installation)?;
                Ok(Some(&caller.name))
            }
            Some(person) => {
                may(caller, Action::ManagePeople, Target::Installation)?;
                Ok(Some(person).filter(|person| !person.is_empty()))
            }
        }
    }
}
