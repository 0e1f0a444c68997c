//! Acts over many items, step by step, and follow-ups.
//!
//! Owns the loop that goes on with what an act has begun. Started by the engine on every node, of any role. Invariant:
//! between two steps everybody else gets a turn at the database, and what a crash left is found by looking. Deliberately
//! holds nothing in memory: what is to be done stands in the database, for whichever node comes first.

use std::sync::Arc;
use std::time::Duration;

use super::follow_up;
use crate::engine::{Engine, Inner};
use crate::store::StoreError;

/// How often is looked without being told: for what another node began, or a crash left.
const LOOK: Duration = Duration::from_secs(1);
/// Pause between two rounds, for whoever else wants to write.
const BREATH: Duration = Duration::from_millis(2);

/// Steps until the engine stops.
pub async fn step_loop(inner: Arc<Inner>) {
    let engine = Engine { inner: Arc::clone(&inner) };
    loop {
        let pause = match round(&engine).await {
            Ok(true) => BREATH,
            Ok(false) => LOOK,
            Err(error) => {
                inner.trouble("an act cannot go on", &error);
                LOOK
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = inner.acts.notified() => {}
            () = inner.stop.cancelled() => return,
        }
    }
}

/// One step of each act that is under way, and all follow-ups that are due; true where there may be more.
async fn round(engine: &Engine) -> Result<bool, StoreError> {
    let inner = &engine.inner;
    // A node that is broken only shows; one that leaves begins nothing that it would cut off. One that takes no more
    // work still steps: it may be the only one.
    if !inner.may_write() {
        return Ok(false);
    }
    let mut any = follow_up::round(engine).await?;
    for batch in inner.store.acts_under_way().await? {
        let Some(change) = inner.store.act_step(batch).await? else { continue };
        any = true;
        engine.publish(&change);
        inner.desk.nudge.notify_one();
    }
    Ok(any)
}
