//! Idempotency keys: which request a key stands for.
//!
//! A key stands for at most one batch, and is bound in the very transaction that makes that batch whole; a key that
//! is only claimed stands for nothing, and is free once its holder is gone.

use sea_orm::{ConnectionTrait, QueryResult};

use crate::protocol::{BatchId, BatchState, NodeId, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, locking, row, run};
use crate::store::error::StoreError;

/// How long a key is kept: 24 hours, in ms.
const KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// Nothing yet: it is the claimer's now.
    Fresh {
        /// When: tells this claim from an earlier or a later one of the same key.
        claimed_at: Timestamp,
    },
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

/// A claimed key, and the request that it is to stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBinding {
    /// Whose key.
    pub caller: String,
    /// The key.
    pub key: String,
    /// Which claim of it.
    pub claimed_at: Timestamp,
    /// Hash of the request.
    pub body_hash: String,
}

const CLAIM: &str = "INSERT INTO idempotency (caller, \"key\", state, holder, body_hash, batch, claimed_at) \
     VALUES ($1, $2, 'claimed', $3, NULL, NULL, $4) ON CONFLICT (caller, \"key\") DO NOTHING";
const CLAIM_AGAIN: &str = "UPDATE idempotency SET state = 'claimed', holder = $3, body_hash = NULL, batch = NULL, \
     claimed_at = $4 WHERE caller = $1 AND \"key\" = $2";
const FIND: &str = "SELECT state, holder, body_hash, batch, claimed_at FROM idempotency \
     WHERE caller = $1 AND \"key\" = $2";

const BIND: &str = "UPDATE idempotency SET state = 'bound', body_hash = $3, batch = $4 \
     WHERE caller = $1 AND \"key\" = $2 AND claimed_at = $5 AND state = 'claimed'";

/// A key as stored. `state`: `claimed`, `bound`; earlier versions also wrote `arrived` (the body had come, the batch
/// was perhaps not whole).
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
        let fresh = KeyClaim::Fresh { claimed_at: Timestamp(now) };
        let claim = if run(&tx, CLAIM, mine()).await? == 1 {
            fresh.clone()
        } else {
            let of_key = vec![caller.into(), key.into()];
            let found = row(&tx, &locking(&tx, FIND), of_key).await?;
            match found.as_ref().map(KeyRow::read).transpose()? {
                Some(found) => match standing(&tx, found, holder, self.is_shared()).await? {
                    Standing::Free => fresh.clone(),
                    Standing::InFlight => KeyClaim::InFlight,
                    Standing::Bound { batch, body_hash } => KeyClaim::Bound { batch, body_hash },
                },
                // Freed between the two statements: the caller's next try finds it free.
                None => KeyClaim::InFlight,
            }
        };
        if claim == fresh {
            run(&tx, CLAIM_AGAIN, mine()).await?;
        }
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(claim)
    }

    /// The request was refused or cut: the key stands for nothing. A key that is bound, or claimed anew, stays as it is.
    ///
    /// # Errors
    /// Outages.
    pub async fn key_freed(&self, caller: &str, key: &str, claimed_at: Timestamp) -> Result<(), StoreError> {
        self.with_reserve(|| self.key_freed_once(caller, key, claimed_at)).await
    }

    async fn key_freed_once(&self, caller: &str, key: &str, claimed_at: Timestamp) -> Result<(), StoreError> {
        const FREE: &str = "DELETE FROM idempotency WHERE caller = $1 AND \"key\" = $2 AND claimed_at = $3 \
             AND state <> 'bound'";
        let tx = self.inner.backend.write().await?;
        run(&tx, FREE, vec![caller.into(), key.into(), claimed_at.0.into()]).await?;
        self.inner.backend.commit(tx, Durability::Process).await
    }
}

/// Binds a claimed key to `batch`, in the transaction that makes the batch whole. Bound to it already: nothing to do.
///
/// # Errors
/// [`StoreError::Taken`] where the key is another request's by now; outages.
pub async fn bind<C: ConnectionTrait>(
    connection: &C,
    binding: &KeyBinding,
    batch: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let KeyBinding { caller, key, claimed_at, body_hash } = binding;
    let values = vec![
        caller.as_str().into(),
        key.as_str().into(),
        body_hash.as_str().into(),
        batch.into(),
        claimed_at.0.into(),
    ];
    if run(connection, BIND, values).await? == 1 {
        return Ok(());
    }
    let found = row(connection, FIND, vec![caller.as_str().into(), key.as_str().into()]).await?;
    let ours = match found.as_ref().map(KeyRow::read).transpose()? {
        Some(found) => found.state == "bound" && found.batch.is_some_and(|bound| bound.to_string() == batch),
        // Forgotten for its age while the body came: it protects nobody any more.
        None => claimed_at.0 < now.0 - KEPT_MS,
    };
    if ours { Ok(()) } else { Err(StoreError::Taken("the idempotency key".to_owned())) }
}

