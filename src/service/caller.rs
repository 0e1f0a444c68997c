//! Who is asking: a name, a role, and by what they came in.
//!
//! Made by [`super::people`] only (and by the command line for itself); read by every use case. A caller was known at
//! the moment it was made; [`super::People::gone`] says whether it still is.

use crate::protocol::PersonRole;
use crate::store::Viewer;

/// Who is asking: known, with a role. There is no anonymous caller: what is open needs no caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name of the person, or `token:NAME`.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// By what they came in.
    pub via: Via,
}

/// By what a caller came in; a revoked one closes its sockets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// A login cookie, by the hash of its id.
    Login(String),
    /// A bearer token, by the hash of its secret.
    Token(String),
    /// The process itself (command line, tests).
    Local,
    /// Nothing: a schedule makes a batch for its owner.
    Schedule,
}

impl Caller {
    /// The process itself: may do everything, and cannot be revoked.
    #[must_use]
    pub fn local() -> Self {
        Self { name: "local".to_owned(), role: PersonRole::Admin, via: Via::Local }
    }

    /// What the caller sees in lists.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        Viewer { name: self.name.clone(), sees_all: self.role == PersonRole::Admin }
    }
}
