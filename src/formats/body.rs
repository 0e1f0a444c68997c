//! A body on its way: its bytes, its hash, and why it did not come whole.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::protocol::{ApiError, ErrorCode};

/// Bytes of a body as they come. An error means that the body was cut short; one of the kind `FileTooLarge`, that it is
/// over a bound of whoever carries it; `PermissionDenied`, that its sender may no longer come in; `ResourceBusy`, that the
/// server stops.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// After so many seconds a server that stops may be back.
const STOP_SECONDS: u64 = 5;

/// Why a body did not come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The bytes stopped before their end.
    Cut(ApiError),
    /// What came is not acceptable, or could not be stored.
    Refused(ApiError),
}

impl BodyFault {
    /// The refusal itself.
    #[must_use]
    pub fn into_error(self) -> ApiError {
        match self {
            Self::Cut(error) | Self::Refused(error) => error,
        }
    }

    /// The fault of whoever carries a body, if that is what `fault` says: see [`ByteStream`].
    #[must_use]
    pub fn of_carrier(fault: &io::Error) -> Option<Self> {
        match fault.kind() {
            io::ErrorKind::FileTooLarge => {
                let detail = "The body is over the limit of this server.";
                Some(Self::Refused(ApiError::new(ErrorCode::TooLarge, detail)))
            }
            io::ErrorKind::PermissionDenied => {
                let detail = "The body was cut short: its sender may no longer come in.";
                Some(Self::Cut(ApiError::new(ErrorCode::NotSignedIn, detail)))
            }
            io::ErrorKind::ResourceBusy => {
                let detail = "The body was cut short: the server is stopping. Send it again in a moment.";
                let mut error = ApiError::new(ErrorCode::Busy, detail);
                error.retry_after_seconds = Some(STOP_SECONDS);
                Some(Self::Cut(error))
            }
            _ => None,
        }
    }
}

impl From<ApiError> for BodyFault {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// The hash of a body as it passes.
#[derive(Clone, Debug)]
pub struct BodyHash(blake3::Hasher);

impl BodyHash {
    /// Of nothing but `salt`, which is what of the request counts beside its body.
    #[must_use]
    pub fn new(salt: &str) -> Self {
        let mut hash = Self(blake3::Hasher::new());
        hash.part(salt.as_bytes());
        hash
    }

    /// Adds bytes, which run on from those before them.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds bytes as one part: with their length, so that parts cannot run into one another.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The hash so far, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salt_counts_and_parts_do_not_run_together() {
        let hash = |salt: &str, parts: &[&str]| {
            let mut hash = BodyHash::new(salt);
            for part in parts {
                hash.part(part.as_bytes());
            }
            hash.hex()
        };
        assert_ne!(hash("a", &["x"]), hash("b", &["x"]));
        assert_ne!(hash("a", &["xy", "z"]), hash("a", &["x", "yz"]));
        assert_eq!(hash("a", &["x"]), hash("a", &["x"]));
    }
}
