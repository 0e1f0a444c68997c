//! The row of a message about the end of a batch.

use sea_orm::DatabaseTransaction;
use serde::Serialize;

use crate::protocol::{Batch, Timestamp};
use crate::store::backend::run;
use crate::store::clock::Moment;
use crate::store::error::StoreError;
use crate::store::records::BatchRecord;

/// What is sent, as Standard Webhooks has it: <https://github.com/standard-webhooks/standard-webhooks>.
#[derive(Serialize)]
struct Message {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Batch,
}

/// A batch has several ends where it is retried: each has a message of its own, whatever is tried twice.
const INSERT: &str = "INSERT INTO deliveries (message, batch, owner, url, payload, state, attempts, tries, due, claimed, \
     created_at) VALUES ($1, $2, $3, $4, $5, 'waiting', 0, 0, $6, FALSE, $7) ON CONFLICT (message) DO NOTHING";

/// Writes the message of a batch that ends in the transaction `tx`, if somebody wants to be told.
pub async fn announce(tx: &DatabaseTransaction, batch: &BatchRecord, now: Moment) -> Result<(), StoreError> {
    let Some(url) = &batch.options.webhook else { return Ok(()) };
    let message = Message { r#type: "batch.finished", timestamp: now.wall, data: batch.to_wire(None, None) };
    let payload = serde_json::to_string(&message)
        .map_err(|error| StoreError::Invariant(format!("batch {}: {error}", batch.id)))?;
    let values = vec![
        format!("msg_{}_{}", batch.id, batch.finishes).into(),
        batch.id.to_string().into(),
        batch.owner.clone().into(),
        url.clone().into(),
        payload.into(),
        now.steady.0.into(),
        now.wall.0.into(),
    ];
    run(tx, INSERT, values).await?;
    Ok(())
}
