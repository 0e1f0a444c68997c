//! Files that come in pieces, in a bucket: full parts go into a multipart upload of the bucket's own, and what is left of a
//! piece goes aside as an object until the next piece makes a part of it; what lies aside goes with the end of the file.
//!
//! So any node can go on with it, and nothing of it is on a machine. What the bucket has said of the parts is kept in the
//! database; a part that was sent and not noted there is sent again under the same number.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::multipart::PartId;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Bucket, object_path};
use crate::store::error::StoreError;
use crate::store::files::content::{Pieces, Progress};

/// Bytes of a part at least; servers want 5 MiB.
const PART_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Parts of one file at most; servers take 10,000.
const PARTS_MAX: u64 = 9_000;
/// Where what is left of pieces lies, by key of the content and number of the part that it begins.
const ASIDE: &str = "uploads";

/// What is kept between two pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    /// The bucket's name for the multipart upload, once there is one.
    upload: Option<String>,
    /// Its names for the parts.
    ids: Vec<String>,
    /// What lies aside.
    aside: Option<Aside>,
    /// True once the content itself was written, without parts.
    #[serde(default)]
    whole: bool,
}

/// The beginning of a part, which lies aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Aside {
    /// Under a name of its own each time, so that somebody who comes late overwrites nothing.
    name: String,
    bytes: u64,
}

impl Parts {
    fn read(progress: &Progress) -> Result<Self, StoreError> {
        let Some(text) = &progress.parts else { return Ok(Self::default()) };
        serde_json::from_str(text)
            .map_err(|fault| StoreError::Invariant(format!("the parts of an upload cannot be read: {fault}")))
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always print")
    }

    fn part_ids(&self) -> Vec<PartId> {
        self.ids.iter().map(|id| PartId { content_id: id.clone() }).collect()
    }
}

/// One piece that is coming.
#[derive(Debug)]
pub struct BucketPiece {
    bucket: Bucket,
    key: String,
    bytes: u64,
    received: u64,
    parts: Parts,
    /// Of the part that is being filled.
    filling: Vec<u8>,
}

fn aside_folder(key: &str) -> Path {
    // As for contents: a key that is none of ours leads to nothing.
    let plain = key.len() >= 3 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Path::from_iter([ASIDE, if plain { key } else { "no-such-key" }])
}

fn aside_path(key: &str, name: &str) -> Path {
    aside_folder(key).join(name)
}

impl Bucket {
    /// Goes on with a file.
    pub(in crate::store::files) async fn begin_piece(
        &self,
        pieces: Pieces<'_>,
    ) -> Result<BucketPiece, StoreError> {
        let parts = Parts::read(pieces.progress)?;
        let mut filling = Vec::new();
        if let Some(aside) = &parts.aside {
            let read = self.objects.get_range(&aside_path(pieces.key, &aside.name), 0..aside.bytes).await;
            filling.extend_from_slice(&self.reach.reported("read from", read)?);
        }
        Ok(BucketPiece {
            bucket: self.clone(),
            key: pieces.key.to_owned(),
            bytes: pieces.bytes,
            received: pieces.progress.received,
            parts,
            filling,
        })
    }

    /// Makes one content of all parts; what was done before is not done again.
    pub(in crate::store::files) async fn finish_pieces(&self, pieces: Pieces<'_>) -> Result<(), StoreError> {
        let parts = Parts::read(pieces.progress)?;
        let path = object_path(pieces.key);
        if pieces.bytes == 0 {
            let put = self.objects.put(&path, Bytes::new().into()).await;
            self.reach.reported("write to", put)?;
        }
        if let Some(upload) = &parts.upload {
            // After a stop between this and its note in the database, the bucket knows the upload no more.
            let is_there = self.objects.head(&path).await.is_ok_and(|found| found.size == pieces.bytes);
            if !is_there {
                let completed = self.multiparts.complete_multipart(&path, upload, parts.part_ids()).await;
                self.reach.reported("write to", completed)?;
            }
        }
        self.drop_aside(pieces.key).await
    }

    /// Takes away what came of a file.
    pub(in crate::store::files) async fn drop_pieces(&self, pieces: Pieces<'_>) -> Result<(), StoreError> {
        let parts = Parts::read(pieces.progress)?;
        if let Some(upload) = &parts.upload {
            match self.multiparts.abort_multipart(&object_path(pieces.key), upload).await {
                // Completed, or aborted before.
                Err(object_store::Error::NotFound { .. }) => {}
                aborted => self.reach.reported("delete from", aborted)?,
            }
        }
        self.drop_aside(pieces.key).await
    }

    async fn drop_aside(&self, key: &str) -> Result<(), StoreError> {
        let folder = aside_folder(key);
        let found = self.objects.list(Some(&folder)).map_ok(|found| found.location).try_collect::<Vec<_>>();
        for path in self.reach.reported("list", found.await)? {
            match self.objects.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => {}
                deleted => self.reach.reported("delete from", deleted)?,
            }
        }
        Ok(())
    }
}

impl BucketPiece {
    /// Whole MiB, so that the file has no more parts than are allowed.
    fn part_bytes(&self) -> usize {
        let even = self.bytes.div_ceil(PARTS_MAX).next_multiple_of(1024 * 1024);
        usize::try_from(even.max(PART_BYTES_MIN)).unwrap_or(usize::MAX)
    }

    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<Option<Progress>, StoreError> {
        let mut progress = None;
        while !bytes.is_empty() {
            let room = self.part_bytes().saturating_sub(self.filling.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.filling.extend_from_slice(now);
            self.received += now.len() as u64;
            bytes = later;
            if self.filling.len() >= self.part_bytes() {
                self.send_part().await?;
                progress = Some(self.progress());
            }
        }
        Ok(progress)
    }

    fn progress(&self) -> Progress {
        Progress { received: self.received, parts: Some(self.parts.text()) }
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let path = object_path(&self.key);
        let bucket = self.bucket.clone();
        let upload = match &self.parts.upload {
            Some(upload) => upload.clone(),
            None => {
                let begun = bucket.multiparts.create_multipart(&path).await;
                let upload = bucket.reach.reported("write to", begun)?;
                self.parts.upload = Some(upload.clone());
                upload
            }
        };
        let part = Bytes::from(std::mem::take(&mut self.filling));
        let sent = bucket.multiparts.put_part(&path, &upload, self.parts.ids.len(), part.into()).await;
        self.parts.ids.push(bucket.reach.reported("write to", sent)?.content_id);
        self.parts.aside = None;
        Ok(())
    }

    pub async fn end(mut self) -> Result<Progress, StoreError> {
        if self.filling.is_empty() {
            return Ok(self.progress());
        }
        if self.received < self.bytes {
            let bytes = self.filling.len() as u64;
            if self.parts.aside.as_ref().is_none_or(|aside| aside.bytes < bytes) {
                let name = format!("{:016x}", rand::random::<u64>());
                let content = Bytes::from(std::mem::take(&mut self.filling));
                let put = self.bucket.objects.put(&aside_path(&self.key, &name), content.into()).await;
                self.bucket.reach.reported("write to", put)?;
                self.parts.aside = Some(Aside { name, bytes });
            }
        } else if self.parts.upload.is_some() {
            self.send_part().await?;
        } else {
            let content = Bytes::from(std::mem::take(&mut self.filling));
            let put = self.bucket.objects.put(&object_path(&self.key), content.into()).await;
            self.bucket.reach.reported("write to", put)?;
            (self.parts.aside, self.parts.whole) = (None, true);
        }
        Ok(self.progress())
    }
}
