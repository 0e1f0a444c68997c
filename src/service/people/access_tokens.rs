//! Tokens: made by people for their programs, and on the command line.
//!
//! A token never may more than whoever made it, now or later.

use super::{People, check_name};
use crate::protocol::{
    AccessToken, ApiError, AuditPage, AuditQuery, ErrorCode, IssuedToken, NewToken, PersonRole, TokenPage,
};
use crate::service::{Action, Caller, Target, Via, may, secret};
use crate::store::access::TokenAddition;

/// For how long a token may last, in seconds: a minute to ten years.
const LIFETIME_SECONDS: std::ops::RangeInclusive<u64> = 60..=315_360_000;
/// Bytes of the name of a task.
const TASK_BYTES_MAX: usize = 64;

impl People {
    /// Makes a token of the caller's own and answers its secret, once.
    ///
    /// # Errors
    /// `not_allowed` where it would be more than its maker, or `invalid` for a name or bound that is not taken, or a name that
    /// is.
    pub async fn create_token(&self, caller: &Caller, new: NewToken) -> Result<IssuedToken, ApiError> {
        may(caller, Action::ManageOwnAccess, Target::Installation)?;
        check_name(&new.name)?;
        // Else whoever finds a token makes others of it, which stay when that one is revoked or has ended.
        if matches!(caller.via, Via::Token(_)) && caller.role < PersonRole::Admin {
            let detail = "Tokens are made by whoever is signed in, or by an admin's token.";
            return Err(ApiError::new(ErrorCode::NotAllowed, detail));
        }
        let role = new.role.unwrap_or(caller.role);
        if role > caller.role || !caller.grant.is_whole() {
            return Err(ApiError::new(ErrorCode::NotAllowed, "A token is never more than who makes it."));
        }
        if new.expires_in_seconds.is_some_and(|seconds| !LIFETIME_SECONDS.contains(&seconds)) {
            return Err(ApiError::invalid("expires_in_seconds: 60 to 315360000 is expected."));
        }
        if new.task.as_ref().is_some_and(|task| task.is_empty() || task.len() > TASK_BYTES_MAX) {
            return Err(ApiError::invalid("task: the name of a task is expected."));
        }
        let mut scopes = new.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        let now = self.inner.store.moment();
        let lifetime_ms =
            new.expires_in_seconds.map(|seconds| i64::try_from(seconds * 1_000).unwrap_or(i64::MAX));
        let secret = format!("{}{}", secret::TOKEN_PREFIX, secret::fresh());
        let token = AccessToken {
            name: new.name,
            // What a token of nobody makes is nobody's too.
            person: (caller.via != Via::Local && !caller.name.contains(':')).then(|| caller.name.clone()),
            role,
            scopes,
            task: new.task,
            batch: new.batch,
            created_at: now.wall,
            used_at: None,
            expires_at: lifetime_ms.map(|ms| now.wall.plus_ms(ms)),
        };
        let addition = TokenAddition { token, ends_at: lifetime_ms.map(|ms| now.steady.plus_ms(ms)) };
        caller.signs(self.inner.store.token_add(&secret::hash(&secret), &addition)).await?;
        Ok(IssuedToken { token: addition.token, secret })
    }

    /// The caller's own tokens; for an admin who asks for `person`, theirs, and with an empty name everybody's.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn tokens(&self, caller: &Caller, person: Option<&str>) -> Result<TokenPage, ApiError> {
        let person = self.whose(caller, person)?;
        Ok(TokenPage { tokens: self.inner.store.tokens(person).await? })
    }

    /// Takes a token away: one's own, for an admin anybody's.
    ///
    /// # Errors
    /// `not_allowed`, `not_found`.
    pub async fn revoke_token(&self, caller: &Caller, name: &str) -> Result<(), ApiError> {
        may(caller, Action::ManageOwnAccess, Target::Installation)?;
        let person = (caller.role < PersonRole::Admin).then_some(caller.name.as_str());
        caller.signs(self.inner.store.token_revoke(name, person)).await?;
        self.inner.taken_away.notify_one();
        Ok(())
    }

    /// The log of who did what, newest first.
    ///
    /// # Errors
    /// `not_allowed`, `malformed` for a cursor that no page gave.
    pub async fn audit_log(&self, caller: &Caller, query: &AuditQuery) -> Result<AuditPage, ApiError> {
        may(caller, Action::SeeAuditLog, Target::Installation)?;
        let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let before = cursor.map(str::parse).transpose();
        let before = before.map_err(|_form| ApiError::malformed("cursor: expected what next said."))?;
        Ok(self.inner.store.audit_log(query, before).await?)
    }
}
