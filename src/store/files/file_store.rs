//! File contents under generated keys, in a folder of this machine or in a bucket.
//!
//! A key is never given to another content. What a row names has been stored before, and survives a power cut.

use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::bucket::{Bucket, BucketOptions};
use super::content::{ContentStream, Digest, READ_BYTES, SMALL_FILE_BYTES_MAX, SealedFile};
use super::draft::Draft;
use super::folder::Folder;
use super::local_file::LocalFile;
use super::place::Place;
use crate::fault::Point;
use crate::store::error::StoreError;

/// File contents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileStore {
    place: Place,
}

impl FileStore {
    /// Opens (and makes) the folder, or the bucket where one is given; of a bucket nothing is asked yet.
    ///
    /// # Errors
    /// Where the folder cannot be made, or the settings of the bucket make no sense.
    pub async fn open(folder: &Path, bucket: Option<&BucketOptions>) -> Result<Self, StoreError> {
        let place = match bucket {
            Some(options) => Place::Bucket(Bucket::new(options)?),
            None => Place::Folder(Folder::open(folder).await?),
        };
        Ok(Self { place })
    }

    #[cfg(test)]
    pub(super) fn of(place: Place) -> Self {
        Self { place }
    }

    /// Writes, reads and removes a small content in a bucket; of a folder nothing needs to be tried.
    ///
    /// # Errors
    /// [`StoreError::FilesAway`] with what is wrong, for whoever set it up.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.place {
            Place::Folder(_) => Ok(()),
            Place::Bucket(bucket) => bucket.check().await,
        }
    }

    /// A cheap look whether contents can be reached; at most one request in some seconds.
    ///
    /// # Errors
    /// [`StoreError::FilesAway`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.place {
            Place::Folder(_) => Ok(()),
            Place::Bucket(bucket) => bucket.ping().await,
        }
    }

    /// True where the last request did not reach the bucket.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match &self.place {
            Place::Folder(_) => false,
            Place::Bucket(bucket) => bucket.is_away(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// A key for a content that is to come.
    #[must_use]
    pub fn new_key(&self) -> String {
        new_key()
    }

    /// Starts a file.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::new(self.place.clone(), new_key())
    }

    /// Where the file of `key` is, if on this machine.
    #[must_use]
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path(key)),
            Place::Bucket(_) => None,
        }
    }

    /// Stores the contents that are held in memory. On return all survive a power cut.
    ///
    /// # Errors
    /// Where one cannot be stored: then all count as not stored, and what was goes with the sweep.
    pub async fn keep_all(&self, files: impl Iterator<Item = &SealedFile> + Send) -> Result<(), StoreError> {
        self.place.keep_all(files).await
    }

    /// Takes a finished file in that a task left at `path`, whence it may be gone then. The caller has made sure that it is
    /// a plain file. Where it becomes `unwanted`, or the caller goes away, nothing of it stays.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub async fn adopt(
        &self,
        path: &Path,
        name: &str,
        unwanted: &CancellationToken,
    ) -> Result<SealedFile, StoreError> {
        let sealed = match read_small(path.to_owned()).await? {
            Some((digest, content)) => {
                let stored = digest.stored(new_key(), name);
                SealedFile { stored, content: Some(content) }
            }
            None => self.adopt_large(path, name, unwanted).await?,
        };
        Point::FileAdopted.pass()?;
        Ok(sealed)
    }

    async fn adopt_large(
        &self,
        path: &Path,
        name: &str,
        unwanted: &CancellationToken,
    ) -> Result<SealedFile, StoreError> {
        let key = new_key();
        let mut draft = Draft::new(self.place.clone(), key.clone());
        if let Place::Folder(folder) = &self.place
            && let Some(moved) = folder.begin_with(&key, path).await?
        {
            return draft.take_over(moved, name, unwanted).await;
        }
        let mut source = tokio::fs::File::open(path).await?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut source, &mut buffer).await?;
            if read == 0 {
                return draft.seal(name).await;
            }
            if unwanted.is_cancelled() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            draft.write(&buffer[..read]).await?;
        }
    }

    /// The bytes of `range`, which lies within the content, as they come. That there is such a content shows before the
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Io`] of kind `NotFound`; [`StoreError::FilesAway`]; other faults of the disk.
    pub async fn read_range(&self, key: &str, range: Range<u64>) -> Result<ContentStream, StoreError> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.read_range(key, range).await?),
            Place::Bucket(bucket) => bucket.read_range(key, range).await,
        }
    }

    /// The content of `key`, of `bytes` bytes, as a file of this machine: for a bucket a copy at `copy_path`, which goes
    /// with the answer. Waits while other copies take the room that there is for them.
    ///
    /// # Errors
    /// As [`FileStore::read_range`].
    pub async fn local_file(
        &self,
        key: &str,
        bytes: u64,
        copy_path: impl FnOnce() -> PathBuf,
    ) -> Result<LocalFile, StoreError> {
        match &self.place {
            Place::Folder(folder) => Ok(LocalFile::there(folder.path(key))),
            Place::Bucket(bucket) => bucket.copy(key, bytes, copy_path()).await,
        }
    }

    /// Takes a content away; a missing one is no error.
    ///
    /// # Errors
    /// Where it is there and cannot be removed.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.remove(key).await?),
            Place::Bucket(bucket) => bucket.remove(key).await,
        }
    }

    /// As [`FileStore::remove`], of several, some at once where that is sooner.
    ///
    /// # Errors
    /// As [`FileStore::remove`]; others may have been removed.
    pub async fn remove_all(&self, keys: Vec<String>) -> Result<(), StoreError> {
        match &self.place {
            Place::Folder(folder) => {
                for key in keys {
                    folder.remove(&key).await?;
                }
                Ok(())
            }
            Place::Bucket(bucket) => bucket.remove_all(keys).await,
        }
    }

    /// Keys of contents in shelf `shelf` (of 256) that are older than `age`, at most `most` after the first `skip`; old
    /// drafts of all shelves are removed on the way.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn aged(
        &self,
        shelf: u8,
        age: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        match &self.place {
            Place::Folder(folder) => Ok(folder.aged(shelf, age, skip, most).await?),
            Place::Bucket(bucket) => bucket.aged(shelf, age, skip, most).await,
        }
    }
}

fn new_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The whole of a small file; none of a large one.
async fn read_small(path: PathBuf) -> io::Result<Option<(Digest, Bytes)>> {
    let read = tokio::task::spawn_blocking(move || {
        let source = std::fs::File::open(path)?;
        let bytes = usize::try_from(source.metadata()?.len()).unwrap_or(usize::MAX);
        if bytes > SMALL_FILE_BYTES_MAX {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(bytes + 1);
        source.take(SMALL_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
        // It may have grown since, by whoever left it and lives on.
        if content.len() > SMALL_FILE_BYTES_MAX {
            return Ok(None);
        }
        let mut digest = Digest::default();
        digest.update(&content);
        Ok(Some((digest, Bytes::from(content))))
    });
    read.await.map_err(io::Error::other)?
}
