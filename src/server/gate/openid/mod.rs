//! Sign-in by a provider of identities: OpenID Connect, with an authorization code, PKCE, a state and a nonce.
//!
//! ```text
//! attempt    a sign-in that was begun, sealed and bound to a browser      steps   the two addresses: begin, come back
//! provider   what the provider says of itself and of its keys             claims  what it says of a person
//! outgoing   requests to the provider
//! ```
//!
//! Nothing is kept of a sign-in until somebody comes back from it: whoever only begins costs no row.

mod attempt;
mod claims;
mod outgoing;
mod provider;
pub mod steps;

pub use self::provider::OpenId;
