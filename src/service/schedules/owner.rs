//! As whom a schedule makes its batches: its owner, with the rights that they have now.

use crate::protocol::{ApiError, ErrorCode, PersonRole};
use crate::service::{Caller, Grant, Service, Via};
use crate::store::access::TokenRecord;

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
        let acting = |role: PersonRole| Caller::new(owner, role, Via::Schedule);
        let caller = if owner == local.name {
            Some(acting(local.role))
        } else if owner.starts_with(TOKEN_PREFIX) {
            let record = store.token_of_owner(owner).await?;
            record.map(|TokenRecord { token, .. }| {
                let grant = Grant { scopes: token.scopes, task: token.task, batch: token.batch };
                Caller { grant, ..acting(token.role) }
            })
        } else {
            let person = store.person(owner).await?;
            person.filter(|person| !person.disabled).map(|person| acting(person.role))
        };
        caller.map(|caller| self.people().permitted(caller)).ok_or_else(|| {
            let detail = format!("Its owner, {owner}, may no longer come in.");
            ApiError::new(ErrorCode::NotAllowed, detail)
        })
    }
}
