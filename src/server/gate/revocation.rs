//! Whose login or token still holds, for all that takes its time: live connections, uploads, downloads.
//!
//! A round looks all callers up together, in a query or two for every few hundred, however many connections they hold;
//! whoever may no longer come in is cut within [`LOOK_EVERY`] and the time of that look-up. An idle connection costs
//! nothing here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::{Caller, Service, Via};

/// How often callers are looked up: another process may have taken a right away.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The callers that have something under way. Bounded by the connections.
#[derive(Clone, Default)]
pub struct Revocations {
    inner: Arc<Mutex<HashMap<String, WatchedCaller>>>,
}

struct WatchedCaller {
    caller: Caller,
    /// Cancelled once they may no longer come in.
    gone: CancellationToken,
    connections: usize,
}

/// One connection of a caller, until dropped.
pub struct RevocationGuard {
    revocations: Revocations,
    key: Option<String>,
    gone: CancellationToken,
}

impl RevocationGuard {
    /// Cancelled once the caller may no longer come in.
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }
}

/// What a caller came in by, with the rights that it gave: where those change, connections begin anew.
fn key(caller: &Caller) -> Option<String> {
    match &caller.via {
        Via::Login(hash) => Some(format!("login {hash} {}", caller.role.as_str())),
        Via::Token(hash) => Some(format!("token {hash} {}", caller.role.as_str())),
        Via::Share { hash, payloads } => Some(format!("share {hash} {payloads:?}")),
        Via::Header => Some(format!("header {} {}", caller.name, caller.role.as_str())),
        Via::Local | Via::Schedule => None,
    }
}

impl Revocations {
    fn held(&self) -> MutexGuard<'_, HashMap<String, WatchedCaller>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of `caller`.
    pub fn arrive(&self, caller: &Caller) -> RevocationGuard {
        let Some(key) = key(caller) else {
            return RevocationGuard { revocations: self.clone(), key: None, gone: CancellationToken::new() };
        };
        let mut held = self.held();
        let guest = held.entry(key.clone()).or_insert_with(|| WatchedCaller {
            caller: caller.clone(),
            gone: CancellationToken::new(),
            connections: 0,
        });
        guest.connections += 1;
        let gone = guest.gone.clone();
        drop(held);
        RevocationGuard { revocations: self.clone(), key: Some(key), gone }
    }

    /// Looks all of them up at once, and tells those who may no longer come in.
    async fn look(&self, service: &Service) {
        let callers: Vec<Caller> = self.held().values().map(|guest| guest.caller.clone()).collect();
        if callers.is_empty() {
            return;
        }
        for caller in service.people().gone(&callers).await {
            let Some(key) = key(caller) else { continue };
            // Taken out: whoever comes with the same once more was let in anew, and is looked up anew.
            if let Some(guest) = self.held().remove(&key) {
                guest.gone.cancel();
            }
        }
    }
}

impl Drop for RevocationGuard {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        let mut held = self.revocations.held();
        let Some(guest) = held.get_mut(key) else { return };
        if self.gone.is_cancelled() {
            return;
        }
        guest.connections -= 1;
        if guest.connections == 0 {
            held.remove(key);
        }
    }
}

/// Looks callers up until `stop`: at once where this process has taken a right away, and every [`LOOK_EVERY`].
pub async fn watch_revocations(revocations: Revocations, service: Service, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = service.people().taken_away() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        revocations.look(&service).await;
    }
}
