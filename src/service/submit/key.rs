//! `Idempotency-Key`: what it may look like, and who has it in hand.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::ClaimedKey;
use crate::formats::body::BodyHash;
use crate::protocol::{ApiError, ErrorCode};

/// Bytes of a key at most; a longer one is refused as `malformed`.
const KEY_BYTES_MAX: usize = 255;

/// A key as sent, and what of the request counts beside its body.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    pub(super) key: String,
    /// Of the hash of its request.
    pub(super) salt: String,
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

    /// The key, and the hash of its request, whose body is at hand.
    pub(in crate::service) fn with_body(self, body: &[u8]) -> (String, String) {
        let mut hash = BodyHash::new(&self.salt);
        hash.update(body);
        (self.key, hash.hex())
    }
}

/// A claimed key whose body is coming in.
pub(super) struct ArrivingKey {
    /// Of the body so far.
    pub(super) hash: BodyHash,
    pub(super) claimed: ClaimedKey,
}

impl ArrivingKey {
    /// The body is whole: the key, and the hash of the request that it is to stand for.
    pub(super) fn whole(self) -> (ClaimedKey, String) {
        (self.claimed, self.hash.hex())
    }
}

/// Keys of requests that this process has in hand: at most one request each. Bounded by the connections, and by what the
/// engine lets be owed at once.
#[derive(Clone, Default)]
pub(in crate::service) struct KeysInHand(Arc<Mutex<HashSet<(String, String)>>>);

/// The right to a key in this process, for as long as it lives.
pub(super) struct KeyInHand {
    keys: KeysInHand,
    name: (String, String),
}

impl KeysInHand {
    fn lock(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to a key; none where another request has it.
    pub(super) fn claim(&self, caller: &str, key: &str) -> Option<KeyInHand> {
        let name = (caller.to_owned(), key.to_owned());
        self.lock().insert(name.clone()).then(|| KeyInHand { keys: self.clone(), name })
    }
}

impl Drop for KeyInHand {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.name);
    }
}

/// The refusal of a request whose key another one has in hand.
pub(super) fn in_flight() -> ApiError {
    ApiError::new(ErrorCode::IdempotencyInFlight, "A request with this key has not ended; try again.")
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
}
