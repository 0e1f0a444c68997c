//! What the messages of each person are signed with.
//!
//! The secrets themselves are stored: whoever signs needs them.

use std::fmt;

use crate::protocol::Timestamp;
use crate::store::Store;
use crate::store::backend::{Durability, one, run};
use crate::store::entity::webhook_secrets;
use crate::store::error::StoreError;

/// What the messages of one person are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecretRecord {
    /// `whsec_…`
    pub secret: String,
    /// The one before, and until when messages are signed with it too, by the steady clock.
    pub previous: Option<(String, Timestamp)>,
}

/// Says nothing of the secrets.
impl fmt::Debug for WebhookSecretRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecretRecord").finish_non_exhaustive()
    }
}

impl Store {
    /// The secret of `owner`: `fresh` where there was none.
    ///
    /// # Errors
    /// Outages.
    pub async fn webhook_secret(&self, owner: &str, fresh: &str) -> Result<WebhookSecretRecord, StoreError> {
        if let Some(found) = self.find_secret(owner).await? {
            return Ok(found);
        }
        let first =
            "INSERT INTO webhook_secrets (owner, secret) VALUES ($1, $2) ON CONFLICT (owner) DO NOTHING";
        self.change(first, vec![owner.into(), fresh.into()]).await?;
        let made = self.find_secret(owner).await?;
        made.ok_or_else(|| StoreError::Invariant(format!("the webhook secret of {owner:?} is gone")))
    }

    /// Signs with `fresh` from now on, and with the secret before it too until `previous_until`.
    ///
    /// # Errors
    /// Outages.
    pub async fn rotate_webhook_secret(
        &self,
        owner: &str,
        fresh: &str,
        previous_until: Timestamp,
    ) -> Result<WebhookSecretRecord, StoreError> {
        let text = "INSERT INTO webhook_secrets (owner, secret) VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE \
             SET previous = webhook_secrets.secret, previous_until = $3, secret = excluded.secret";
        let tx = self.inner.backend.write().await?;
        run(&tx, text, vec![owner.into(), fresh.into(), previous_until.0.into()]).await?;
        self.sign(&tx, "webhook.secret", owner, "").await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        let made = self.find_secret(owner).await?;
        made.ok_or_else(|| StoreError::Invariant(format!("the webhook secret of {owner:?} is gone")))
    }

    async fn find_secret(&self, owner: &str) -> Result<Option<WebhookSecretRecord>, StoreError> {
        let text = "SELECT * FROM webhook_secrets WHERE owner = $1";
        let row: Option<webhook_secrets::Model> =
            one(self.inner.backend.reader(), text, vec![owner.into()]).await?;
        let now = self.steady();
        Ok(row.map(|row| WebhookSecretRecord {
            secret: row.secret,
            previous: row
                .previous
                .zip(row.previous_until.map(Timestamp))
                .filter(|(_secret, until)| now < *until),
        }))
    }
}
