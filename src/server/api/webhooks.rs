//! Messages about the ends of batches: how far each has come, sending one again, and what they are signed with.
//!
//! One call of the service each; the answer is its answer.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;

use super::page::page;
use crate::protocol::{
    ApiError, DeliveryDetail, DeliveryId, DeliveryQuery, DeliveryState, WebhookDelivery, WebhookSecret,
};
use crate::server::AppState;
use crate::server::extract::{PathParams, QueryParams, Who};

type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /webhooks/deliveries`
pub async fn deliveries(
    State(state): State<AppState>,
    Who(caller): Who,
    OriginalUri(uri): OriginalUri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let query = DeliveryQuery {
        batch: params.batch("batch")?,
        state: params.word("state", "waiting, delivered, failed", DeliveryState::parse)?,
        cursor: params.owned("cursor"),
        limit: Some(params.limit()?),
    };
    let list = state.service.deliveries(&caller, &query).await?;
    let next = list.next.clone();
    Ok(page(list, &uri, "cursor", next.as_deref()))
}

fn delivery_id(place: &PathParams) -> DeliveryId {
    DeliveryId(place.text("id").to_owned())
}

/// `GET /webhooks/deliveries/{id}`
pub async fn delivery(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Answer<DeliveryDetail> {
    state.service.delivery(&caller, &delivery_id(&place)).await.map(Json)
}

/// `POST /webhooks/deliveries/{id}/redeliver`
pub async fn redeliver(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Answer<WebhookDelivery> {
    state.service.redeliver(&caller, &delivery_id(&place)).await.map(Json)
}

/// `GET /webhooks/secret`
pub async fn secret(State(state): State<AppState>, Who(caller): Who) -> Answer<WebhookSecret> {
    state.service.webhook_secret(&caller).await.map(Json)
}

/// `POST /webhooks/secret/rotate`
pub async fn rotate(State(state): State<AppState>, Who(caller): Who) -> Answer<WebhookSecret> {
    state.service.rotate_webhook_secret(&caller).await.map(Json)
}
