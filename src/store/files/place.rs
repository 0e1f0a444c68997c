//! Where contents are: a folder of this machine, or a bucket.

use bytes::Bytes;

use super::bucket::Bucket;
use super::content::SealedFile;
use super::folder::Folder;
use crate::fault::Point;
use crate::store::error::StoreError;

/// Where contents are. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

impl Place {
    /// As [`super::FileStore::keep_all`].
    pub(super) async fn keep_all(
        &self,
        files: impl Iterator<Item = &SealedFile> + Send,
    ) -> Result<(), StoreError> {
        let held: Vec<(String, Bytes)> = files
            .filter_map(|file| file.content.clone().map(|content| (file.stored.key.clone(), content)))
            .collect();
        let count = held.len();
        if count == 0 {
            return Ok(());
        }
        match self {
            Place::Folder(folder) => folder.write_all(held).await?,
            Place::Bucket(bucket) => bucket.put_all(held).await?,
        }
        for _file in 0..count {
            Point::FileKept.pass()?;
        }
        Ok(())
    }
}
