//! Who may come in: people, their sessions, tokens, share links, one's own password; and the log of who did what.
//!
//! One call of the service each; the answer is its answer.

use std::collections::VecDeque;

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::page::page;
use crate::protocol::{
    ApiError, AuditEntry, AuditQuery, IssuedShareLink, IssuedToken, NewPerson, NewShareLink, NewToken,
    PasswordChange, Person, PersonLink, PersonPage, PersonPatch, SessionPage, ShareLinkPage, TokenPage,
};
use crate::server::AppState;
use crate::server::extract::{JsonBody, PathParams, QueryParams, Who};
use crate::service::{Caller, Service};

type Answer<T> = Result<Json<T>, ApiError>;

fn expected<T>(body: Option<T>, what: &str) -> Result<T, ApiError> {
    body.ok_or_else(|| ApiError::malformed(format!("Expected a JSON object with {what}.")))
}

/// Whose: the caller's own where the parameter is missing, everybody's where it is `*`.
fn whose(params: &QueryParams) -> Option<String> {
    params.owned("person").map(|person| if person == "*" { String::new() } else { person })
}

/// `GET /people`
pub async fn people(State(state): State<AppState>, Who(caller): Who) -> Answer<PersonPage> {
    state.service.people().list(&caller).await.map(Json)
}

/// `POST /people`
pub async fn add_person(
    State(state): State<AppState>,
    Who(caller): Who,
    JsonBody(new): JsonBody<NewPerson>,
) -> Result<(StatusCode, Json<PersonLink>), ApiError> {
    let made = state.service.people().add(&caller, expected(new, "name and role")?).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `PATCH /people/{name}`
pub async fn change_person(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    JsonBody(patch): JsonBody<PersonPatch>,
) -> Answer<Person> {
    let patch = expected(patch, "role or disabled")?;
    state.service.people().change(&caller, place.text("name"), &patch).await.map(Json)
}

/// `POST /people/{name}/reset`
pub async fn reset(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<PersonLink> {
    state.service.people().reset(&caller, place.text("name")).await.map(Json)
}

/// `POST /password`
pub async fn password(
    State(state): State<AppState>,
    Who(caller): Who,
    JsonBody(change): JsonBody<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    state.service.people().change_password(&caller, expected(change, "current and new")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /sessions?person=`
pub async fn sessions(
    State(state): State<AppState>,
    Who(caller): Who,
    params: QueryParams,
) -> Answer<SessionPage> {
    state.service.people().sessions(&caller, whose(&params).as_deref()).await.map(Json)
}

/// `DELETE /sessions?person=`: all but the one that asks.
pub async fn end_sessions(
    State(state): State<AppState>,
    Who(caller): Who,
    params: QueryParams,
) -> Result<StatusCode, ApiError> {
    state.service.people().end_sessions(&caller, whose(&params).as_deref(), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /sessions/{id}?person=`
pub async fn end_session(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
) -> Result<StatusCode, ApiError> {
    state.service.people().end_sessions(&caller, whose(&params).as_deref(), Some(place.text("id"))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /tokens?person=`
pub async fn tokens(
    State(state): State<AppState>,
    Who(caller): Who,
    params: QueryParams,
) -> Answer<TokenPage> {
    state.service.people().tokens(&caller, whose(&params).as_deref()).await.map(Json)
}

/// `POST /tokens`
pub async fn create_token(
    State(state): State<AppState>,
    Who(caller): Who,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<(StatusCode, Json<IssuedToken>), ApiError> {
    let made = state.service.people().create_token(&caller, expected(new, "a name")?).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `DELETE /tokens/{name}`
pub async fn revoke_token(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<StatusCode, ApiError> {
    state.service.people().revoke_token(&caller, place.text("name")).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /batches/{id}/shares`
pub async fn shares(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Answer<ShareLinkPage> {
    state.service.share_links(&caller, place.batch()?).await.map(Json)
}

/// `POST /batches/{id}/shares`
pub async fn create_share(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    JsonBody(new): JsonBody<NewShareLink>,
) -> Result<(StatusCode, Json<IssuedShareLink>), ApiError> {
    let made = state.service.share(&caller, place.batch()?, &new.unwrap_or_default()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// `DELETE /batches/{id}/shares/{share}`
pub async fn revoke_share(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<StatusCode, ApiError> {
    state.service.unshare(&caller, place.batch()?, place.text("share")).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn audit_query(params: &QueryParams) -> Result<AuditQuery, ApiError> {
    Ok(AuditQuery {
        who: params.owned("who"),
        object: params.owned("object"),
        act: params.owned("act"),
        cursor: params.owned("cursor"),
        limit: Some(params.limit()?),
    })
}

/// `GET /audit`
pub async fn audit_log(
    State(state): State<AppState>,
    Who(caller): Who,
    OriginalUri(uri): OriginalUri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let list = state.service.people().audit_log(&caller, &audit_query(&params)?).await?;
    let next = list.next.clone();
    Ok(page(list, &uri, "cursor", next.as_deref()))
}

/// What is still to be written of an export.
struct Export {
    service: Service,
    caller: Caller,
    query: AuditQuery,
    /// Read and not written.
    entries: VecDeque<AuditEntry>,
    is_last: bool,
}

impl Export {
    /// The next line, and what is left; none at the end. Whoever loses the right in the middle has the answer cut.
    async fn line(mut self) -> Result<Option<(String, Self)>, ApiError> {
        if self.entries.is_empty() && !self.is_last {
            let page = self.service.people().audit_log(&self.caller, &self.query).await?;
            self.is_last = page.next.is_none();
            (self.query.cursor, self.entries) = (page.next, page.entries.into());
        }
        let Some(entry) = self.entries.pop_front() else { return Ok(None) };
        let line = serde_json::to_string(&entry).expect("an entry is plain data") + "\n";
        Ok(Some((line, self)))
    }
}

/// `GET /audit/export`: all of it as NDJSON, newest first.
pub async fn export_audit_log(
    State(state): State<AppState>,
    Who(caller): Who,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let query = AuditQuery { cursor: None, limit: None, ..audit_query(&params)? };
    let export =
        Export { service: state.service.clone(), caller, query, entries: VecDeque::new(), is_last: false };
    // The first line shows whether it may be read at all, while there can still be a refusal.
    let lines: std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<String, ApiError>> + Send>> =
        match export.line().await? {
            Some((first, rest)) => {
                let rest = stream::try_unfold(rest, Export::line);
                Box::pin(futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest))
            }
            None => Box::pin(stream::empty()),
        };
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.ndjson\""),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}
