//! Orphaned leases: granted, though the node that asked never had the answer.
//!
//! After a claim whose answer was lost, it was committed or not, and nobody would ever report on it. Nothing of such a lease
//! has run, so nothing is spent. The caller's list is trusted: what is not on it, that node does not work on.

use super::record::cancel;
use crate::protocol::{BatchState, NodeId};
use crate::store::Store;
use crate::store::backend::{all, int, run};
use crate::store::entity::leases;
use crate::store::error::StoreError;
use crate::store::records::{BatchChange, LeaseId};
use crate::store::tape::{Ranges, Requeue, Tape};

impl Store {
    /// Hands back all leases of a node that are not among those it knows.
    ///
    /// # Errors
    /// Outages; what was committed before one stays.
    pub async fn return_orphaned_leases(
        &self,
        node: &NodeId,
        known: &[LeaseId],
    ) -> Result<Vec<BatchChange>, StoreError> {
        let text = "SELECT * FROM leases WHERE node = $1 ORDER BY batch";
        let held: Vec<leases::Model> =
            all(self.inner.backend.reader(), text, vec![node.0.clone().into()]).await?;
        let is_stray = |lease: &leases::Model| !known.contains(&lease.id);
        let mut batches: Vec<i64> =
            held.iter().filter(|lease| is_stray(lease)).map(|lease| lease.batch).collect();
        batches.dedup();
        let mut changes = Vec::with_capacity(batches.len());
        for batch in batches {
            let tx = self.inner.backend.write().await?;
            let mut tape = match Tape::lock(&tx, batch, self.moment()).await {
                Ok(tape) => tape,
                Err(StoreError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let text = "SELECT * FROM leases WHERE batch = $1 AND node = $2 ORDER BY first";
            let held: Vec<leases::Model> = all(&tx, text, vec![batch.into(), node.0.clone().into()]).await?;
            for lease in held.iter().filter(|lease| is_stray(lease)) {
                hand_back(&mut tape, lease).await?;
            }
            let change = [tape.write().await?];
            self.finish(tx, &change).await?;
            changes.extend(change);
        }
        Ok(changes)
    }
}

async fn hand_back(tape: &mut Tape<'_>, lease: &leases::Model) -> Result<(), StoreError> {
    let (left, started) = (Ranges::parse(&lease.left)?, Ranges::parse(&lease.started)?);
    run(tape.tx, "DELETE FROM leases WHERE id = $1", vec![lease.id.into()]).await?;
    let running = int(started.count());
    tape.batch.running -= running;
    if lease.attempt >= 2 {
        tape.batch.retrying -= int(left.count()) - running;
    }
    let is_cancelling = tape.state()? == BatchState::Cancelling;
    for range in left.iter() {
        if is_cancelling {
            cancel(tape, range, lease.generation, lease.attempt - 1)?;
            continue;
        }
        let (generation, attempt, crashes) = (lease.generation, lease.attempt, lease.crashes);
        tape.again(range, Requeue { generation, attempt, crashes, not_before: 0 });
    }
    Ok(())
}
