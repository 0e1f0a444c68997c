//! `Idempotency-Key`: the same request twice makes one batch.
//!
//! Owns the claim of a key and the hash of its request. Called by creates. Invariant: a key is bound in the transaction
//! that makes its batch whole, and by nothing else; a refused or cut body frees it. Deliberately does not read headers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;

use super::{Submission, Submitted, form};
use crate::engine::ClaimedKey;
use crate::protocol::{ApiError, ErrorCode};
use crate::service::{Caller, Service};
use crate::store::access::KeyClaim;

/// Bytes of a key at most; a longer one is refused as `malformed`.
const KEY_BYTES_MAX: usize = 255;

/// A key as sent, and what of the request counts beside its body.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    key: String,
    salt: String,
}

impl IdempotencyKey {
    /// A key, with the query and the content type of its request.
    ///
    /// # Errors
    /// `malformed` unless it is 1 to 255 visible ASCII characters.
    pub fn new(key: &str, salt: String) -> Result<Self, ApiError> {
        let fits =
            (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let detail = format!("Idempotency-Key: expected 1 to {KEY_BYTES_MAX} visible ASCII characters.");
            return Err(ApiError::malformed(detail));
        }
        Ok(Self { key: key.to_owned(), salt })
    }
}

/// The hash of a body as it passes.
#[derive(Debug)]
pub(super) struct Digest(blake3::Hasher);

impl Digest {
    fn new(salt: &str) -> Self {
        let mut digest = Self(blake3::Hasher::new());
        digest.part(salt.as_bytes());
        digest
    }

    /// Takes bytes, if there is a digest to be made.
    pub(super) fn feed(digest: Option<&mut Self>, bytes: &[u8]) {
        if let Some(digest) = digest {
            digest.0.update(bytes);
        }
    }

    /// Takes bytes as one part: with their length, so that parts cannot run into one another.
    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn hex(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// A claimed key whose body is coming in.
pub(super) struct Arrival {
    /// Of the body so far.
    pub(super) digest: Digest,
    claimed: ClaimedKey,
}

impl Arrival {
    /// The body is whole: the key, and the hash of the request that it is to stand for.
    pub(super) fn whole(self) -> (ClaimedKey, String) {
        (self.claimed, self.digest.hex())
    }
}

/// Keys of requests that this process has in hand: at most one request each. Bounded by the connections, and by what the
/// engine lets be owed at once.
#[derive(Clone, Default)]
pub(in crate::service) struct KeysInHand(Arc<Mutex<HashSet<(String, String)>>>);

/// The right to a key in this process, for as long as it lives.
struct InHand {
    keys: KeysInHand,
    name: (String, String),
}

impl KeysInHand {
    fn lock(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a key in hand; none where another request has it.
    fn take(&self, caller: &str, key: &str) -> Option<InHand> {
        let name = (caller.to_owned(), key.to_owned());
        self.lock().insert(name.clone()).then(|| InHand { keys: self.clone(), name })
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.name);
    }
}

/// The refusal of a request whose key another one has in hand.
pub(super) fn in_flight() -> ApiError {
    ApiError::new(ErrorCode::IdempotencyInFlight, "A request with this key has not ended; try again.")
}

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
        let digest = Digest::new(&key.salt);
        let in_hand = self.keys.take(&caller.name, &key.key).ok_or_else(in_flight)?;
        match store.key_claim(&caller.name, &key.key, &holder).await? {
            KeyClaim::InFlight => Err(in_flight()),
            KeyClaim::Bound { batch, body_hash } => {
                let found = digest_of(submission, digest).await?;
                if found != body_hash {
                    let detail = "This key was used for a request with another body, query or content type.";
                    return Err(ApiError::new(ErrorCode::IdempotencyMismatch, detail));
                }
                self.batch(caller, batch).await.map(Submitted::Replayed)
            }
            KeyClaim::Fresh { claimed_at } => {
                let (caller_name, guard) = (caller.name.clone(), Box::new(in_hand));
                let claimed = ClaimedKey { caller: caller_name, key: key.key, claimed_at, guard };
                let mut arrival = Some(Arrival { digest, claimed });
                let made = self.create_from(caller, submission, &mut arrival).await;
                // Still here where the body did not come whole.
                if let Some(arrival) = arrival {
                    engine.free_key(arrival.claimed).await;
                }
                made.map(Submitted::Created)
            }
        }
    }
}

/// Reads a body to its end for its hash alone.
async fn digest_of(submission: Submission, mut digest: Digest) -> Result<String, ApiError> {
    match submission {
        Submission::Json(body) => Digest::feed(Some(&mut digest), &body),
        Submission::Stream(_settings_are_in_the_salt, mut stream) => {
            while let Some(chunk) = stream.bytes.next().await {
                let chunk = chunk.map_err(|_cut| ApiError::malformed("The body was cut short."))?;
                Digest::feed(Some(&mut digest), &chunk);
            }
        }
        Submission::Form(form) => form::digest(form, &mut digest).await?,
    }
    Ok(digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_text() {
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            assert!(IdempotencyKey::new(bad, String::new()).is_err(), "{bad}");
        }
        assert!(IdempotencyKey::new("9c1f-01", String::new()).is_ok());
    }

    #[test]
    fn the_query_counts_and_parts_do_not_run_together() {
        let hash = |salt: &str, parts: &[&str]| {
            let mut digest = Digest::new(salt);
            for part in parts {
                digest.part(part.as_bytes());
            }
            digest.hex()
        };
        assert_ne!(hash("a", &["x"]), hash("b", &["x"]));
        assert_ne!(hash("a", &["xy", "z"]), hash("a", &["x", "yz"]));
        assert_eq!(hash("a", &["x"]), hash("a", &["x"]));
    }
}
