//! Uploads that a batch takes: claimed before their items are written, and settled by what has become of those.
//!
//! A claim whose process was killed stays until the sweep: nobody knows any more which of the items came about.

use sea_orm::Value;

use super::{UploadRecord, to_upload};
use crate::store::Store;
use crate::store::backend::{Durability, LIST_MAX, all, in_texts, list_value, run};
use crate::store::entity::uploads;
use crate::store::error::StoreError;

impl Store {
    /// Takes whole uploads of `owner` for a batch, all of them or none: `claim` has them from then on. Answers them in any
    /// order; fewer than were asked for where not all can be taken.
    ///
    /// # Errors
    /// Outages.
    pub async fn claim_uploads(
        &self,
        owner: &str,
        ids: &[String],
        claim: &str,
    ) -> Result<Vec<UploadRecord>, StoreError> {
        let tx = self.inner.backend.write().await?;
        let text = format!(
            "UPDATE uploads SET claim = $2, touched = $3 WHERE owner = $1 AND claim IS NULL AND blake3 IS NOT NULL \
             AND id {}",
            in_texts(&tx, 4)
        );
        let mut taken = 0;
        for ids in ids.chunks(LIST_MAX) {
            let values: Vec<Value> =
                vec![owner.into(), claim.into(), self.steady().0.into(), list_value(ids)];
            taken += run(&tx, &text, values).await?;
        }
        let find = format!("SELECT * FROM uploads WHERE claim = $1 AND id {}", in_texts(&tx, 2));
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(LIST_MAX) {
            for model in all::<uploads::Model, _>(&tx, &find, vec![claim.into(), list_value(ids)]).await? {
                found.push(to_upload(model)?);
            }
        }
        if taken == ids.len() as u64 {
            self.inner.backend.commit(tx, Durability::PowerCut).await?;
        } else {
            tx.rollback().await?;
        }
        Ok(found)
    }

    /// Uploads of `owner` among these.
    ///
    /// # Errors
    /// Outages.
    pub async fn uploads_of(&self, owner: &str, ids: &[String]) -> Result<Vec<UploadRecord>, StoreError> {
        let reader = self.inner.backend.reader();
        let text = format!("SELECT * FROM uploads WHERE owner = $1 AND id {}", in_texts(reader, 2));
        let mut found = Vec::new();
        for ids in ids.chunks(LIST_MAX) {
            for model in all::<uploads::Model, _>(reader, &text, vec![owner.into(), list_value(ids)]).await? {
                found.push(to_upload(model)?);
            }
        }
        Ok(found)
    }

    /// What has become of claimed uploads: those that are items by now go, and the others can be used again.
    ///
    /// # Errors
    /// Outages; what is left then goes with the sweep.
    pub async fn settle_uploads(
        &self,
        used: &[UploadRecord],
        unused: &[UploadRecord],
    ) -> Result<(), StoreError> {
        let ids = |uploads: &[UploadRecord]| -> Vec<String> {
            uploads.iter().map(|upload| upload.id.clone()).collect()
        };
        let tx = self.inner.backend.write().await?;
        let (delete, free) = (
            format!("DELETE FROM uploads WHERE id {}", in_texts(&tx, 1)),
            format!("UPDATE uploads SET claim = NULL WHERE id {}", in_texts(&tx, 1)),
        );
        for (text, uploads) in [(delete, used), (free, unused)] {
            for uploads in uploads.chunks(LIST_MAX) {
                run(&tx, &text, vec![list_value(&ids(uploads))]).await?;
            }
        }
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        // Where an equal content was there already, the items name that.
        let keys: Vec<String> = used.iter().map(|upload| upload.key.clone()).collect();
        self.remove_unnamed(&keys).await
    }
}
