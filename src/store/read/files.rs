//! Files as rows: what an item took and what it left.
//!
//! Owns the reads of files. Called by service (downloads, results). Invariant: a file that an item left is seen only
//! while a committed outcome names it. Deliberately does not touch contents: that is the vault's.

use crate::protocol::{FileRow, Seq};
use crate::store::Store;
use crate::store::backend::{all, count, int};
use crate::store::entity::files;
use crate::store::error::StoreError;
use crate::store::records::{BatchRecord, FileRecord, FileSide, SeqRange};

fn to_file(row: files::Model) -> Result<FileRecord, StoreError> {
    Ok(FileRecord {
        side: match row.side.as_str() {
            "input" => FileSide::Input,
            "output" => FileSide::Output,
            side => return Err(StoreError::Invariant(format!("file {} is {side:?}", row.id))),
        },
        seq: count(row.seq)?,
        row: FileRow { name: row.name, bytes: count(row.bytes)?, media_type: row.media_type },
        key: row.key,
        blake3: row.blake3,
    })
}

impl Store {
    /// The stored file `name` of an item: as left by its committed outcome, or its input.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn item_file(
        &self,
        batch: &BatchRecord,
        seq: Seq,
        name: &str,
    ) -> Result<FileRecord, StoreError> {
        // `output` sorts after `input`: what was left goes before what was taken.
        let text = "SELECT * FROM files WHERE batch = $1 AND seq = $2 AND name = $3 ORDER BY side DESC, id DESC \
             LIMIT 1";
        let values = vec![batch.key.into(), int(seq).into(), name.into()];
        let found: Vec<files::Model> = all(self.inner.backend.reader(), text, values).await?;
        to_file(found.into_iter().next().ok_or(StoreError::NotFound("file"))?)
    }

    /// Files of the items in `range`, in order of seq and name.
    ///
    /// # Errors
    /// Outages.
    pub async fn files(&self, batch: &BatchRecord, range: SeqRange) -> Result<Vec<FileRecord>, StoreError> {
        let text =
            "SELECT * FROM files WHERE batch = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq, name, side, id";
        let values = vec![batch.key.into(), int(range.first).into(), int(range.last).into()];
        let found: Vec<files::Model> = all(self.inner.backend.reader(), text, values).await?;
        found.into_iter().map(to_file).collect()
    }
}
