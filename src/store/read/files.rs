//! Files as rows: what an item took and what it left.
//!
//! A file that an item left is seen only while a committed outcome names it. Contents are the file store's.

use crate::protocol::{FileRow, Seq};
use crate::store::Store;
use crate::store::backend::{all, count, found_for_each, int, list_value};
use crate::store::entity::files;
use crate::store::error::StoreError;
use crate::store::records::{BatchRecord, FileRecord, FileSide, SeqRange};
use crate::store::tape::Ranges;

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
    /// The stored file `name` of an item: as left by its committed outcome, or its input; without `side` whichever there is,
    /// in this order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn item_file(
        &self,
        batch: &BatchRecord,
        seq: Seq,
        name: &str,
        side: Option<FileSide>,
    ) -> Result<FileRecord, StoreError> {
        // `output` sorts after `input`: what was left goes before what was taken.
        let text = "SELECT * FROM files WHERE batch = $1 AND seq = $2 AND name = $3 AND side IN ($4, $5) \
             ORDER BY side DESC, id DESC LIMIT 1";
        let (one, other) = match side {
            Some(FileSide::Input) => ("input", "input"),
            Some(FileSide::Output) => ("output", "output"),
            None => ("input", "output"),
        };
        let values = vec![batch.key.into(), int(seq).into(), name.into(), one.into(), other.into()];
        let found: Vec<files::Model> = all(self.inner.backend.reader(), text, values).await?;
        to_file(found.into_iter().next().ok_or(StoreError::NotFound("file"))?)
    }

    /// Files of the items in `ranges`, in order of seq and name.
    ///
    /// # Errors
    /// Outages.
    pub async fn files(
        &self,
        batch: &BatchRecord,
        ranges: &[SeqRange],
    ) -> Result<Vec<FileRecord>, StoreError> {
        let reader = self.inner.backend.reader();
        let of = "found.batch = $1 AND found.seq BETWEEN asked.first AND asked.last";
        let text = format!(
            "SELECT found.* {} ORDER BY found.seq, found.name, found.side, found.id",
            found_for_each(reader, "files", of)
        );
        let asked = Ranges::collect(ranges.iter().copied());
        let found: Vec<files::Model> =
            all(reader, &text, vec![batch.key.into(), list_value(&asked.pairs())]).await?;
        found.into_iter().map(to_file).collect()
    }
}
