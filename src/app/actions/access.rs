//! What the pages of people and of one's own account read, and what people do there.
//!
//! A secret that is shown once comes as the answer of its act; where a plain form was posted, which is answered by a redirect,
//! it goes along in a cookie that the next page takes out.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use serde::{Deserialize, Serialize};

use crate::protocol::{
    ApiError, AuditPage, AuditQuery, PersonPage, PersonRole, SessionPage, SignInBy, TokenPage,
};

/// What the page of one's own account shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Sessions.
    pub sessions: SessionPage,
    /// Tokens.
    pub tokens: TokenPage,
    /// A secret that is shown this once.
    pub once: Option<String>,
    /// True for whoever signs in with a password.
    pub has_password: bool,
}

/// One's own sessions and tokens, and a secret that is shown this once.
#[server(input = Json)]
pub async fn load_account() -> Result<Account, ApiError> {
    let (service, caller) = super::door::open().await?;
    let people = service.people();
    let once = super::door::take_once().await;
    Ok(Account {
        sessions: people.sessions(&caller, None).await?,
        tokens: people.tokens(&caller, None).await?,
        once,
        has_password: people.has_password(&caller).await?,
    })
}

/// What the page of people shows.
type People = (PersonPage, Option<String>, Vec<SignInBy>);

/// Everybody, a link that is shown this once, and how people may come in from outside.
#[server(input = Json)]
pub async fn load_people() -> Result<People, ApiError> {
    let (service, caller) = super::door::open().await?;
    let people = super::door::page(service.people().list(&caller).await)?;
    Ok((people, super::door::take_once().await, super::door::outside_sign_in().ways))
}

/// The log of who did what.
#[server(input = Json)]
pub async fn load_audit(query: AuditQuery) -> Result<AuditPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    super::door::page(service.people().audit_log(&caller, &query).await)
}

/// Whose password a link sets; nobody is asked who they are, and nothing is used up.
#[server(input = Json)]
pub async fn load_password_link(code: String) -> Result<String, ApiError> {
    super::door::page(super::door::service()?.people().check_password_link(&code).await)
}

/// What the provider is called that people may sign in by; none where there is none. Nobody is asked who they are.
#[server(input = Json)]
pub async fn load_sign_in_provider() -> Result<Option<String>, ApiError> {
    Ok(super::door::outside_sign_in().provider)
}

/// Changes one's own password.
#[server]
pub async fn change_password(current: String, new: String) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.people().change_password(&caller, crate::protocol::PasswordChange { current, new }).await
}

/// Ends one session; without an id all but this one.
#[server]
pub async fn end_session(id: Option<String>) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    let id = id.filter(|id| !id.is_empty());
    service.people().end_sessions(&caller, None, id.as_deref()).await
}

/// Makes a token; its secret.
#[server]
pub async fn create_token(
    name: String,
    role: Option<PersonRole>,
    task: Option<String>,
    days: Option<String>,
) -> Result<String, ApiError> {
    let (service, caller) = super::door::open().await?;
    let days: Option<u64> = super::door::number("Days", days)?;
    let new = crate::protocol::NewToken {
        name,
        role,
        scopes: Vec::new(),
        task: task.filter(|task| !task.is_empty()),
        batch: None,
        expires_in_seconds: days.map(|days| days.saturating_mul(86_400)),
    };
    let issued = service.people().create_token(&caller, new).await?;
    super::door::show_once(&issued.secret).await;
    Ok(issued.secret)
}

/// Takes a token away.
#[server]
pub async fn revoke_token(name: String) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.people().revoke_token(&caller, &name).await
}

/// Adds a person; the path of the link by which they set their password.
#[server]
pub async fn add_person(name: String, role: PersonRole) -> Result<String, ApiError> {
    let (service, caller) = super::door::open().await?;
    let new = crate::protocol::NewPerson { name, role, password: None };
    let link = service.people().add(&caller, new).await?.link.unwrap_or_default();
    super::door::show_once(&link).await;
    Ok(link)
}

/// Changes what a person may do, or whether and how they may come in.
#[server]
pub async fn change_person(
    name: String,
    role: Option<PersonRole>,
    disabled: Option<bool>,
    sign_in: Option<SignInBy>,
) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    let patch = crate::protocol::PersonPatch { role, disabled, sign_in };
    service.people().change(&caller, &name, &patch).await.map(drop)
}

/// The path of a link by which a person sets a new password.
#[server]
pub async fn reset_password(name: String) -> Result<String, ApiError> {
    let (service, caller) = super::door::open().await?;
    let link = service.people().reset(&caller, &name).await?.link.unwrap_or_default();
    super::door::show_once(&link).await;
    Ok(link)
}
