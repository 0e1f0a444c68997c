//! As whom a schedule makes its batches: its owner, with the rights that they have now.

use crate::protocol::{ApiError, ErrorCode, PersonRole};
use crate::service::{Caller, Service, Via};

/// What the name of a token's batches begins with, where no person made it.
const TOKEN_PREFIX: &str = "token:";

impl Service {
    /// The owner of a schedule as a caller, with the role that they have now.
    ///
    /// # Errors
    /// `not_allowed` where they may no longer come in; outages.
    pub(super) async fn acting_for(&self, owner: &str) -> Result<Caller, ApiError> {
        let store = &self.parts().store;
        let local = Caller::local();
        // Whoever holds the machine: by the one-time link, or the process itself.
        let role = if owner == local.name {
            Some(local.role)
        } else if let Some(token) = owner.strip_prefix(TOKEN_PREFIX) {
            store.token_named(token).await?.map(|token| token.role)
        } else {
            let person = store.person(owner).await?;
            person.filter(|person| !person.disabled).map(|person| person.role)
        };
        let acting = |role: PersonRole| Caller { name: owner.to_owned(), role, via: Via::Schedule };
        role.map(acting).ok_or_else(|| {
            let detail = format!("Its owner, {owner}, may no longer come in.");
            ApiError::new(ErrorCode::NotAllowed, detail)
        })
    }
}
