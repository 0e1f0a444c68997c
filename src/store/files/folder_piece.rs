//! Files that come in pieces, in a folder of this machine or one that several share: each grows in a folder beside the
//! shelves, and is moved to its shelf when it is whole.
//!
//! A lock on the file keeps two processes from writing it at once; it goes with the process that holds it.

use std::fs::{File as StdFile, Permissions, TryLockError};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;

use super::content::{Pieces, Progress};
use super::folder::{CONTENT_MODE, Folder, sync_folder};

/// Folder of such files inside the file store.
const GROWING: &str = "uploads";
/// Bytes after which what came is synced while more comes, so that a stop costs no more than these.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// One piece that is coming.
#[derive(Debug)]
pub struct FolderPiece {
    file: File,
    written: u64,
    synced: u64,
}

impl Folder {
    fn growing_path(&self, key: &str) -> PathBuf {
        let mut path = self.root().join(GROWING);
        // As for shelves: a key that is none of ours leads nowhere.
        let plain = key.len() >= 3 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        path.push(if plain { key } else { "no-such-key" });
        path
    }

    /// Goes on with the file of `key` after `received` bytes; what came beyond was never told to anybody, and goes.
    pub(super) async fn begin_piece(&self, key: &str, received: u64) -> io::Result<Option<FolderPiece>> {
        let (folder, path) = (self.root().join(GROWING), self.growing_path(key));
        let opened = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let mut file = StdFile::options().write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(fault)) => return Err(fault),
            }
            if file.metadata()?.len() < received {
                let what = "what came of an upload before is not there any more";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            file.set_len(received)?;
            file.seek(SeekFrom::Start(received))?;
            if received == 0 {
                // Its name must survive with its bytes.
                StdFile::open(&folder)?.sync_all()?;
            }
            Ok(Some(file))
        });
        let file = opened.await.map_err(io::Error::other)??;
        Ok(file.map(|file| FolderPiece { file: File::from_std(file), written: received, synced: received }))
    }

    /// Moves a file, which is whole, to its shelf; one that is there was moved before.
    pub(super) async fn finish_pieces(&self, pieces: Pieces<'_>) -> io::Result<()> {
        let key = pieces.key;
        if pieces.bytes == 0
            && let Some(empty) = self.begin_piece(key, 0).await?
        {
            empty.end().await?;
        }
        let (growing, shelf) = (self.growing_path(key), self.shelf(key));
        if let Err(fault) = fs::set_permissions(&growing, Permissions::from_mode(CONTENT_MODE)).await {
            let is_moved =
                fault.kind() == io::ErrorKind::NotFound && fs::metadata(self.path(key)).await.is_ok();
            return if is_moved { Ok(()) } else { Err(fault) };
        }
        if fs::metadata(&shelf).await.is_err() {
            fs::create_dir_all(&shelf).await?;
            sync_folder(self.root()).await?;
        }
        fs::rename(growing, self.path(key)).await?;
        sync_folder(&shelf).await
    }

    /// Takes the file of `key` away; a missing one is no error.
    pub(super) async fn drop_pieces(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.growing_path(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl FolderPiece {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<Option<Progress>> {
        self.file.write_all(bytes).await?;
        self.written += bytes.len() as u64;
        if self.written - self.synced < SYNC_BYTES {
            return Ok(None);
        }
        self.sync().await.map(Some)
    }

    async fn sync(&mut self) -> io::Result<Progress> {
        self.file.flush().await?;
        self.file.sync_data().await?;
        self.synced = self.written;
        Ok(Progress { received: self.written, parts: None })
    }

    pub(super) async fn end(mut self) -> io::Result<Progress> {
        self.sync().await
    }
}
