//! Ends open batches to which nothing has been added for as long as their options allow: an upload that has stopped is
//! sealed, and what came of it is run; any other ends cancelled. Both are acts of the installation in the log.

use std::sync::Arc;

use super::on_batch::Acts;
use crate::engine::EngineError;
use crate::protocol::Batch;
use crate::store::access::Signature;
use crate::store::{BatchKey, StoreError};

/// Who is named in the log.
const WHO: &str = "milepost";
/// By what it came in: nothing.
const VIA: &str = "itself";

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
            let signature = Signature { who: WHO.to_owned(), via: VIA, address: String::new() };
            match signature.on(end(acts, idle.batch, idle.idle_ms)).await {
                // Ended or sealed meanwhile, or gone.
                Ok(()) | Err(EngineError::Store(StoreError::WrongState(_) | StoreError::NotFound(_))) => {}
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

/// Ends one that is open.
async fn end(acts: &Arc<Acts>, key: BatchKey, idle_ms: i64) -> Result<(), EngineError> {
    let batch = acts.store.batch_by_key(key).await?;
    let reason = match batch.options.expected {
        Some(_) if batch.total > 0 => {
            return acts.seal_because(key, Batch::UPLOAD_STOPPED).await.map(|_sealed| ());
        }
        Some(expected) => format!("the upload stopped before any of its {expected} items came"),
        None => format!("nothing was added for {} s, and it was not sealed", idle_ms / 1_000),
    };
    acts.cancel_because(key, Some(reason)).await.map(|_cancelled| ())
}
