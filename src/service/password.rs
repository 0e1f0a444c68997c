//! The slow hash: argon2id on threads of its own, never more than a few at once.
//!
//! A wrong name costs what a wrong password costs, and no number of attempts holds more than [`HASHES_MAX`] × 19 MiB.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use super::error::internal;
use crate::protocol::{ApiError, ErrorCode};

/// Hashes that are computed at once; others wait in line.
const HASHES_MAX: usize = 4;
/// How long one waits in line before the answer is `busy`.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
const PASSES: u32 = 2;

/// Characters of a password.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=256;

/// Computes and checks slow hashes. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_MAX)) }
    }
}

fn argon() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("the cost is within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    /// The hash of `password` with a fresh salt, as a PHC string.
    ///
    /// # Errors
    /// `invalid` for a length that is not taken, `busy` where the line is too long.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        if !PASSWORD_CHARS.contains(&password.chars().count()) {
            return Err(ApiError::invalid("A password has 8 to 256 characters."));
        }
        self.compute(move || argon().hash_password(password.as_bytes()).map(|hash| hash.to_string()))
            .await?
            .map_err(|error| internal(&error))
    }

    /// Whether `password` is the one that `stored` was made from. Without `stored` (an unknown name) the same work is
    /// done, and the answer is false.
    ///
    /// # Errors
    /// `busy` where the line is too long, `internal` where `stored` is no hash.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, ApiError> {
        if password.chars().count() > *PASSWORD_CHARS.end() {
            return Ok(false);
        }
        let checked = self
            .compute(move || match stored {
                Some(stored) => PasswordHash::new(&stored)
                    .map(|hash| argon().verify_password(password.as_bytes(), &hash).is_ok())
                    .map_err(|error| error.to_string()),
                None => argon()
                    .hash_password(password.as_bytes())
                    .map(|_same_work| false)
                    .map_err(|error| error.to_string()),
            })
            .await?;
        checked.map_err(|error| {
            tracing::error!(error, "a stored password hash cannot be read");
            ApiError::internal()
        })
    }

    /// Runs `work` on a blocking thread once it is its turn. Not cancel-safe in cost: a started hash runs to its end.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_waited| ApiError::new(ErrorCode::Busy, "Too many are signing in; try again."))?
            .expect("the line is never closed");
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|error| internal(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_are_checked() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify("correct horse".to_owned(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".to_owned(), Some(stored)).await.unwrap());
        assert!(!passwords.verify("correct horse".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn lengths_are_held() {
        let passwords = Passwords::default();
        assert!(passwords.hash("1234567".to_owned()).await.is_err());
        assert!(passwords.hash("x".repeat(257)).await.is_err());
        assert!(!passwords.verify("x".repeat(257), None).await.unwrap());
    }
}
