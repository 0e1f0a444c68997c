//! Idempotency keys: which request a key stands for.
//!
//! Owns the table `idempotency`. Called by the submit of the service. Invariant: a key stands for at most one batch,
//! and only for one whose body came whole; what an earlier process left half way is settled when it is next looked
//! at. Deliberately does not know how a body is hashed.

use sea_orm::{ConnectionTrait, QueryResult};

use super::Store;
use super::backend::{Durability, locking, row, run};
use super::error::StoreError;
use crate::protocol::{BatchId, BatchState, NodeId};

/// How long a key is kept: 24 hours, in ms.
const KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// Nothing yet: it is the claimer's now.
    Fresh,
    /// A request that has not ended.
    InFlight,
    /// A batch.
    Bound {
        /// Which one.
        batch: BatchId,
        /// Hash of the request that made it.
        body_hash: String,
    },
}

const CLAIM: &str = "INSERT INTO idempotency (caller, \"key\", state, holder, body_hash, batch, claimed_at) \
     VALUES ($1, $2, 'claimed', $3, NULL, NULL, $4) ON CONFLICT (caller, \"key\") DO NOTHING";
const CLAIM_AGAIN: &str = "UPDATE idempotency SET state = 'claimed', holder = $3, body_hash = NULL, batch = NULL, \
     claimed_at = $4 WHERE caller = $1 AND \"key\" = $2";
const FIND: &str = "SELECT state, holder, body_hash, batch, claimed_at FROM idempotency \
     WHERE caller = $1 AND \"key\" = $2";

/// A key as stored. `state`: `claimed`, `arrived` (the body is whole, the batch may not be), `bound`.
struct KeyRow {
    state: String,
    holder: String,
    body_hash: Option<String>,
    batch: Option<BatchId>,
    claimed_at: i64,
}

impl KeyRow {
    fn read(found: &QueryResult) -> Result<Self, StoreError> {
        let batch: Option<String> = found.try_get_by_index(3)?;
        let broken =
            |_form| StoreError::Invariant("the batch of an idempotency key is not readable".to_owned());
        Ok(Self {
            state: found.try_get_by_index(0)?,
            holder: found.try_get_by_index(1)?,
            body_hash: found.try_get_by_index(2)?,
            batch: batch.map(|text| text.parse().map_err(broken)).transpose()?,
            claimed_at: found.try_get_by_index(4)?,
        })
    }
}

impl Store {
    /// Claims `key` of `caller` for a request that `holder` is about to read. `holder` has no other request under this
    /// key in hand: what stands there under its name is of a claim whose answer was lost.
    ///
    /// What a holder left half way is settled here; another one that lives is waited for.
    ///
    /// # Errors
    /// Outages.
    pub async fn key_claim(&self, caller: &str, key: &str, holder: &NodeId) -> Result<KeyClaim, StoreError> {
        let now = self.steady().0;
        let tx = self.inner.backend.write().await?;
        run(&tx, "DELETE FROM idempotency WHERE claimed_at < $1", vec![(now - KEPT_MS).into()]).await?;
        let mine = || vec![caller.into(), key.into(), holder.0.as_str().into(), now.into()];
        // The insert waits for whoever claims the same key at the same time.
        let claim = if run(&tx, CLAIM, mine()).await? == 1 {
            KeyClaim::Fresh
        } else {
            let of_key = vec![caller.into(), key.into()];
            let found = row(&tx, &locking(&tx, FIND), of_key).await?;
            match found.as_ref().map(KeyRow::read).transpose()? {
                Some(found) => settled(&tx, found, holder, self.is_shared()).await?,
                // Freed between the two statements: the caller's next try finds it free.
                None => KeyClaim::InFlight,
            }
        };
        if claim == KeyClaim::Fresh {
            run(&tx, CLAIM_AGAIN, mine()).await?;
        }
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(claim)
    }

    /// The body has come whole: its hash, and the batch that it makes.
    ///
    /// # Errors
    /// Outages.
    pub async fn key_arrived(
        &self,
        caller: &str,
        key: &str,
        body_hash: &str,
        batch: BatchId,
    ) -> Result<(), StoreError> {
        self.key_change(
            "UPDATE idempotency SET state = 'arrived', body_hash = $3, batch = $4 WHERE caller = $1 AND \"key\" = $2",
            vec![caller.into(), key.into(), body_hash.into(), batch.to_string().into()],
        )
        .await
    }

    /// The batch is complete: the key stands for it until it expires.
    ///
    /// # Errors
    /// Outages.
    pub async fn key_bound(&self, caller: &str, key: &str) -> Result<(), StoreError> {
        self.key_change(
            "UPDATE idempotency SET state = 'bound' WHERE caller = $1 AND \"key\" = $2",
            vec![caller.into(), key.into()],
        )
        .await
    }

