//! When an upload may begin to write: at once, or after those that come before it.
//!
//! Several requests fill one batch at the same time. Each says where its items stand; one that is ahead is read into its
//! bounded buffer, and writes nothing before all that stands before it is committed. It looks whenever this node has
//! committed, and now and then for what other nodes have.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::engine::acts::Acts;
use crate::protocol::Seq;
use crate::store::{BatchKey, StoreError};

/// How often one that waits looks for what other nodes have committed.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// When it may begin.
#[derive(Clone, Copy, Debug)]
pub enum AppendTurn {
    /// All that stands before it is there.
    Now,
    /// Once that is so, and not after this.
    Until(Instant),
}

impl AppendTurn {
    /// Waits until `first` is the next item of `batch`.
    ///
    /// # Errors
    /// [`StoreError::WrongFirstSeq`] where it does not come to be that in time, or others have written it;
    /// [`StoreError::WrongState`] for a batch that was sealed meanwhile; what else the store says.
    pub async fn comes(self, acts: &Acts, batch: BatchKey, first: Seq) -> Result<(), StoreError> {
        let Self::Until(deadline) = self else { return Ok(()) };
        loop {
            // Before the look: what is committed after it wakes this.
            let grown = acts.wakes.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            let now = acts.store.batch_by_key(batch).await?;
            if now.sealed {
                return Err(StoreError::WrongState(now.state));
            }
            if now.total + 1 == first {
                return Ok(());
            }
            if now.total + 1 > first || Instant::now() >= deadline {
                return Err(StoreError::WrongFirstSeq { total: now.total });
            }
            tokio::select! {
                () = grown => {}
                () = sleep_until(deadline.min(Instant::now() + LOOK_INTERVAL)) => {}
            }
        }
    }
}
