//! The slow hash: argon2id on threads of its own, never more than a few at once.
//!
//! A wrong name costs what a wrong password costs. The memory that hashes are computed in is taken at the first and used
//! again by all others, so that no number of attempts holds more than [`HASHES_MAX`] × 19 MiB: allocated anew, each thread's
//! share would stay with the allocator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use crate::protocol::{ApiError, ErrorCode};
use crate::service::error::internal;

/// Hashes that are computed at once; others wait in line.
const HASHES_MAX: usize = 4;
/// How long one waits in line before the answer is `busy`.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Bytes of a hash.
const OUTPUT_BYTES: usize = 32;
/// Guesses within which a password must not be found, as zxcvbn estimates them: the 30,000 commonest, and what is little
/// more than one of them or than the name.
const GUESSES_MIN: u64 = 100_000;

/// Characters of a password.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=256;

/// Computes and checks slow hashes. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Memory that no hash is computed in now; at most [`HASHES_MAX`].
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_MAX)), memory: Arc::default() }
    }
}

fn params() -> Params {
    Params::new(MEMORY_KIB, PASSES, 1, Some(OUTPUT_BYTES)).expect("the cost is within argon2's bounds")
}

/// The hash of `password` as `params` say, in `memory`.
fn compute(
    password: &str,
    salt: &[u8],
    params: Params,
    memory: &mut Vec<Block>,
) -> Result<Output, argon2::Error> {
    let bytes = params.output_len().unwrap_or(OUTPUT_BYTES);
    memory.resize(params.block_count(), Block::default());
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut out = [0_u8; Output::MAX_LENGTH];
    let out = out.get_mut(..bytes).ok_or(argon2::Error::OutputTooLong)?;
    argon.hash_password_into_with_memory(password.as_bytes(), salt, out, memory)?;
    Output::new(out).map_err(|_length| argon2::Error::OutputTooLong)
}

/// Hashes with a fresh salt, as a PHC string.
fn hash(password: &str, memory: &mut Vec<Block>) -> Result<String, String> {
    let salt = Salt::generate();
    let hash = compute(password, &salt, params(), memory).map_err(|error| error.to_string())?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()).map_err(|error| error.to_string())?,
        salt: Some(salt),
        hash: Some(hash),
    };
    Ok(phc.to_string())
}

/// Whether `password` is the one that `stored` was made from; the outputs are compared in constant time.
fn verify(password: &str, stored: &str, memory: &mut Vec<Block>) -> Result<bool, String> {
    let phc = PasswordHash::new(stored).map_err(|error| error.to_string())?;
    let params = Params::try_from(&phc).map_err(|error| error.to_string())?;
    let (Some(salt), Some(expected)) = (&phc.salt, &phc.hash) else {
        return Err("it has no hash".to_owned());
    };
    let hash = compute(password, salt, params, memory).map_err(|error| error.to_string())?;
    Ok(hash == *expected)
}

/// True where little is left of `password` without the name: fewer than four letters.
fn is_like(name: &str, password: &str) -> bool {
    let (name, password) = (name.to_lowercase(), password.to_lowercase());
    let rest = password.replace(&name, "");
    rest != password && rest.chars().filter(|rest| rest.is_alphabetic()).count() < 4
}

/// Refuses a password that is too short, too long, or found at once.
fn check(name: &str, password: &str) -> Result<(), ApiError> {
    if !PASSWORD_CHARS.contains(&password.chars().count()) {
        return Err(ApiError::invalid("A password has 8 to 256 characters."));
    }
    if is_like(name, password) || zxcvbn::zxcvbn(password, &[name, "milepost"]).guesses() < GUESSES_MIN {
        return Err(ApiError::invalid(
            "This password is one of the commonest, or much like the name: somebody would guess it. Three or four \
             words that have nothing to do with each other make a good one.",
        ));
    }
    Ok(())
}

impl Passwords {
    /// The hash of `password` with a fresh salt, as a PHC string.
    ///
    /// # Errors
    /// `invalid` for one that is too short, too long, among the commonest or like `name`; `busy` where the line is too long.
    pub async fn hash(&self, name: &str, password: String) -> Result<String, ApiError> {
        let name = name.to_owned();
        let hashed = self.compute(move |memory| {
            check(&name, &password)?;
            hash(&password, memory).map_err(|error| {
                tracing::error!(error, "a password could not be hashed");
                ApiError::internal()
            })
        });
        hashed.await?
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
            .compute(move |memory| match stored {
                Some(stored) => verify(&password, &stored, memory),
                None => hash(&password, memory).map(|_same_work| false),
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
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_waited| ApiError::new(ErrorCode::Busy, "Too many are signing in; try again."))?
            .expect("the line is never closed");
        let shelf = Arc::clone(&self.memory);
        tokio::task::spawn_blocking(move || {
            let taken = shelf.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = taken.unwrap_or_default();
            let done = work(&mut memory);
            shelf.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
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
        let stored = passwords.hash("ada", "correct horse".to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify("correct horse".to_owned(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".to_owned(), Some(stored)).await.unwrap());
        assert!(!passwords.verify("correct horse".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_of_before_are_read() {
        // Made by the version that allocated for each hash.
        use argon2::PasswordHasher as _;
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
        let stored: PasswordHash = old.hash_password(b"correct horse").unwrap();
        let passwords = Passwords::default();
        assert!(passwords.verify("correct horse".to_owned(), Some(stored.to_string())).await.unwrap());
        assert!(passwords.verify("x".to_owned(), Some("nonsense".to_owned())).await.is_err());
    }

    #[tokio::test]
    async fn memory_is_used_again() {
        let passwords = Passwords::default();
        let checks = (0..12).map(|_| passwords.verify("correct horse".to_owned(), None));
        futures_util::future::join_all(checks).await;
        assert!(passwords.memory.lock().unwrap().len() <= HASHES_MAX);
    }

    #[tokio::test]
    async fn lengths_are_held() {
        let passwords = Passwords::default();
        assert!(passwords.hash("ada", "1234567".to_owned()).await.is_err());
        assert!(passwords.hash("ada", "x".repeat(257)).await.is_err());
        assert!(!passwords.verify("x".repeat(257), None).await.unwrap());
    }

    #[test]
    fn what_is_found_at_once_is_refused() {
        for (name, password) in [
            ("ada", "password"),
            ("ada", "Password1"),
            ("ada", "12345678"),
            ("ada", "qwertyuiop"),
            ("ada", "iloveyou"),
            ("ada", "aaaaaaaa"),
            ("ada", "trustno1"),
            ("ada", "milepost"),
            ("ada.lovelace", "ada.lovelace"),
            ("ada.lovelace", "Ada.Lovelace1"),
            ("lovelace", "lovelace1815"),
            ("ada", "ada ada ada"),
        ] {
            assert!(check(name, password).is_err(), "{name} {password}");
        }
        for password in ["correct horse", "tr0ub4dour&3", "kelp-vane-otter", "пароль-кит-весна"]
        {
            assert!(check("ada", password).is_ok(), "{password}");
        }
    }
}
