//! Files that come in pieces: a row each, from the moment that it is announced until a batch has taken it.
//!
//! ```text
//! mod   announced, gone on with     claims   taken for a batch     removal   on request, and when nothing comes
//! ```
//!
//! Whoever adds to a file has written its name into the row last ([`Store::take_upload`]); a note of somebody who was
//! overtaken changes nothing. While there is a row, its content stays, whether an item names it yet or not; so a content is
//! handed from here to the rows of items without a moment in which nobody names it.

mod claims;
mod removal;

use sea_orm::{ConnectionTrait, Value};

use super::Store;
use super::backend::{Durability, count, int, one, row, run};
use super::entity::uploads;
use super::error::StoreError;
use super::files::{Pieces, Progress, Stored};
use crate::protocol::Timestamp;

/// For so long a file may go without a byte; then it is removed.
pub const UPLOAD_IDLE_MS: i64 = 24 * 3_600 * 1_000;
/// Files of one person that have been announced and not taken; one more is refused.
pub const UPLOADS_PER_PERSON_MAX: u64 = 1_000;

/// A file that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedFile {
    /// Who sends it.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// A file that comes in pieces, as of the last note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRecord {
    /// Which.
    pub id: String,
    /// What was announced.
    pub file: AnnouncedFile,
    /// How much of it survives.
    pub progress: Progress,
    /// What it became, once it is whole.
    pub stored: Option<Stored>,
    /// True while a batch is being made of it.
    pub claimed: bool,
    /// When a byte came last, by the steady clock.
    pub touched: Timestamp,
    key: String,
}

impl UploadRecord {
    /// What the file store is told of it.
    #[must_use]
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { key: &self.key, bytes: self.file.bytes, progress: &self.progress }
    }
}

fn to_upload(row: uploads::Model) -> Result<UploadRecord, StoreError> {
    let (bytes, received) = (count(row.bytes)?, count(row.received)?);
    let stored = row.blake3.map(|blake3| Stored {
        key: row.key.clone(),
        bytes,
        blake3,
        media_type: row.media_type.unwrap_or_default(),
    });
    Ok(UploadRecord {
        id: row.id,
        file: AnnouncedFile { owner: row.owner, name: row.name, bytes },
        progress: Progress { received, parts: row.parts },
        stored,
        claimed: row.claim.is_some(),
        touched: Timestamp(row.touched),
        key: row.key,
    })
}

impl Store {
    /// Announces a file. `bytes_max` bounds all that the person has announced, this one included.
    ///
    /// # Errors
    /// [`StoreError::OverBound`], which names the bound; outages.
    pub async fn announce_upload(
        &self,
        file: AnnouncedFile,
        bytes_max: u64,
    ) -> Result<UploadRecord, StoreError> {
        let tx = self.inner.backend.write().await?;
        let text = "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM uploads WHERE owner = $1";
        let held = row(&tx, text, vec![file.owner.clone().into()]).await?;
        let held = held.ok_or_else(|| StoreError::Invariant("a count has no row".to_owned()))?;
        let (files, bytes) = (count(held.try_get_by_index(0)?)?, count(held.try_get_by_index(1)?)?);
        if files >= UPLOADS_PER_PERSON_MAX {
            let what = format!("{UPLOADS_PER_PERSON_MAX} uploads that no batch has taken");
            return Err(StoreError::OverBound(what));
        }
        if bytes.saturating_add(file.bytes) > bytes_max {
            return Err(StoreError::OverBound(format!(
                "{bytes_max} bytes of uploads that no batch has taken"
            )));
        }
        let id = format!("{:032x}", rand::random::<u128>());
        let key = self.file_store().new_key();
        let text = "INSERT INTO uploads (id, owner, name, bytes, received, \"key\", writer, touched) \
             VALUES ($1, $2, $3, $4, 0, $5, '', $6)";
        let touched = self.steady();
        let values = vec![
            id.clone().into(),
            file.owner.clone().into(),
            file.name.clone().into(),
            int(file.bytes).into(),
            key.clone().into(),
            touched.0.into(),
        ];
        run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        let progress = Progress { received: 0, parts: None };
        Ok(UploadRecord { id, file, progress, stored: None, claimed: false, touched, key })
    }

    /// The upload `id`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn upload(&self, id: &str) -> Result<UploadRecord, StoreError> {
        upload_in(self.inner.backend.reader(), id).await
    }

    /// As [`Store::upload`], for `writer` to go on with: from here on nobody else's notes count.
    ///
    /// # Errors
    /// As [`Store::upload`]; it is not there either while a batch takes it.
    pub async fn take_upload(&self, id: &str, writer: &str) -> Result<UploadRecord, StoreError> {
        let tx = self.inner.backend.write().await?;
        let text = "UPDATE uploads SET writer = $2 WHERE id = $1 AND claim IS NULL";
        if run(&tx, text, vec![id.into(), writer.into()]).await? == 0 {
            return Err(StoreError::NotFound("upload"));
        }
        let taken = upload_in(&tx, id).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(taken)
    }

    /// Notes what has come to `upload`; false where somebody else goes on with it by now.
    ///
    /// # Errors
    /// Outages.
    pub async fn note_progress(
        &self,
        upload: &UploadRecord,
        writer: &str,
        progress: &Progress,
    ) -> Result<bool, StoreError> {
        let text = "UPDATE uploads SET received = $3, parts = $4, touched = $5 WHERE id = $1 AND writer = $2";
        let values = vec![
            upload.id.clone().into(),
            writer.into(),
            int(progress.received).into(),
            progress.parts.clone().into(),
            self.steady().0.into(),
        ];
        Ok(self.change_upload(text, values).await? == 1)
    }

    /// Notes that `upload` is whole.
    ///
    /// # Errors
    /// Outages.
    pub async fn note_whole(&self, upload: &UploadRecord, stored: &Stored) -> Result<(), StoreError> {
        let text = "UPDATE uploads SET blake3 = $2, media_type = $3 WHERE id = $1 AND received = bytes AND claim IS NULL";
        let values =
            vec![upload.id.clone().into(), stored.blake3.clone().into(), stored.media_type.clone().into()];
        self.change_upload(text, values).await.map(drop)
    }

    /// One change that is durable before the answer; how many rows it touched.
    async fn change_upload(&self, text: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        let tx = self.inner.backend.write().await?;
        let touched = run(&tx, text, values).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(touched)
    }
}

async fn upload_in<C: ConnectionTrait>(connection: &C, id: &str) -> Result<UploadRecord, StoreError> {
    let text = "SELECT * FROM uploads WHERE id = $1";
    let found: Option<uploads::Model> = one(connection, text, vec![id.into()]).await?;
    to_upload(found.ok_or(StoreError::NotFound("upload"))?)
}
