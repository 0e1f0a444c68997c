//! Webhooks: messages about the ends of batches, as their owners look at them.
//!
//! As [`super`]. A delivery shows the address it goes to, which may be a secret: whatever the batch, only its owner and admins
//! see it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

use super::schedules::{MASK, without_addresses};
use super::{Action, Caller, Service, Target, may};
use crate::protocol::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::protocol::{
    ApiError, DeliveryDetail, DeliveryId, DeliveryPage, DeliveryQuery, ErrorCode, NewBatch, Options,
    WebhookDelivery, WebhookSecret,
};
use crate::store::{DeliveryFilter, WebhookSecretRecord};

/// Bytes of randomness in a secret: within the 24 to 64 of Standard Webhooks.
const SECRET_BYTES: usize = 32;
/// For so long messages are signed with the old secret too: a day, to change it wherever it is known.
const OVERLAP_MS: i64 = 24 * 60 * 60 * 1_000;
/// Messages that may wait for one owner; batches that would add to them are refused.
pub const WAITING_MAX: u64 = 10_000;
/// Seconds after which a refused batch may find room again.
const WAITING_RETRY_SECONDS: u64 = 60;

/// What precedes a secret.
const SECRET_PREFIX: &str = "whsec_";

fn fresh_secret() -> String {
    let mut bytes = [0_u8; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).expect("the system gives randomness");
    format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(bytes))
}

/// Who may see a delivery, whatever the batch.
fn target(owner: &str) -> Target<'_> {
    Target::Own { what: "delivery", owner }
}

impl Service {
    /// Deliveries for the caller's batches, for an admin of all; newest first.
    ///
    /// # Errors
    /// `not_allowed`, `malformed` for a cursor that no page gave.
    pub async fn deliveries(&self, caller: &Caller, query: &DeliveryQuery) -> Result<DeliveryPage, ApiError> {
        may(caller, Action::UseWebhooks, Target::Installation)?;
        let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let before = cursor.map(str::parse).transpose();
        let filter = DeliveryFilter {
            viewer: caller.viewer(),
            batch: query.batch,
            state: query.state,
            before: before.map_err(|_form| ApiError::malformed("cursor: expected what next said."))?,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT).clamp(1, PAGE_ROWS_MAX),
        };
        let list = self.inner.store.deliveries(&filter).await?;
        Ok(DeliveryPage { deliveries: list.deliveries, next: list.next.map(|key| key.to_string()) })
    }

    /// One delivery, with what it sends and its attempts.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn delivery(&self, caller: &Caller, id: &DeliveryId) -> Result<DeliveryDetail, ApiError> {
        let found = self.inner.store.delivery_detail(id).await?;
        may(caller, Action::UseWebhooks, target(&found.delivery.owner))?;
        Ok(found)
    }

    /// Sends a message again, whatever became of it.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn redeliver(&self, caller: &Caller, id: &DeliveryId) -> Result<WebhookDelivery, ApiError> {
        let found = self.inner.store.delivery(id).await?;
        may(caller, Action::UseWebhooks, target(&found.owner))?;
        tracing::info!(delivery = %id, by = caller.name, "to be delivered again");
        Ok(caller.signs(self.inner.store.redeliver(id)).await?)
    }

    /// What the messages about the caller's batches are signed with.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn webhook_secret(&self, caller: &Caller) -> Result<WebhookSecret, ApiError> {
        may(caller, Action::UseWebhooks, Target::Installation)?;
        let record = self.inner.store.webhook_secret(&caller.name, &fresh_secret()).await?;
        Ok(self.to_secret(record))
    }

    /// Signs with a new secret from now on, and for a day with the old one too.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn rotate_webhook_secret(&self, caller: &Caller) -> Result<WebhookSecret, ApiError> {
        may(caller, Action::UseWebhooks, Target::Installation)?;
        let until = self.inner.store.steady().plus_ms(OVERLAP_MS);
        let record = caller
            .signs(self.inner.store.rotate_webhook_secret(&caller.name, &fresh_secret(), until))
            .await?;
        tracing::info!(by = caller.name, "the webhook secret was changed");
        Ok(self.to_secret(record))
    }

    /// The secrets with which a message about a batch of `owner` is signed, the newest first. Asks for no caller: it is for the
    /// process that sends.
    ///
    /// # Errors
    /// Outages only.
    pub async fn signing_secrets(&self, owner: &str) -> Result<Vec<String>, ApiError> {
        let record = self.inner.store.webhook_secret(owner, &fresh_secret()).await?;
        let previous = record.previous.map(|(secret, _until)| secret);
        Ok(std::iter::once(record.secret).chain(previous).collect())
    }

    /// Whether one more batch of `caller` may have a webhook.
    pub(super) async fn room_for_webhook(&self, caller: &Caller, new: &NewBatch) -> Result<(), ApiError> {
        if new.options.webhook.is_none()
            || self.inner.store.waiting_deliveries(&caller.name, WAITING_MAX).await? < WAITING_MAX
        {
            return Ok(());
        }
        let detail = format!("{WAITING_MAX} messages to webhooks of {} wait already.", caller.name);
        let mut refusal = ApiError::new(ErrorCode::TooMany, detail);
        refusal.retry_after_seconds = Some(WAITING_RETRY_SECONDS);
        Err(refusal)
    }

    fn to_secret(&self, record: WebhookSecretRecord) -> WebhookSecret {
        let (wall, steady) = (self.inner.store.now(), self.inner.store.steady());
        let previous_until = record.previous.map(|(_secret, until)| wall.plus_ms(until.0 - steady.0));
        WebhookSecret { secret: record.secret, previous_until }
    }
}

/// Options as others see them: of the addresses of webhooks only that there are some.
pub(super) fn masked(mut options: Options) -> Options {
    options.webhook = options.webhook.map(|_address| MASK.to_owned());
    options.then = options.then.map(|then| without_addresses(&then, Some(MASK)));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_those_of_standard_webhooks() {
        let secret = fresh_secret();
        let key = BASE64_STANDARD.decode(secret.strip_prefix(SECRET_PREFIX).unwrap()).unwrap();
        assert_eq!(key.len(), SECRET_BYTES);
        assert_ne!(secret, fresh_secret());
    }
}
