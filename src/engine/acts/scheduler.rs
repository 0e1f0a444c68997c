//! Starts batches that were scheduled, as they come due, ends open ones that wait in vain, and adds up what has changed of their counts.

use std::sync::Arc;
use std::time::Duration;

use super::idle_batches::end_idle_batches;
use super::on_batch::Acts;
use crate::engine::supervisor::Loops;

/// How often it is checked what comes due.
const INTERVAL: Duration = Duration::from_millis(500);

/// Starts what comes due, and adds counts up, until the engine stops.
pub async fn schedule_loop(acts: Arc<Acts>, loops: Loops) {
    let stop = loops.stop_token();
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        match acts.store.start_due().await {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => {
                for change in &changes {
                    acts.publisher.publish(change);
                }
                acts.dispatcher.work_arrived();
            }
            Err(error) => loops.health().trouble("scheduled batches cannot be started", &error),
        }
        if let Err(error) = end_idle_batches(&acts).await {
            loops.health().trouble("open batches that nothing is added to cannot be ended", &error);
        }
        if let Err(error) = acts.store.fold_counts().await {
            loops.health().trouble("counts of batches cannot be added up", &error);
        }
        if let Err(error) = acts.store.fold_stored_bytes().await {
            loops.health().trouble("bytes of files cannot be added up", &error);
        }
    }
}