/// What a key that is there stands for.
enum Standing {
    Free,
    InFlight,
    Bound { batch: BatchId, body_hash: String },
}

/// Reads what a key stands for. One whose holder is gone, or has nothing of it in hand, is free: it was not bound, so
/// whatever its request had begun is not whole, and ends cancelled with the holder.
async fn standing<C: ConnectionTrait>(
    connection: &C,
    found: KeyRow,
    holder: &NodeId,
    is_shared: bool,
) -> Result<Standing, StoreError> {
    let lives = is_shared && found.holder != holder.0 && is_up(connection, &found.holder).await?;
    let (Some(batch), Some(body_hash)) = (found.batch, found.body_hash) else {
        return Ok(if lives { Standing::InFlight } else { Standing::Free });
    };
    if found.state == "bound" {
        return Ok(Standing::Bound { batch, body_hash });
    }
    if lives {
        return Ok(Standing::InFlight);
    }
    // Left by an earlier version, which did not bind keys with the seal: only a sealed batch is surely whole.
    let left = "SELECT state, sealed FROM batches WHERE uuid = $1";
    let whole = match row(connection, left, vec![batch.to_string().into()]).await? {
        Some(left) => {
            let (state, sealed): (String, bool) = (left.try_get_by_index(0)?, left.try_get_by_index(1)?);
            sealed && state != BatchState::Cancelled.as_str() && state != BatchState::Cancelling.as_str()
        }
        None => false,
    };
    tracing::debug!(%batch, whole, claimed_at = found.claimed_at, "an idempotency key was settled");
    Ok(if whole { Standing::Bound { batch, body_hash } } else { Standing::Free })
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
            bucket: None,
            quotas: Default::default(),
        };
        let now = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        Store::open_with_clock(options, now).await.unwrap()
    }

    async fn claimed(store: &Store, caller: &str, holder: &NodeId) -> Timestamp {
        match store.key_claim(caller, "k", holder).await.unwrap() {
            KeyClaim::Fresh { claimed_at } => claimed_at,
            other => panic!("not free: {other:?}"),
        }
    }

    async fn bound(store: &Store, claimed_at: Timestamp, batch: BatchId) -> Result<(), StoreError> {
        let (caller, key, body_hash) = ("ada".to_owned(), "k".to_owned(), "h".to_owned());
        let binding = KeyBinding { caller, key, claimed_at, body_hash };
        let tx = store.inner.backend.write().await.unwrap();
        bind(&tx, &binding, &batch.to_string(), store.steady()).await?;
        store.inner.backend.commit(tx, Durability::Process).await
    }

    #[tokio::test]
    async fn a_key_lives_as_documented() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_000));
        let store = open(folder.path(), &clock).await;
        let (here, gone) = (NodeId("here".into()), NodeId("gone".into()));
        let batch = BatchId::from_u128(7);
        claimed(&store, "ada", &here).await;
        // Its answer was lost: the caller has nothing in hand, and asks again.
        let first = claimed(&store, "ada", &here).await;
        claimed(&store, "bob", &here).await;
        store.key_freed("ada", "k", first).await.unwrap();
        let lost = claimed(&store, "ada", &gone).await;
        clock.store(1_001, Ordering::Relaxed);
        let mine = claimed(&store, "ada", &here).await;
        // Who lost the key neither binds nor frees it.
        assert!(matches!(bound(&store, lost, BatchId::from_u128(6)).await, Err(StoreError::Taken(_))));
        store.key_freed("ada", "k", lost).await.unwrap();
        bound(&store, mine, batch).await.unwrap();
        bound(&store, mine, batch).await.expect("a commit whose answer was lost is done again");
        assert!(matches!(bound(&store, mine, BatchId::from_u128(8)).await, Err(StoreError::Taken(_))));
        store.key_freed("ada", "k", mine).await.unwrap();
        let bound = KeyClaim::Bound { batch, body_hash: "h".into() };
        assert_eq!(store.key_claim("ada", "k", &gone).await.unwrap(), bound);
        store.close().await;
        let store = open(folder.path(), &clock).await;
        assert_eq!(store.key_claim("ada", "k", &here).await.unwrap(), bound);
        clock.store(1_002 + KEPT_MS, Ordering::Relaxed);
        claimed(&store, "ada", &here).await;
        store.close().await;
    }
}
