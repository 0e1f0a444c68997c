//! One batch of a schedule: as its owner, with the rights that they have now, by the same checks as a submit.

use super::saved::{ReadBatch, SavedItems};
use crate::engine::ClaimedKey;
use crate::protocol::{ApiError, Batch};
use crate::service::{Action, Service, Target, may};
use crate::store::{RunCause, RunClaim, ScheduleRecord};

impl Service {
    /// Makes the batch that `claim` allows, and takes the key that is to stand for it; none where it was made before, or the schedule has changed or is gone.
    ///
    /// # Errors
    /// `not_allowed` where its owner may not submit any more; everything that is said of a submit.
    pub(super) async fn run_schedule(
        &self,
        record: &ScheduleRecord,
        claim: RunClaim,
        key: &mut Option<(ClaimedKey, String)>,
    ) -> Result<Option<Batch>, ApiError> {
        let owner = self.acting_for(&record.owner).await?;
        may(&owner, Action::Submit, Target::Installation)?;
        let ReadBatch { checked, items } = self
            .read_saved(
                &owner,
                Some(&record.settings.name),
                &record.saved.body,
                SavedItems::of(&record.saved),
            )
            .await?;
        let making = self.parts().engine.create_scheduled(checked, items, claim, key.take());
        // Whoever asked for it has signed already; what is due is its owner's.
        let made = match claim.cause {
            RunCause::Asked => making.await?,
            RunCause::Due { .. } => owner.signs(making).await?,
        };
        Ok(made.map(|batch| self.parts().engine.wire(&batch)))
    }
}
