//! What the pages of webhooks read, and what people do there.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::protocol::{ApiError, DeliveryDetail, DeliveryPage, DeliveryQuery, WebhookSecret};

/// Deliveries, newest first.
#[server(input = Json)]
pub async fn load_deliveries(query: DeliveryQuery) -> Result<DeliveryPage, ApiError> {
    let (service, caller) = super::door::open().await?;
    super::door::page(service.deliveries(&caller, &query).await)
}

/// One delivery, by what the address says; its absence is the page's.
#[server(input = Json)]
pub async fn load_delivery(id: String) -> Result<DeliveryDetail, ApiError> {
    let (service, caller) = super::door::open().await?;
    super::door::page(service.delivery(&caller, &crate::protocol::DeliveryId(id)).await)
}

/// What messages about the caller's batches are signed with.
#[server(input = Json)]
pub async fn load_webhook_secret() -> Result<WebhookSecret, ApiError> {
    let (service, caller) = super::door::open().await?;
    service.webhook_secret(&caller).await
}

/// Sends a message again.
#[server]
pub async fn redeliver(delivery: String) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.redeliver(&caller, &crate::protocol::DeliveryId(delivery)).await.map(drop)
}

/// Signs with a new secret from now on.
#[server]
pub async fn rotate_webhook_secret() -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    service.rotate_webhook_secret(&caller).await.map(drop)
}
