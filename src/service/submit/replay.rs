//! A create under an `Idempotency-Key`: the same request twice makes one batch.
//!
//! A key is bound in the transaction that makes its batch whole, and by nothing else; a refused or cut body frees it.

use super::key::{ArrivingKey, IdempotencyKey, in_flight};
use super::submission::{Submission, Submitted};
use crate::engine::ClaimedKey;
use crate::formats::body::{BodyFault, BodyHash};
use crate::formats::form::FormReader;
use crate::protocol::{ApiError, ErrorCode};
use crate::service::{Caller, Service};
use crate::store::access::KeyClaim;

impl Service {
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
                    let detail = "This key was used for a request with another body, query or content type.";
                    return Err(ApiError::new(ErrorCode::IdempotencyMismatch, detail));
                }
                self.batch(caller, batch).await.map(Submitted::Replayed)
            }
            KeyClaim::Fresh { claimed_at } => {
                let (caller_name, guard) = (caller.name.clone(), Box::new(in_hand));
                let claimed = ClaimedKey { caller: caller_name, key: key.key, claimed_at, guard };
                let mut arriving = Some(ArrivingKey { hash, claimed });
                let made = self.create_from(caller, submission, &mut arriving).await;
                // Still here where the body did not come whole.
                if let Some(arriving) = arriving {
                    engine.free_key(arriving.claimed).await;
                }
                made.map(Submitted::Created)
            }
        }
    }
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
