//! Makes the batches that follow others.
//!
//! A follow-up is made once, or its batch says why it cannot be. What is asked for is read by [`Validator::follow_up`].

use std::sync::Arc;

use super::on_batch::Acts;
use crate::engine::EngineError;
use crate::engine::new_batch::Validator;
use crate::protocol::Json;
use crate::store::{BatchRecord, StoreError};

/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 500;

/// Makes follow-ups.
pub struct FollowUps {
    pub acts: Arc<Acts>,
    pub validator: Arc<Validator>,
}

impl FollowUps {
    /// Makes what is due; true where something was.
    pub async fn round(&self) -> Result<bool, StoreError> {
        let mut any = false;
        for parent in self.acts.store.follows_due().await? {
            any |= self.follow(&parent).await?;
        }
        Ok(any)
    }

    async fn follow(&self, parent: &BatchRecord) -> Result<bool, StoreError> {
        let Acts { store, publisher, dispatcher, .. } = &*self.acts;
        let nothing = Json::default();
        let body = parent.options.then.as_ref().unwrap_or(&nothing);
        let (new, blocks) = match self.validator.follow_up(parent, body) {
            Ok(made) => made,
            Err(EngineError::Store(error)) => return Err(error),
            Err(
                error @ (EngineError::UnknownTask(_)
                | EngineError::Invalid { .. }
                | EngineError::TooLarge(_)
                | EngineError::NoItems
                | EngineError::Unready(_)),
            ) => {
                return self.follow_fails(parent, &error).await;
            }
        };
        let followed = match store.follow(parent.key, new, &blocks).await {
            Err(error @ StoreError::OverQuota(_)) => return self.follow_fails(parent, &error).await,
            followed => followed?,
        };
        let Some(followed) = followed else { return Ok(false) };
        publisher.publish_batch(followed.parent);
        publisher.publish_batch(followed.batch);
        dispatcher.work_arrived();
        Ok(true)
    }

    /// What was to follow `parent` never does: it says why.
    async fn follow_fails(
        &self,
        parent: &BatchRecord,
        error: &(dyn std::error::Error + Send + Sync),
    ) -> Result<bool, StoreError> {
        let reason = format!("The follow-up batch could not be made: {error}");
        tracing::warn!(batch = parent.key, %reason);
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let Some(parent) = self.acts.store.follow_fails(parent.key, reason).await? else { return Ok(false) };
        self.acts.publisher.publish_batch(parent);
        Ok(true)
    }
}
