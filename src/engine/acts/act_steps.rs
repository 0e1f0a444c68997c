//! Acts over many items or batches, step by step, and the batches that follow others.
//!
//! Runs on every node, of any role. Between two steps everybody else gets a turn at the database, and what a crash left
//! is found by looking: what is to be done stands in the database, for whichever node comes first.

use std::sync::Arc;
use std::time::Duration;

use super::bulk_acts::BulkActs;
use super::follow_ups::FollowUps;
use super::on_batch::Acts;
use crate::engine::supervisor::Loops;
use crate::store::StoreError;

/// How often the database is asked without a wake-up: for what another node began, or a crash left.
const LOOK: Duration = Duration::from_secs(1);
/// Pause between two rounds, for whoever else wants to write.
const BREATH: Duration = Duration::from_millis(2);

/// The loop that goes on with what an act has begun.
pub struct StepLoop {
    pub acts: Arc<Acts>,
    pub follow_ups: FollowUps,
    pub bulk: BulkActs,
    pub loops: Loops,
}

impl StepLoop {
    /// Steps until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        loop {
            let pause = match self.round().await {
                Ok(true) => BREATH,
                Ok(false) => LOOK,
                Err(error) => {
                    self.loops.health().trouble("an act cannot go on", &error);
                    LOOK
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.acts.wakes.steps.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One step of each act that is under way, of one batch or over many, and all follow-ups that are due; true where there may be more.
    async fn round(&self) -> Result<bool, StoreError> {
        // A node that is broken only shows; one that leaves begins nothing that it would cut off. One that takes no more
        // work still steps: it may be the only one.
        if !self.loops.health().may_write() {
            return Ok(false);
        }
        let Acts { store, publisher, dispatcher, .. } = &*self.acts;
        let mut any = self.follow_ups.round().await?;
        any |= self.bulk.round().await?;
        for batch in store.acts_under_way().await? {
            let Some(change) = store.act_step(batch).await? else { continue };
            any = true;
            publisher.publish(&change);
            dispatcher.work_arrived();
        }
        Ok(any)
    }
}
