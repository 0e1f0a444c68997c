//! Uploads that go: on request, and when nothing has come to them for long.

use super::{UPLOAD_IDLE_MS, UploadRecord};
use crate::store::Store;
use crate::store::backend::all;
use crate::store::entity::uploads;
use crate::store::error::StoreError;

/// Files removed in one step of the sweep.
const SWEPT_MAX: u32 = 100;
/// Stands in place of a claim and a writer while a file is being removed.
const REMOVED: &str = "removed";

impl Store {
    /// Removes an upload, unless a batch is being made of it: false then.
    ///
    /// # Errors
    /// Outages.
    pub async fn remove_upload(&self, upload: &UploadRecord) -> Result<bool, StoreError> {
        let text = "UPDATE uploads SET claim = $2, writer = $2, owner = '', touched = 0 WHERE id = $1 AND claim IS NULL";
        if self.change_upload(text, vec![upload.id.clone().into(), REMOVED.into()]).await? == 0 {
            return Ok(false);
        }
        self.remove_marked(&upload.id).await?;
        Ok(true)
    }

    /// The bytes go before the row that names them, so that nothing is forgotten half way.
    async fn remove_marked(&self, id: &str) -> Result<(), StoreError> {
        let upload = self.upload(id).await?;
        self.file_store().drop_pieces(upload.pieces()).await?;
        self.change_upload("DELETE FROM uploads WHERE id = $1", vec![id.into()]).await?;
        self.remove_unnamed(&[upload.key]).await
    }

    /// Removes some uploads to which nothing has come for [`UPLOAD_IDLE_MS`]; true if more may be left.
    ///
    /// # Errors
    /// Outages; what was removed stays removed.
    pub async fn sweep_uploads(&self) -> Result<bool, StoreError> {
        let oldest = self.steady().plus_ms(-UPLOAD_IDLE_MS).0;
        let text = format!("SELECT * FROM uploads WHERE touched < $1 ORDER BY touched LIMIT {SWEPT_MAX}");
        let found: Vec<uploads::Model> = all(self.inner.backend.reader(), &text, vec![oldest.into()]).await?;
        let mark = "UPDATE uploads SET claim = $2, writer = $2, owner = '', touched = 0 WHERE id = $1 AND touched < $3";
        for upload in &found {
            let values = vec![upload.id.clone().into(), REMOVED.into(), oldest.into()];
            if self.change_upload(mark, values).await? == 1 {
                self.remove_marked(&upload.id).await?;
            }
        }
        Ok(found.len() == SWEPT_MAX as usize)
    }
}
