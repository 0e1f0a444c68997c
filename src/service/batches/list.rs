//! Batches as the list shows them: a page, and the course of those under way.
//!
//! What has ended stands in a line that has no place for a course: none is read for it.

use super::filter;
use crate::protocol::{ApiError, BatchPage, BatchQuery, SparkBar};
use crate::service::{Action, Caller, Service, Target, may};
use crate::store::BatchKey;

impl Service {
    /// Batches, newest first, with the course of those under way.
    ///
    /// # Errors
    /// As those of [`Service::batches`].
    pub async fn batch_list(&self, caller: &Caller, query: &BatchQuery) -> Result<BatchPage, ApiError> {
        may(caller, Action::SeeBatches, Target::Installation)?;
        let list = self.inner.store.list(filter(caller, query)?).await?;
        let under_way = list.batches.iter().filter(|batch| !batch.state.is_finished());
        let keys: Vec<BatchKey> = under_way.map(|batch| batch.key).collect();
        let mut sparks = self.inner.store.sparks(&keys).await?;
        let figures =
            |bars: Vec<SparkBar>| bars.concat().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let sparks =
            list.batches.iter().map(|batch| sparks.remove(&batch.key).map(figures).unwrap_or_default());
        Ok(BatchPage {
            sparks: sparks.collect(),
            batches: list.batches.iter().map(|batch| self.inner.engine.wire(batch)).collect(),
            next: list.next.map(|key| key.to_string()),
        })
    }
}
