//! Who may come in: people, logins and tokens; and the keys that make a request count once.
//!
//! No secret is stored, only its hash. Nothing is decided here: times are compared by the caller.

mod hashes;
mod idempotency;
mod logins;
mod people;
mod tokens;

pub use self::idempotency::{KeyBinding, KeyClaim, bind};
pub use self::logins::{LoginRecord, NewLogin};
pub use self::people::PersonRecord;
pub use self::tokens::TokenRecord;
