//! Batches that came from others: who may say so, and who sees it.
//!
//! As [`super`]. A batch that the caller does not see is as one that there is not.

use super::{Caller, Service};
use crate::protocol::{ApiError, BatchId, ErrorCode, NewBatch, ParentBatch, RelatedBatch, RelatedBatches};
use crate::store::{BatchFilter, BatchKey, BatchRecord};

/// Batches that came from one, as its page names them; older ones are found by the list's filter.
const CHILDREN_MAX: u32 = 20;

impl Service {
    /// The batch that `new` says it comes from.
    ///
    /// # Errors
    /// `invalid` where the caller sees no such batch.
    pub(super) async fn parent_of(
        &self,
        caller: &Caller,
        new: &NewBatch,
    ) -> Result<Option<BatchKey>, ApiError> {
        let Some(parent) = new.options.parent else { return Ok(None) };
        match self.seen(caller, parent).await? {
            Some(parent) => Ok(Some(parent.key)),
            None => {
                Err(ApiError::invalid("options.parent: there is no such batch, or it is not visible to you."))
            }
        }
    }

    /// The batches around one.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn related(&self, caller: &Caller, id: BatchId) -> Result<RelatedBatches, ApiError> {
        let batch = self.visible(caller, id).await?;
        let parent = match batch.options.parent {
            Some(parent) => self.seen(caller, parent).await?,
            None => None,
        };
        let filter = BatchFilter {
            viewer: caller.viewer(),
            states: Vec::new(),
            with_failures: false,
            task: None,
            owner: None,
            text: None,
            parent: Some(id),
            number: None,
            before: None,
            limit: CHILDREN_MAX,
        };
        let children = self.parts().store.list(filter).await?;
        Ok(RelatedBatches {
            parent: parent.as_ref().map(related),
            children: children.batches.iter().map(related).collect(),
        })
    }

    /// What a new batch that comes from `id` starts with; none where the caller sees no such batch.
    ///
    /// # Errors
    /// Outages only.
    pub async fn parent(&self, caller: &Caller, id: BatchId) -> Result<Option<ParentBatch>, ApiError> {
        let batch = self.seen(caller, id).await?;
        Ok(batch.map(|batch| ParentBatch { batch: related(&batch), task: batch.task, params: batch.params }))
    }

    async fn seen(&self, caller: &Caller, id: BatchId) -> Result<Option<BatchRecord>, ApiError> {
        match self.visible(caller, id).await {
            Ok(batch) => Ok(Some(batch)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn related(batch: &BatchRecord) -> RelatedBatch {
    let number = u64::try_from(batch.key).expect("keys count up from 1");
    RelatedBatch { id: batch.id, number, name: batch.name.clone() }
}
