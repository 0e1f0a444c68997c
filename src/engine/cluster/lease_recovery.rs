//! What nodes leave behind that are gone: looked for again and again where several share a database.
//!
//! Owns the loop that expels, takes back and cuts off. Started by the engine on every node of a shared database.
//! Invariant: whichever nodes do it at once, it is done once: the store decides under the batch's lock. Deliberately
//! judges nobody by its own clock.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::execute::retry_policy;
use crate::engine::lifecycle::CUT_OFF;
use crate::engine::{Engine, EngineError, Inner};
use crate::store::{RetryPolicy, StoreError, Whose};

/// How attempts go on where a batch says nothing.
pub fn policy(inner: &Inner) -> RetryPolicy {
    RetryPolicy {
        attempts_max: inner.options.attempts_max,
        crashes_max: retry_policy::CRASHES_MAX,
        base_ms: retry_policy::RETRY_BASE_MS,
        max_ms: retry_policy::RETRY_DELAY_MS_MAX,
    }
}

/// Looks for nodes that are gone until the engine stops.
pub async fn reclaim_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    let interval = Duration::from_secs(u64::from(inner.options.reclaim_seconds));
    loop {
        // A node that may be lost itself leaves the others alone.
        if !inner.is_stale()
            && let Err(error) = look(&engine).await
        {
            inner.trouble("what lost nodes held cannot be taken back", &error);
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = inner.lost.notified() => {}
            () = inner.stop.cancelled() => return,
        }
    }
}

async fn look(engine: &Engine) -> Result<(), StoreError> {
    let inner = &engine.inner;
    let lease = Duration::from_secs(u64::from(inner.options.lease_seconds));
    for node in inner.store.expel(lease).await? {
        tracing::warn!(node = node.0, "a node has not beaten for too long: it is taken for lost");
    }
    let taken_back = inner.store.reclaim(Whose::OfTheGone, policy(inner)).await?;
    if !taken_back.is_empty() {
        tracing::info!(batches = taken_back.len(), "took back what lost nodes had in hand");
        for change in &taken_back {
            engine.publish(change);
        }
        inner.desk.nudge.notify_one();
    }
    inner.store.forget_glimpses().await?;
    for batch in inner.store.intakes_of_the_gone().await? {
        match engine.cancel_because(batch, Some(CUT_OFF.to_owned())).await {
            // Another node was quicker.
            Ok(_) | Err(EngineError::Store(StoreError::WrongState(_) | StoreError::NotFound(_))) => {}
            Err(EngineError::Store(error)) => return Err(error),
            Err(error) => tracing::error!(batch, %error, "a batch cut off in its upload stays open for now"),
        }
    }
    Ok(())
}
