//! Makes the batches that follow others.
//!
//! Owns one round over all that is due. Called by the loop of steps. Invariant: a follow-up is made once, or its batch
//! says why it cannot be. Deliberately reads nothing of what is asked: that is [`super::then`]'s.

use super::{Engine, EngineError, then};
use crate::protocol::Json;
use crate::store::{BatchChange, BatchRecord, StoreError};

/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 500;

/// Makes what is due; true where something was.
pub(super) async fn round(engine: &Engine) -> Result<bool, StoreError> {
    let mut any = false;
    for parent in engine.inner.store.follows_due().await? {
        any |= follow(engine, &parent).await?;
    }
    Ok(any)
}

async fn follow(engine: &Engine, parent: &BatchRecord) -> Result<bool, StoreError> {
    let inner = &engine.inner;
    let nothing = Json::default();
    let made = then::make(inner, parent, parent.options.then.as_ref().unwrap_or(&nothing));
    let (new, blocks) = match made {
        Ok(made) => made,
        Err(EngineError::Store(error)) => return Err(error),
        Err(
            error @ (EngineError::UnknownTask(_)
            | EngineError::Invalid { .. }
            | EngineError::TooLarge(_)
            | EngineError::NoItems
            | EngineError::Unready(_)),
        ) => {
            let reason = format!("The follow-up batch could not be made: {error}");
            tracing::warn!(batch = parent.key, %reason);
            let reason = reason.chars().take(REASON_CHARS_MAX).collect();
            let Some(parent) = inner.store.follow_fails(parent.key, reason).await? else { return Ok(false) };
            engine.publish(&unmoved(parent));
            return Ok(true);
        }
    };
    let Some(followed) = inner.store.follow(parent.key, new, &blocks).await? else { return Ok(false) };
    engine.publish(&unmoved(followed.parent));
    engine.publish(&unmoved(followed.batch));
    inner.desk.nudge.notify_one();
    Ok(true)
}

/// A change of the batch alone.
fn unmoved(batch: BatchRecord) -> BatchChange {
    BatchChange { batch, families: Vec::new(), cells: Vec::new(), strip_reshaped: false, ended: 0 }
}
