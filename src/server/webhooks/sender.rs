//! The loop that sends what is due.
//!
//! It holds nothing that is not in the database too: what it had claimed when it broke, somebody claims again in a minute.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::guard::AddressGuard;
use super::post::Poster;
use crate::engine::LogLimit;
use crate::protocol::ApiError;
use crate::service::Service;
use crate::store::{ClaimedDelivery, StoreError};

/// How often it is looked for what is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Messages on their way from one node at once; the others stay due.
const IN_FLIGHT_MAX: usize = 64;
/// Of these, messages of one owner, so that receivers that do not answer hold up their own owner only; the others are put
/// off.
const IN_FLIGHT_PER_OWNER_MAX: usize = 8;
/// For so long a message is put off.
const PUT_OFF_MS: i64 = 1_000;

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    service: Service,
    poster: Arc<Poster>,
    stop: CancellationToken,
}

impl Sender {
    /// Sends to what `guard` permits, until `stop`.
    ///
    /// # Errors
    /// In words, where TLS cannot be used here.
    pub fn new(service: Service, guard: AddressGuard, stop: CancellationToken) -> Result<Self, String> {
        Ok(Self { service, poster: Arc::new(Poster::new(guard)?), stop })
    }

    /// Sends until the stop.
    pub async fn run(self) {
        let mut sends: JoinSet<String> = JoinSet::new();
        let mut by_owner: HashMap<String, usize> = HashMap::new();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                Some(sent) = sends.join_next() => {
                    // One that panicked says no name; its owner has a place less until the next start.
                    if let Ok(owner) = sent
                        && let Some(count) = by_owner.get_mut(&owner)
                    {
                        *count -= 1;
                        if *count == 0 {
                            by_owner.remove(&owner);
                        }
                    }
                }
                _ = looks.tick() => {
                    let free = IN_FLIGHT_MAX.saturating_sub(sends.len());
                    if let Err(error) = self.start_due(free, &mut sends, &mut by_owner).await {
                        static LIMIT: LogLimit = LogLimit::once_a_minute();
                        if LIMIT.is_due() {
                            tracing::warn!(%error, "messages to webhooks wait");
                        }
                    }
                }
            }
        }
    }

    /// Starts to send what is due, at most `free` messages.
    async fn start_due(
        &self,
        free: usize,
        sends: &mut JoinSet<String>,
        by_owner: &mut HashMap<String, usize>,
    ) -> Result<(), StoreError> {
        if free == 0 {
            return Ok(());
        }
        let store = &self.service.parts().store;
        for claimed in store.claim_deliveries(free).await? {
            let count = by_owner.entry(claimed.owner.clone()).or_default();
            if *count >= IN_FLIGHT_PER_OWNER_MAX {
                store.postpone_delivery(&claimed, PUT_OFF_MS).await?;
                continue;
            }
            *count += 1;
            let sender = self.clone();
            sends.spawn(async move {
                if let Err(error) = sender.send(&claimed).await {
                    tracing::warn!(delivery = %claimed.id, detail = error.detail, "sent again in a minute");
                }
                claimed.owner
            });
        }
        Ok(())
    }

    async fn send(&self, claimed: &ClaimedDelivery) -> Result<(), ApiError> {
        let store = &self.service.parts().store;
        let secrets = self.service.signing_secrets(&claimed.owner).await?;
        let outcome = self.poster.deliver(claimed, &secrets, store.now(), rand::random()).await;
        tracing::debug!(delivery = %claimed.id, status = outcome.status, next = ?outcome.next, "sent");
        Ok(store.record_delivery(claimed, &outcome).await?)
    }
}
