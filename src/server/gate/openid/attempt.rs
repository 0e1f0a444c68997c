//! A sign-in that was begun: where it is to lead, and since when, sealed with the secret of the browser that began it.
//!
//! Nonce and code verifier follow from both, so that neither is sent along or kept anywhere. Whoever has not the cookie can
//! neither make such a state nor use one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::protocol::Timestamp;
use crate::service::secret;

/// How long a sign-in may take, in milliseconds: ten minutes.
pub const ATTEMPT_MAX_MS: u64 = 10 * 60 * 1_000;
/// Bytes of the address that it leads to; a longer one leads to the first page.
const NEXT_BYTES_MAX: usize = 1_000;
/// Bytes of a state that is looked at.
const STATE_BYTES_MAX: usize = 2_000;
/// Sets the seals apart from all else that is hashed here.
const SEAL: &str = "milepost sign-in by openid: state";
const NONCE: &str = "milepost sign-in by openid: nonce";
const VERIFIER: &str = "milepost sign-in by openid: code verifier";

/// A sign-in that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What the provider sends back.
    pub state: String,
    /// Where people land.
    pub next: String,
    /// When it was begun, by the steady clock.
    begun_at: Timestamp,
}

/// The key of one use of the browser's secret.
fn key(purpose: &str, browser: &str) -> [u8; 32] {
    blake3::derive_key(purpose, browser.as_bytes())
}

fn sealed(purpose: &str, browser: &str, text: &str) -> blake3::Hash {
    blake3::keyed_hash(&key(purpose, browser), text.as_bytes())
}

impl Attempt {
    /// Begins one for the browser with this secret.
    #[must_use]
    pub fn begin(browser: &str, next: &str, now: Timestamp) -> Self {
        let next = if next.len() > NEXT_BYTES_MAX { "/" } else { next };
        let once = &secret::fresh()[..32];
        let words = format!("{once}.{}.{}", now.0, URL_SAFE_NO_PAD.encode(next));
        let seal = URL_SAFE_NO_PAD.encode(sealed(SEAL, browser, &words).as_bytes());
        Self { state: format!("{words}.{seal}"), next: next.to_owned(), begun_at: now }
    }

    /// The one that comes back as `state` to the browser with this secret; none where it was not begun there.
    #[must_use]
    pub fn open(browser: &str, state: &str) -> Option<Self> {
        if state.len() > STATE_BYTES_MAX {
            return None;
        }
        let (words, seal) = state.rsplit_once('.')?;
        let seal: [u8; 32] = URL_SAFE_NO_PAD.decode(seal).ok()?.try_into().ok()?;
        // Compares in constant time.
        if sealed(SEAL, browser, words) != blake3::Hash::from_bytes(seal) {
            return None;
        }
        let mut parts = words.split('.').skip(1);
        let begun_at = Timestamp(parts.next()?.parse().ok()?);
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
        Some(Self { state: state.to_owned(), next, begun_at })
    }

    /// True where it took too long.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.ms_since(self.begun_at) >= ATTEMPT_MAX_MS
    }

    /// What the provider puts into what it says of the person.
    #[must_use]
    pub fn nonce(&self, browser: &str) -> String {
        URL_SAFE_NO_PAD.encode(sealed(NONCE, browser, &self.state).as_bytes())
    }

    /// What shows the provider that whoever has the code has begun: 43 characters, as RFC 7636 asks for.
    #[must_use]
    pub fn verifier(&self, browser: &str) -> String {
        URL_SAFE_NO_PAD.encode(sealed(VERIFIER, browser, &self.state).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_state_is_of_one_browser_and_cannot_be_changed() {
        let (browser, other) = (secret::fresh(), secret::fresh());
        let attempt = Attempt::begin(&browser, "/batches/1?a=b", START);
        assert_eq!(Attempt::open(&browser, &attempt.state), Some(attempt.clone()));
        assert_eq!(Attempt::open(&other, &attempt.state), None);
        assert_eq!(attempt.verifier(&browser).len(), 43);
        assert_ne!(attempt.nonce(&browser), attempt.nonce(&other));
        assert_ne!(attempt.nonce(&browser), attempt.verifier(&browser));
        assert_ne!(Attempt::begin(&browser, "/", START).state, Attempt::begin(&browser, "/", START).state);
        let elsewhere = URL_SAFE_NO_PAD.encode("//evil.example");
        let parts: Vec<&str> = attempt.state.split('.').collect();
        let forged = [parts[0], parts[1], &elsewhere, parts[3]].join(".");
        for state in ["", ".", "a.b.c.d", &attempt.state[1..], &forged, &"x".repeat(3_000)] {
            assert_eq!(Attempt::open(&browser, state), None, "{state}");
        }
    }

    #[test]
    fn it_takes_ten_minutes_at_most() {
        let browser = secret::fresh();
        let state = Attempt::begin(&browser, &"/x".repeat(600), START).state;
        let attempt = Attempt::open(&browser, &state).unwrap();
        assert_eq!(attempt.next, "/");
        assert!(!attempt.is_over(START.plus_ms(599_999)));
        assert!(attempt.is_over(START.plus_ms(600_000)));
    }
}
