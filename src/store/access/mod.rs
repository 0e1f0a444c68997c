//! Who may come in: people, logins, tokens, share links and what they did; and the keys that make a request count once.
//!
//! No secret is stored, only its hash. Nothing is decided here: times are compared by the caller.

mod arrivals;
mod audit_log;
mod hashes;
mod idempotency;
mod known_browsers;
mod logins;
mod people;
mod share_links;
mod tokens;

pub use self::arrivals::{Arrival, Arrived, GivenRole, Named};
pub use self::audit_log::Signature;
pub(in crate::store) use self::audit_log::signer;
pub use self::idempotency::{KeyBinding, KeyClaim, bind};
pub use self::logins::{EndedLogins, LoginRecord, NewLogin};
pub use self::people::{LastAdmin, PersonChange, PersonRecord};
pub use self::share_links::ShareLinkRecord;
pub use self::tokens::{TokenAddition, TokenRecord};
