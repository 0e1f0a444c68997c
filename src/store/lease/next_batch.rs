//! Whose turn it is: the batch that a claim would look at first.
//!
//! Owns one question. Called by the claim loop of a node whose slots are all taken, before it claims for a batch that has
//! none of them. Invariant: answers in the order in which claims choose. Deliberately locks nothing: the claim decides.

use crate::store::Store;
use crate::store::backend::number;
use crate::store::error::StoreError;
use crate::store::records::BatchKey;

const FIRST: &str = "SELECT id FROM batches b WHERE state IN ('pending', 'running') AND NOT deleted \
     AND (next_seq <= total OR EXISTS (SELECT 1 FROM requeue r WHERE r.batch = b.id AND r.not_before <= $1)) \
     ORDER BY priority DESC, served, id LIMIT 1";

impl Store {
    /// The batch whose turn it is, if one has anything to hand out.
    ///
    /// # Errors
    /// Outages.
    pub async fn whose_turn(&self) -> Result<Option<BatchKey>, StoreError> {
        number(self.inner.backend.reader(), FIRST, vec![self.steady().0.into()]).await
    }
}
