//! Files that came before, by pieces, and that a body names as its items.
//!
//! All of a body are claimed before the first is an item, so that one that cannot be used leaves no batch behind. An upload
//! is used once; of a batch that came to nothing, or only in part, the rest can be used again.

use std::collections::HashMap;

use crate::protocol::{ApiError, Seq};
use crate::service::Service;
use crate::store::UploadRecord;

/// Uploads that a batch is being made of.
pub(super) struct TakenUploads {
    /// In the order of their items.
    uploads: Vec<UploadRecord>,
    /// Seq of the first.
    pub(super) first: Seq,
}

impl TakenUploads {
    /// In the order of their items.
    pub(super) fn uploads(&self) -> &[UploadRecord] {
        &self.uploads
    }

    /// The batch has `total` items: what of these are among them is used up, and the rest is free.
    pub(super) async fn settle(self, service: &Service, total: u64) {
        let used = (total + 1).saturating_sub(self.first);
        let used = usize::try_from(used).unwrap_or(usize::MAX).min(self.uploads.len());
        let (used, unused) = self.uploads.split_at(used);
        if let Err(error) = service.parts().store.settle_uploads(used, unused).await {
            tracing::warn!(%error, "uploads that a batch has taken stay for a day");
        }
    }
}

impl Service {
    /// Takes the uploads of `owner` with these ids, all of them or none.
    pub(super) async fn take_uploads(&self, owner: &str, ids: Vec<String>) -> Result<TakenUploads, ApiError> {
        let store = &self.parts().store;
        let claim = format!("{:032x}", rand::random::<u128>());
        let mut taken = store.claim_uploads(owner, &ids, &claim).await?;
        if taken.len() < ids.len() {
            self.check_uploads(owner, &ids).await?;
            taken = store.claim_uploads(owner, &ids, &claim).await?;
        }
        let mut by_id: HashMap<String, UploadRecord> =
            taken.into_iter().map(|upload| (upload.id.clone(), upload)).collect();
        let mut uploads = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            uploads.push(by_id.remove(id).ok_or_else(|| unusable(at, id, "is used by another request"))?);
        }
        Ok(TakenUploads { uploads, first: 1 })
    }

    /// Says which of the uploads cannot be used, and why; finishes those of which all has come before a stop.
    async fn check_uploads(&self, owner: &str, ids: &[String]) -> Result<(), ApiError> {
        let found = self.parts().store.uploads_of(owner, ids).await?;
        let by_id: HashMap<&str, &UploadRecord> =
            found.iter().map(|upload| (upload.id.as_str(), upload)).collect();
        for (at, id) in ids.iter().enumerate() {
            let Some(upload) = by_id.get(id.as_str()) else {
                return Err(unusable(at, id, "is not there: it was used, removed, or is another's"));
            };
            let (received, bytes) = (upload.progress.received, upload.file.bytes);
            if upload.claimed {
                return Err(unusable(at, id, "is used by another request"));
            }
            if received < bytes {
                return Err(unusable(
                    at,
                    id,
                    &format!("has {received} of {bytes} bytes: send the rest first"),
                ));
            }
        }
        for upload in found.iter().filter(|upload| upload.stored.is_none()) {
            self.finish_upload(upload).await?;
        }
        Ok(())
    }
}

fn unusable(at: usize, id: &str, why: &str) -> ApiError {
    ApiError::invalid(format!("Item {}: the upload {id:?} {why}.", at + 1))
}
