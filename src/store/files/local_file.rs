//! Contents as files of this machine, for tasks that need a path: where they lie, or a copy that goes with its item.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one permit stands for.
const PERMIT_BYTES: u64 = 64 * 1024;

/// A content as a file of this machine. A copy is removed when this is dropped.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    copy: Option<OwnedSemaphorePermit>,
}

impl LocalFile {
    /// The file of the store itself.
    pub(super) fn there(path: PathBuf) -> Self {
        Self { path, copy: None }
    }

    /// A copy that is about to be made, in the room that was given for it.
    pub(super) fn copy(path: PathBuf, room: OwnedSemaphorePermit) -> Self {
        Self { path, copy: Some(room) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if self.copy.is_some()
            && let Err(fault) = std::fs::remove_file(&self.path)
            && fault.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.path.display(), %fault, "the copy of an input stays behind");
        }
    }
}

/// The room on this machine for copies of contents: who finds none waits until others are done with theirs.
#[derive(Clone, Debug)]
pub(super) struct CopyRoom {
    free: Arc<Semaphore>,
    permits: u32,
}

impl CopyRoom {
    /// For copies of so many bytes at once.
    pub(super) fn new(bytes_max: u64) -> Self {
        let permits = permits_of(bytes_max);
        Self { free: Arc::new(Semaphore::new(permits as usize)), permits }
    }

    /// Waits for the room of one copy; a content that is larger than all of it gets all of it. Cancel-safe.
    pub(super) async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let wanted = permits_of(bytes).min(self.permits);
        let taken = Arc::clone(&self.free).acquire_many_owned(wanted).await;
        taken.expect("the semaphore is never closed")
    }
}

fn permits_of(bytes: u64) -> u32 {
    let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
    u32::try_from(bytes.div_ceil(PERMIT_BYTES).clamp(1, most)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn copies_wait_for_room() {
        let room = CopyRoom::new(1024 * 1024);
        let most = room.take(u64::MAX).await;
        assert!(room.take(1).now_or_never().is_none(), "all of it is taken");
        drop(most);
        let small = room.take(0).await;
        assert_eq!(small.num_permits(), 1);
        assert_eq!(room.take(512 * 1024).await.num_permits(), 8);
    }

    #[test]
    fn a_copy_goes_and_the_file_of_the_store_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"x").unwrap();
        drop(LocalFile::there(path.clone()));
        assert!(path.exists());
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        drop(LocalFile::copy(path.clone(), room));
        assert!(!path.exists());
    }
}
