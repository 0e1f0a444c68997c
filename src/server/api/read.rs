//! What can be looked at: tasks, batches, items, families, logs, nodes.
//!
//! One call of the service each; the answer is its answer.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::ETAG;

use super::page::page;
use super::results::is_known;
use super::validator::{batch_tag, not_modified};

use crate::protocol::{
    ApiError, BatchQuery, BatchState, FamilyId, FamilyPage, ItemCursor, ItemDetail, ItemQuery, ItemSort,
    ItemState, LogPart, NodePage, ParseError,
};
use crate::server::AppState;
use crate::server::extract::{PathParams, QueryParams, Who};

type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /tasks`
pub async fn tasks(State(state): State<AppState>, Who(caller): Who) -> Answer<crate::protocol::TaskPage> {
    state.service.tasks(&caller).map(Json)
}

/// `GET /batches`
pub async fn batches(
    State(state): State<AppState>,
    Who(caller): Who,
    OriginalUri(uri): OriginalUri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let words = "active, finished, failures, scheduled, pending, running, paused, cancelling, succeeded, failed, \
                 cancelled";
    let known = |text: &str| {
        let group = matches!(text, "active" | "finished" | "failures");
        (group || BatchState::parse(text).is_some()).then(|| text.to_owned())
    };
    let query = BatchQuery {
        state: params.word("state", words, known)?,
        task: params.owned("task"),
        owner: params.owned("owner"),
        q: params.owned("q"),
        parent: params.batch("parent")?,
        cursor: params.owned("cursor"),
        limit: Some(params.limit()?),
    };
    let list = state.service.batches(&caller, &query).await?;
    let next = list.next.clone();
    Ok(page(list, &uri, "cursor", next.as_deref()))
}

/// `GET /batches/{id}`
pub async fn batch(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let batch = state.service.batch(&caller, place.batch()?).await?;
    let tag = batch_tag(&batch);
    if is_known(&headers, &tag) {
        return Ok(not_modified(tag));
    }
    Ok(([(ETAG, tag)], Json(batch)).into_response())
}

/// `GET /batches/{id}/items`
pub async fn items(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    OriginalUri(uri): OriginalUri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let words = "pending, running, retrying, succeeded, failed, cancelled";
    let sort = params.word("sort", "took, ended", ItemSort::parse)?;
    let after = match sort {
        Some(_) => params
            .text("after")
            .map(str::parse)
            .transpose()
            .map_err(|error: ParseError| ApiError::malformed(format!("after: {error}.")))?,
        None => params.number("after")?.map(ItemCursor::from),
    };
    let query = ItemQuery {
        state: params.word("state", words, ItemState::parse)?,
        family: params.owned("family").map(FamilyId),
        q: params.owned("q"),
        sort,
        after,
        limit: Some(params.limit()?),
    };
    let list = state.service.items(&caller, place.batch()?, &query).await?;
    let next = list.next.map(|seq| seq.to_string());
    Ok(page(list, &uri, "after", next.as_deref()))
}

/// `GET /batches/{id}/items/{seq}`
pub async fn item(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<ItemDetail> {
    state.service.item(&caller, place.batch()?, place.seq()?).await.map(Json)
}

/// `GET /batches/{id}/items/{seq}/log?from=`: what came at and after that offset.
pub async fn log(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    params: QueryParams,
) -> Answer<LogPart> {
    let (batch, seq) = (place.batch()?, place.seq()?);
    let from = params.number("from")?.unwrap_or(0);
    Ok(Json(state.service.item_live(&caller, batch, seq).await?.log.since(from)))
}

/// `GET /batches/{id}/families`
pub async fn families(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Answer<FamilyPage> {
    state.service.families(&caller, place.batch()?).await.map(Json)
}

/// `GET /nodes`
pub async fn nodes(State(state): State<AppState>, Who(caller): Who) -> Answer<NodePage> {
    state.service.nodes(&caller).await.map(Json)
}
