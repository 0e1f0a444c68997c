//! A file that is coming in: hashed on the way, held in memory while it is small.

use std::io;

use tokio_util::sync::CancellationToken;

use super::bucket::BucketUpload;
use super::content::{Digest, SMALL_FILE_BYTES_MAX, SealedFile, Stored, read_chunks};
use super::folder::FolderUpload;
use super::place::Place;
use crate::fault::Point;
use crate::store::error::StoreError;

/// A file being written. Dropped before [`Draft::seal`], nothing of it stays.
#[derive(Debug)]
pub struct Draft {
    place: Place,
    key: String,
    digest: Digest,
    content: Content,
}

/// Where the bytes are that came so far.
#[derive(Debug)]
enum Content {
    Memory(Vec<u8>),
    Folder(FolderUpload),
    Bucket(BucketUpload),
}

impl Draft {
    pub(super) fn new(place: Place, key: String) -> Self {
        Self { place, key, digest: Digest::default(), content: Content::Memory(Vec::new()) }
    }

    /// Appends bytes (hashing on the way).
    ///
    /// # Errors
    /// Where they cannot be written; the draft is of no use then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.digest.update(bytes);
        let first = match &mut self.content {
            Content::Memory(held) => {
                held.extend_from_slice(bytes);
                if held.len() <= SMALL_FILE_BYTES_MAX {
                    return Ok(());
                }
                std::mem::take(held)
            }
            Content::Folder(upload) => return Ok(upload.write(bytes).await?),
            Content::Bucket(upload) => return upload.write(bytes).await,
        };
        self.content = match &self.place {
            Place::Folder(folder) => Content::Folder(folder.begin(&self.key, &first).await?),
            Place::Bucket(bucket) => Content::Bucket(bucket.begin(&self.key, first).await?),
        };
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.digest.bytes()
    }

    /// True while nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// It has come whole. A large file is stored now; a small one is given to [`super::FileStore::keep_all`] with others.
    /// `name` helps to guess the media type.
    ///
    /// # Errors
    /// Where it cannot be stored; nothing of it stays then.
    pub async fn seal(self, name: &str) -> Result<SealedFile, StoreError> {
        let stored = self.digest.stored(self.key, name);
        match self.content {
            Content::Memory(content) => return Ok(SealedFile { stored, content: Some(content.into()) }),
            Content::Folder(upload) => upload.keep().await?,
            Content::Bucket(upload) => upload.keep().await?,
        }
        Point::FileKept.pass()?;
        Ok(SealedFile { stored, content: None })
    }

    /// As [`Draft::seal`], and stores a small file as well.
    ///
    /// # Errors
    /// Where it cannot be stored; nothing of it stays then.
    pub async fn keep(self, name: &str) -> Result<Stored, StoreError> {
        let place = self.place.clone();
        let sealed = self.seal(name).await?;
        place.keep_all(std::iter::once(&sealed)).await?;
        Ok(sealed.stored)
    }

    /// Reads a file that was moved in as this draft, to hash it, until it is `unwanted`.
    pub(super) async fn take_over(
        mut self,
        upload: FolderUpload,
        name: &str,
        unwanted: &CancellationToken,
    ) -> Result<SealedFile, StoreError> {
        let (path, unwanted) = (upload.path(), unwanted.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut source = std::fs::File::open(path)?;
            let mut digest = Digest::default();
            read_chunks(&mut source, |chunk| {
                digest.update(chunk);
                // A file of any length is given up within one chunk.
                if unwanted.is_cancelled() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
            })?;
            Ok::<_, io::Error>(digest)
        });
        self.digest = read.await.map_err(io::Error::other)??;
        self.content = Content::Folder(upload);
        self.seal(name).await
    }
}
