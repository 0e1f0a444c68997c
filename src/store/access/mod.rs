//! Who may come in: people, logins and tokens; and the keys that make a request count once.

pub mod idempotency;
mod people;

pub use self::idempotency::{KeyBinding, KeyClaim};
pub use self::people::{NewLogin, PersonRecord, TokenRecord};
