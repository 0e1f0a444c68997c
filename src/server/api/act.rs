//! What can be asked of a batch or node that is there, and of many batches.
//!
//! One call of the service each, answered with the batch or act as it then is.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

use super::page::page;
use crate::protocol::{
    ApiError, Batch, BatchAct, BatchPatch, BulkAct, BulkQuery, BulkState, CancelRequest, NewBulkAct, Node,
    RetryRequest,
};
use crate::server::AppState;
use crate::server::extract::{JsonBody, PathParams, QueryParams, Who};
use crate::service::Caller;

type Answer<T> = Result<Json<T>, ApiError>;

async fn act(state: &AppState, caller: &Caller, place: &PathParams, act: BatchAct) -> Answer<Batch> {
    state.service.act(caller, place.batch()?, act).await.map(Json)
}

/// `POST /batches/{id}/pause`
pub async fn pause(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Batch> {
    act(&state, &caller, &place, BatchAct::Pause).await
}

/// `POST /batches/{id}/resume`
pub async fn resume(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Batch> {
    act(&state, &caller, &place, BatchAct::Resume).await
}

/// `POST /batches/{id}/cancel`
pub async fn cancel(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    JsonBody(request): JsonBody<CancelRequest>,
) -> Answer<Batch> {
    state.service.cancel(&caller, place.batch()?, &request.unwrap_or_default()).await.map(Json)
}

/// `DELETE /batches/{id}`
pub async fn delete(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<StatusCode, ApiError> {
    act(&state, &caller, &place, BatchAct::Delete).await.map(|_batch| StatusCode::NO_CONTENT)
}

/// `POST /batches/{id}/retry`
pub async fn retry(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    JsonBody(request): JsonBody<RetryRequest>,
) -> Answer<Batch> {
    state.service.retry(&caller, place.batch()?, &request.unwrap_or_default()).await.map(Json)
}

/// `PATCH /batches/{id}`
pub async fn patch(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    JsonBody(patch): JsonBody<BatchPatch>,
) -> Answer<Batch> {
    let patch = patch
        .ok_or_else(|| ApiError::malformed("Expected a JSON object with name, concurrency or priority."))?;
    state.service.patch(&caller, place.batch()?, &patch).await.map(Json)
}

/// `POST /batches/{id}/seal`
pub async fn seal(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Batch> {
    state.service.seal(&caller, place.batch()?).await.map(Json)
}

/// `POST /nodes/{id}/drain`: answered with the node as it then is.
pub async fn drain(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Node> {
    state.service.drain_node(&caller, place.text("id")).await.map(Json)
}

/// `GET /acts`
pub async fn bulk_acts(
    State(state): State<AppState>,
    Who(caller): Who,
    OriginalUri(uri): OriginalUri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let query = BulkQuery {
        state: params.word("state", "running, done, aborted, failed", BulkState::parse)?,
        cursor: params.owned("cursor"),
        limit: Some(params.limit()?),
    };
    let list = state.service.bulk_acts(&caller, &query).await?;
    let next = list.next.clone();
    Ok(page(list, &uri, "cursor", next.as_deref()))
}

/// `POST /acts`: answered as it begins.
pub async fn begin_bulk_act(
    State(state): State<AppState>,
    Who(caller): Who,
    JsonBody(new): JsonBody<NewBulkAct>,
) -> Result<Response, ApiError> {
    let new = new.ok_or_else(|| ApiError::malformed("Expected a JSON object with act and batches."))?;
    let act = state.service.begin_bulk_act(&caller, &new).await?;
    let location = HeaderValue::try_from(format!("/api/v1/acts/{}", act.id)).expect("an id is plain ASCII");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(act)).into_response())
}

/// `GET /acts/{id}`
pub async fn bulk_act(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<BulkAct> {
    state.service.bulk_act(&caller, place.bulk_act()?).await.map(Json)
}

/// `POST /acts/{id}/abort`
pub async fn abort_bulk_act(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Answer<BulkAct> {
    state.service.abort_bulk_act(&caller, place.bulk_act()?).await.map(Json)
}
