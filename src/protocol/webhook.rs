//! Webhooks: messages about the ends of batches, and how far each has come.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::BatchId;
use super::time::Timestamp;

/// Name of one delivery, and the `webhook-id` of its message: `msg_`, the batch, `_`, and which of its ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct DeliveryId(pub String);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// It was answered with a status of 200 to 299.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Failed];

    /// Its name on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One message about the end of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct WebhookDelivery {
    /// Its name, which every attempt sends as `webhook-id`.
    pub id: DeliveryId,
    /// The batch that ended; it may be gone.
    pub batch: BatchId,
    /// Who the batch belongs to.
    pub owner: String,
    /// Where it goes.
    pub url: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// Times it was sent.
    pub attempts: u64,
    /// When the batch ended.
    pub created_at: Timestamp,
    /// When it is to be sent next; none where it is not.
    pub next_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
    /// Status of the last answer.
    pub status: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// One attempt to deliver a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct DeliveryAttempt {
    /// Counts from 1.
    pub number: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub ms: u64,
    /// Status of the answer; none where there was no answer.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
    /// The first 1,024 bytes of the answer, as text.
    pub answer: Option<String>,
}

/// One delivery with what it sends and its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct DeliveryDetail {
    /// The delivery.
    pub delivery: WebhookDelivery,
    /// The body that is sent.
    pub payload: String,
    /// The last 100 attempts, oldest first.
    pub history: Vec<DeliveryAttempt>,
}

/// One page of deliveries, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<WebhookDelivery>,
    /// Cursor of the next page, none at the end.
    pub next: Option<String>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryQuery {
    /// Of this batch only.
    pub batch: Option<BatchId>,
    /// In this state only.
    pub state: Option<DeliveryState>,
    /// From the page before.
    pub cursor: Option<String>,
    /// How many, 100; clamped to 500.
    pub limit: Option<u32>,
}

/// What the messages about one's own batches are signed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct WebhookSecret {
    /// `whsec_` and 32 bytes in base64.
    pub secret: String,
    /// Until when messages are signed with the secret before this one too; none where there is none.
    pub previous_until: Option<Timestamp>,
}
