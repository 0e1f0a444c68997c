//! A create under an `Idempotency-Key`: the same request twice makes one batch.
//!
//! A key is bound in the transaction that makes its batch whole, and by nothing else; a refused or cut body frees it.

use super::key::{ArrivingKey, IdempotencyKey, in_flight};
use super::submission::{Submission, Submitted};
use crate::engine::ClaimedKey;
use crate::formats::body::{BodyFault, BodyHash};
use crate::formats::form::FormReader;
use crate::protocol::{ApiError, Batch, ErrorCode};
use crate::service::{Caller, Service};
use crate::store::access::KeyClaim;

/// What a key stands for, where the whole request is at hand.
pub(in crate::service) enum KeyStanding {
    /// Nothing yet: it is this request's, whose hash this is.
    Fresh(ClaimedKey, String),
    /// A batch that the same request has made before.
    Made(Box<Batch>),
}

impl Service {
    /// What a key stands for, of a request without a body.
    ///
    /// # Errors
    /// `idempotency_in_flight`, `idempotency_mismatch`; outages.
    pub(in crate::service) async fn key_standing(
        &self,
        caller: &Caller,
        key: IdempotencyKey,
    ) -> Result<KeyStanding, ApiError> {
        let (store, holder) = (&self.parts().store, self.parts().engine.node());
        let hash = BodyHash::new(&key.salt).hex();
        let in_hand = self.keys.claim(&caller.name, &key.key).ok_or_else(in_flight)?;
        match store.key_claim(&caller.name, &key.key, &holder).await? {
            KeyClaim::InFlight => Err(in_flight()),
            KeyClaim::Bound { body_hash, .. } if body_hash != hash => Err(mismatch()),
            KeyClaim::Bound { batch, .. } => {
                Ok(KeyStanding::Made(Box::new(self.batch(caller, batch).await?)))
            }
            KeyClaim::Fresh { claimed_at } => {
                let (caller, guard) = (caller.name.clone(), Box::new(in_hand));
                Ok(KeyStanding::Fresh(ClaimedKey { caller, key: key.key, claimed_at, guard }, hash))
            }
        }
    }

    /// A create under a key.
    pub(super) async fn submit_once(
        &self,
        caller: &Caller,
        submission: Submission,
        key: IdempotencyKey,
    ) -> Result<Submitted, ApiError> {
        let (store, engine) = (&self.parts().store, &self.parts().engine);
        let holder = engine.node();
        let hash = BodyHash::new(&key.salt);
        let in_hand = self.keys.claim(&caller.name, &key.key).ok_or_else(in_flight)?;
        match store.key_claim(&caller.name, &key.key, &holder).await? {
            KeyClaim::InFlight => Err(in_flight()),
            KeyClaim::Bound { batch, body_hash } => {
                let found = hash_of(submission, hash).await?;
                if found != body_hash {
                    return Err(mismatch());
                }
                self.batch(caller, batch).await.map(Submitted::Replayed)
            }
            KeyClaim::Fresh { claimed_at } => {
                let (caller_name, guard) = (caller.name.clone(), Box::new(in_hand));
                let claimed = ClaimedKey { caller: caller_name, key: key.key, claimed_at, guard };
                let mut arriving = Some(ArrivingKey { hash, claimed });
                // In a box of its own: all that making a batch holds would stand on the stack of whoever asks.
                let made = Box::pin(self.create_from(caller, submission, &mut arriving)).await;
                // Still here where the body did not come whole.
                if let Some(arriving) = arriving {
                    engine.free_key(arriving.claimed).await;
                }
                made.map(Submitted::Created)
            }
        }
    }
}

/// The refusal of a request whose key stands for another one.
pub(in crate::service) fn mismatch() -> ApiError {
    let detail = "This key was used for a request with another body, query or content type.";
    ApiError::new(ErrorCode::IdempotencyMismatch, detail)
}

/// Reads a body to its end for its hash alone.
async fn hash_of(submission: Submission, mut hash: BodyHash) -> Result<String, ApiError> {
    match submission {
        Submission::Json(body) => hash.update(&body),
        Submission::Stream(_settings_are_in_the_salt, stream) => stream.hash_into(&mut hash).await?,
        Submission::Form(form) => {
            FormReader::new(form, Some(&mut hash)).skip_rest().await.map_err(BodyFault::into_error)?;
        }
    }
    Ok(hash.hex())
}