    /// The request was refused or cut: the key stands for nothing.
    ///
    /// # Errors
    /// Outages.
    pub async fn key_freed(&self, caller: &str, key: &str, holder: &NodeId) -> Result<(), StoreError> {
        self.key_change(
            "DELETE FROM idempotency WHERE caller = $1 AND \"key\" = $2 AND holder = $3 AND state <> 'bound'",
            vec![caller.into(), key.into(), holder.0.as_str().into()],
        )
        .await
    }

    async fn key_change(&self, text: &str, values: Vec<sea_orm::Value>) -> Result<(), StoreError> {
        let tx = self.inner.backend.write().await?;
        run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }
}

/// What a key that is there stands for. One left half way by a process that is gone: its batch, if that is complete.
async fn settled<C: ConnectionTrait>(
    connection: &C,
    found: KeyRow,
    holder: &NodeId,
    is_shared: bool,
) -> Result<KeyClaim, StoreError> {
    let lives = is_shared && found.holder != holder.0 && is_up(connection, &found.holder).await?;
    let (Some(batch), Some(body_hash)) = (found.batch, found.body_hash) else {
        return Ok(if lives { KeyClaim::InFlight } else { KeyClaim::Fresh });
    };
    if found.state == "bound" {
        return Ok(KeyClaim::Bound { batch, body_hash });
    }
    if lives {
        return Ok(KeyClaim::InFlight);
    }
    let left = "SELECT state, intake_node FROM batches WHERE uuid = $1";
    let left = row(connection, left, vec![batch.to_string().into()]).await?;
    let (state, filled_by): (Option<String>, Option<String>) = match left {
        Some(left) => (left.try_get_by_index(0)?, left.try_get_by_index(1)?),
        None => (None, None),
    };
    if is_shared && filled_by.is_some() {
        // About to be cut off by whoever looks after the nodes that are gone.
        return Ok(KeyClaim::InFlight);
    }
    // An intake that its process took along ends cancelled: then nothing stands for the key.
    let whole = state.is_some_and(|state| state != BatchState::Cancelled.as_str());
    tracing::debug!(%batch, whole, claimed_at = found.claimed_at, "an idempotency key was settled");
    Ok(if whole { KeyClaim::Bound { batch, body_hash } } else { KeyClaim::Fresh })
}

/// True where a node is there and not down.
async fn is_up<C: ConnectionTrait>(connection: &C, node: &str) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM nodes WHERE id = $1 AND state <> 'down'";
    Ok(row(connection, text, vec![node.into()]).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Timestamp;
    use crate::store::StoreOptions;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    async fn open(folder: &std::path::Path, clock: &Arc<AtomicI64>) -> Store {
        let clock = Arc::clone(clock);
        let options = StoreOptions {
            url: format!("sqlite://{}", folder.join("t.db").display()),
            readers: 1,
            writers: 1,
            files: folder.join("files"),
        };
        let now = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        Store::open_with_clock(options, now).await.unwrap()
    }

    #[tokio::test]
    async fn a_key_lives_as_documented() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_000));
        let store = open(folder.path(), &clock).await;
        let (here, gone) = (NodeId("here".into()), NodeId("gone".into()));
        let batch = BatchId::from_u128(7);
        assert_eq!(store.key_claim("ada", "k", &here).await.unwrap(), KeyClaim::Fresh);
        // Its answer was lost: the caller has nothing in hand, and asks again.
        assert_eq!(store.key_claim("ada", "k", &here).await.unwrap(), KeyClaim::Fresh);
        assert_eq!(store.key_claim("bob", "k", &here).await.unwrap(), KeyClaim::Fresh);
        store.key_freed("ada", "k", &here).await.unwrap();
        assert_eq!(store.key_claim("ada", "k", &gone).await.unwrap(), KeyClaim::Fresh);
        assert_eq!(store.key_claim("ada", "k", &here).await.unwrap(), KeyClaim::Fresh);
        store.key_arrived("ada", "k", "h", batch).await.unwrap();
        store.key_bound("ada", "k").await.unwrap();
        store.key_freed("ada", "k", &here).await.unwrap();
        let bound = KeyClaim::Bound { batch, body_hash: "h".into() };
        assert_eq!(store.key_claim("ada", "k", &gone).await.unwrap(), bound);
        store.close().await;
        let store = open(folder.path(), &clock).await;
        assert_eq!(store.key_claim("ada", "k", &here).await.unwrap(), bound);
        clock.store(1_001 + KEPT_MS, Ordering::Relaxed);
        assert_eq!(store.key_claim("ada", "k", &here).await.unwrap(), KeyClaim::Fresh);
        store.close().await;
    }
}
