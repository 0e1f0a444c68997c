//! A large content on its way into a bucket: sent in parts while it comes, and there when all of them are.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use tokio::task::JoinSet;
use tokio::time::Duration;

use super::reach::BucketReach;
use crate::store::error::StoreError;

/// Bytes of one part of the first thousand; servers want 5 MiB at least, and take 10,000 parts.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// After so many parts the next ones are twice as large, so that a content may have some terabytes.
const PARTS_OF_ONE_SIZE: u32 = 1_000;
/// Parts under way at once, each in memory; beyond, the one who sends waits.
const PARTS_AT_ONCE: usize = 2;
/// For so long an upload that is given up may take to be taken back; what is left then goes by the bucket's own rule.
const ABORT_TIME: Duration = Duration::from_secs(30);

/// A content being sent. Dropped before [`BucketUpload::keep`], its parts are taken back.
#[derive(Debug)]
pub struct BucketUpload {
    objects: Arc<dyn ObjectStore>,
    reach: Arc<BucketReach>,
    path: Path,
    /// The part that is being filled.
    part: Vec<u8>,
    /// Begun with the first full part.
    upload: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<object_store::Result<()>>,
    sent: u32,
}

impl BucketUpload {
    pub fn new(objects: &Arc<dyn ObjectStore>, reach: &Arc<BucketReach>, path: Path) -> Self {
        let (objects, reach) = (Arc::clone(objects), Arc::clone(reach));
        Self { objects, reach, path, part: Vec::new(), upload: None, sending: JoinSet::new(), sent: 0 }
    }

    fn part_bytes(&self) -> usize {
        PART_BYTES << (self.sent / PARTS_OF_ONE_SIZE).min(10)
    }

    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = self.part_bytes().saturating_sub(self.part.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.part.extend_from_slice(now);
            bytes = later;
            if self.part.len() >= self.part_bytes() {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        while self.sending.len() >= PARTS_AT_ONCE {
            self.part_sent().await?;
        }
        if self.upload.is_none() {
            let begun = self.objects.put_multipart(&self.path).await;
            self.upload = Some(self.reach.reported("write to", begun)?);
        }
        let part = Bytes::from(std::mem::take(&mut self.part));
        if let Some(upload) = &mut self.upload {
            self.sending.spawn(upload.put_part(part.into()));
            self.sent += 1;
        }
        Ok(())
    }

    async fn part_sent(&mut self) -> Result<(), StoreError> {
        match self.sending.join_next().await {
            None => Ok(()),
            Some(Ok(sent)) => self.reach.reported("write to", sent),
            Some(Err(broken)) => Err(StoreError::Io(std::io::Error::other(broken))),
        }
    }

    /// Sends the rest, and makes all of it one content.
    pub async fn keep(mut self) -> Result<(), StoreError> {
        if self.upload.is_none() {
            let part = Bytes::from(std::mem::take(&mut self.part));
            let put = self.objects.put(&self.path, part.into()).await;
            return self.reach.reported("write to", put).map(drop);
        }
        if !self.part.is_empty() {
            self.send_part().await?;
        }
        while !self.sending.is_empty() {
            self.part_sent().await?;
        }
        if let Some(upload) = &mut self.upload {
            let completed = upload.complete().await;
            self.reach.reported("write to", completed)?;
            self.upload = None;
        }
        Ok(())
    }
}

impl Drop for BucketUpload {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut sending = std::mem::take(&mut self.sending);
        runtime.spawn(async move {
            // A part that comes after the end of its upload would stay.
            sending.shutdown().await;
            let aborted = tokio::time::timeout(ABORT_TIME, upload.abort()).await;
            if !matches!(aborted, Ok(Ok(()))) {
                tracing::debug!("the parts of an upload stay in the bucket until its own rule removes them");
            }
        });
    }
}
