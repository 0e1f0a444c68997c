//! Random codes, and the hashes under which they are kept.
//!
//! A secret has 256 bits of the system's randomness, and only its SHA-256 is ever stored.

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};

/// What tokens begin with, so that scanners of leaked secrets know them.
pub const TOKEN_PREFIX: &str = "mp_";

/// Bytes of randomness in a secret.
const SECRET_BYTES: usize = 32;

/// A fresh secret: 64 lower-case hexadecimal digits.
#[must_use]
pub fn fresh() -> String {
    let mut bytes = [0_u8; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).expect("the system gives randomness");
    hex::encode(bytes)
}

/// What is stored of a secret: its SHA-256, lower-case hexadecimal.
#[must_use]
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// True where `text` has the form of a secret; anything else needs no look-up.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    text.len() == SECRET_BYTES * 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_hash_to_something_else() {
        let (one, other) = (fresh(), fresh());
        assert_ne!(one, other);
        assert!(is_well_formed(&one) && is_well_formed(&hash(&one)));
        assert_ne!(hash(&one), one);
        assert!(!is_well_formed("") && !is_well_formed(&one.to_uppercase()) && !is_well_formed(&one[1..]));
    }

    #[test]
    fn hashes_are_sha256() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
