//! What can be asked of a batch or node that is there.
//!
//! One call of the service each, answered with the batch as it then is.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::protocol::{ApiError, Batch, BatchAct, BatchPatch, CancelRequest, Node, RetryRequest};
use crate::server::AppState;
use crate::server::extract::{JsonBody, PathParams, Who};
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
