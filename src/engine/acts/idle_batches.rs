//! Ends open batches to which nothing has been added for as long as their options allow.

use std::sync::Arc;

use super::on_batch::Acts;
use crate::engine::EngineError;
use crate::store::StoreError;

/// Ends those whose limit has passed.
///
/// # Errors
/// Outages; what is left is looked at again.
pub async fn end_idle_batches(acts: &Arc<Acts>) -> Result<(), StoreError> {
    for idle in acts.store.idle_batches().await? {
        if idle.open && idle.filling {
            // A body is coming; it has a limit of its own.
            acts.store.set_idle_due(idle.batch, idle.idle_ms).await?;
            continue;
        }
        if idle.open {
            let seconds = idle.idle_ms / 1_000;
            let reason = format!("nothing was added for {seconds} s, and it was not sealed");
            match acts.cancel_because(idle.batch, Some(reason)).await {
                // Ended or sealed meanwhile, or gone.
                Ok(_) | Err(EngineError::Store(StoreError::WrongState(_) | StoreError::NotFound(_))) => {}
                Err(EngineError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::warn!(batch = idle.batch, %error, "an open batch could not be ended");
                    continue;
                }
            }
        }
        acts.store.end_idle(idle.batch).await?;
    }
    Ok(())
}
