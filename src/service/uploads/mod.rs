//! Files that come in pieces: announced, gone on with over any cut, and named by a batch once they are whole.
//!
//! ```text
//! mod   announce, look, remove     piece   one request that brings bytes     writers   one request at a time
//! ```

mod piece;
mod writers;

pub use self::piece::UploadPiece;
pub(in crate::service) use self::writers::Writers;
use super::{Action, Caller, Service, Target, may};
use crate::protocol::{ApiError, ErrorCode, NewUpload, Timestamp, UploadStatus};
use crate::store::{AnnouncedFile, StoreError, UPLOAD_IDLE_MS, UploadRecord};

/// Bytes of the name of a file; a longer one is refused as `invalid`.
const NAME_BYTES_MAX: usize = 1_024;
/// Files of the largest size that one person may have announced at once; more bytes are refused as `too_many`.
const LARGEST_FILES_MAX: u64 = 4;

impl Service {
    /// Announces a file.
    ///
    /// # Errors
    /// `invalid` for its name, `too_large` beyond the bytes of one file, `too_many` beyond what one person may announce.
    pub async fn announce_upload(&self, caller: &Caller, new: NewUpload) -> Result<UploadStatus, ApiError> {
        may(caller, Action::Submit, Target::Installation)?;
        check_name(&new.name)?;
        let most = self.parts().upload_bytes_max;
        if new.bytes > most {
            let detail = format!("A file may have {most} bytes.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let store = &self.parts().store;
        store.has_room()?;
        if let Some((excess, left)) = store.bytes_left(&caller.name).await?
            && new.bytes > left
        {
            return Err(StoreError::OverQuota(excess).into());
        }
        let file = AnnouncedFile { owner: caller.name.clone(), name: new.name, bytes: new.bytes };
        let upload = store.announce_upload(file, most.saturating_mul(LARGEST_FILES_MAX)).await?;
        if upload.file.bytes == 0 {
            self.finish_upload(&upload).await?;
        }
        Ok(self.upload_status(upload))
    }

    /// How much of a file has come.
    ///
    /// # Errors
    /// `not_found` where it is not there, or another's.
    pub async fn upload(&self, caller: &Caller, id: &str) -> Result<UploadStatus, ApiError> {
        Ok(self.upload_status(self.own_upload(caller, id).await?))
    }

    /// Takes a file away, and what came of it. A request that is sending to it ends first.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` while a batch is being made of it.
    pub async fn remove_upload(&self, caller: &Caller, id: &str) -> Result<(), ApiError> {
        let upload = self.own_upload(caller, id).await?;
        let _alone = self.writers.take_over(id).await?;
        if self.parts().store.remove_upload(&upload).await? {
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::WrongState, "A batch is being made of this upload."))
    }

    async fn own_upload(&self, caller: &Caller, id: &str) -> Result<UploadRecord, ApiError> {
        may(caller, Action::ActOnUpload, Target::Installation)?;
        let upload = self.parts().store.upload(id).await?;
        may(caller, Action::ActOnUpload, Target::Own { what: "upload", owner: &upload.file.owner })?;
        Ok(upload)
    }

    fn upload_status(&self, upload: UploadRecord) -> UploadStatus {
        let store = &self.parts().store;
        let idle_ms = i64::try_from(store.steady().ms_since(upload.touched)).unwrap_or(i64::MAX);
        let left_ms = UPLOAD_IDLE_MS.saturating_sub(idle_ms).max(0);
        // To the second, so that two looks between which nothing came tell the same.
        let expires_at = Timestamp(store.now().plus_ms(left_ms).0 / 1_000 * 1_000);
        let AnnouncedFile { name, bytes, .. } = upload.file;
        UploadStatus { id: upload.id, name, bytes, offset: upload.progress.received, expires_at }
    }

    /// Gives a file of which all has come its place and its hash.
    pub(in crate::service) async fn finish_upload(&self, upload: &UploadRecord) -> Result<(), ApiError> {
        let store = &self.parts().store;
        let finished = store.file_store().finish_pieces(upload.pieces(), &upload.file.name).await;
        let stored = finished.map_err(|error| self.piece_fault(error))?;
        Ok(store.note_whole(upload, &stored).await?)
    }

    /// Bytes could not be written.
    fn piece_fault(&self, error: StoreError) -> ApiError {
        self.parts().store.record_full(&error);
        error.into()
    }
}

/// Refuses what cannot be the name of a file.
fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(ApiError::invalid(format!("name: expected 1 to {NAME_BYTES_MAX} bytes.")));
    }
    if name.contains('\0') {
        return Err(ApiError::invalid("name: holds a NUL, which no system takes."));
    }
    Ok(())
}
