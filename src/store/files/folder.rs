//! File contents in a folder of this machine: what is kept survives a power cut.
//!
//! A large file is written as a draft and becomes visible by rename. Small ones are written in groups under their final
//! names and synced together, and nobody knows their keys before that.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

use super::content::ContentStream;

/// Folder of drafts inside the file store.
const DRAFTS: &str = "tmp";
/// Bytes read at once where a file is sent.
const CHUNK_BYTES: usize = 64 * 1024;
/// Files of a group from which on the whole file system is synced at once, where that is as safe; fewer are synced one by
/// one, so that a single file does not wait for what others are writing.
const GROUP_SYNC_FILES: usize = 8;

/// Permissions of a content: a task that changes its input would change it for all that share it.
pub(super) const CONTENT_MODE: u32 = 0o444;

/// How a group of files is made to survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GroupSync {
    /// One call for the whole file system.
    Whole,
    /// A call for each file and folder.
    Each,
}

/// A folder of file contents: one of 256 shelves for each first byte of a key, and one for drafts. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    sync: GroupSync,
}

/// A large file being written: removed again if dropped before [`FolderUpload::keep`].
#[derive(Debug)]
pub(super) struct FolderUpload {
    folder: Folder,
    key: String,
    file: File,
    kept: bool,
}

impl Folder {
    pub(super) async fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(DRAFTS)).await?;
        Ok(Self { root: root.to_owned(), sync: group_sync(root) })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file of `key` is.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        // Keys come from rows; one that is none of ours leads nowhere outside.
        let plain = key.len() >= 3 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain { self.root.join(&key[..2]).join(key) } else { self.draft_path("no-such-key") }
    }

    fn draft_path(&self, name: &str) -> PathBuf {
        self.root.join(DRAFTS).join(name)
    }

    pub(super) fn shelf(&self, key: &str) -> PathBuf {
        let mut shelf = self.path(key);
        shelf.pop();
        shelf
    }

    /// Begins a large file with its first bytes.
    pub(super) async fn begin(&self, key: &str, first: &[u8]) -> io::Result<FolderUpload> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(CONTENT_MODE)
            .open(self.draft_path(key))
            .await?;
        let mut upload = FolderUpload { folder: self.clone(), key: key.to_owned(), file, kept: false };
        upload.write(first).await?;
        Ok(upload)
    }

    /// Moves a finished file of the same file system in as the draft of `key`; none where it cannot be moved.
    pub(super) async fn begin_with(&self, key: &str, path: &Path) -> io::Result<Option<FolderUpload>> {
        let draft = self.draft_path(key);
        if fs::rename(path, &draft).await.is_err() {
            return Ok(None);
        }
        // A rename keeps the time at which the task (or whoever it copied from) wrote it: the sweep goes by age.
        let touched = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(draft)?;
            file.set_modified(std::time::SystemTime::now())?;
            file.set_permissions(std::fs::Permissions::from_mode(CONTENT_MODE))?;
            Ok::<_, io::Error>(file)
        });
        let file = File::from_std(touched.await.map_err(io::Error::other)??);
        Ok(Some(FolderUpload { folder: self.clone(), key: key.to_owned(), file, kept: false }))
    }

    /// Writes small files, all of them or none, and syncs them.
    pub(super) async fn write_all(&self, files: Vec<(String, Bytes)>) -> io::Result<()> {
        let folder = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            let written = folder.write_group(&files);
            if written.is_err() {
                // The disk may be full: what nobody will name gives its room back at once. What stays goes with the sweep.
                for (key, _content) in &files {
                    let _left_for_the_sweep = std::fs::remove_file(folder.path(key));
                }
            }
            written
        });
        written.await.map_err(io::Error::other)?
    }

    fn write_group(&self, files: &[(String, Bytes)]) -> io::Result<()> {
        let whole = self.sync == GroupSync::Whole && files.len() >= GROUP_SYNC_FILES;
        let mut folders = BTreeSet::new();
        for (key, content) in files {
            let path = self.path(key);
            let mut file = match new_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(self.shelf(key))?;
                    folders.insert(self.root.clone());
                    new_file(&path)?
                }
                opened => opened?,
            };
            file.write_all(content)?;
            if !whole {
                file.sync_all()?;
                folders.insert(self.shelf(key));
            }
        }
        if whole {
            return sync_file_system(&self.root);
        }
        folders.iter().try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
    }

    /// As [`super::FileStore::read_range`].
    pub(super) async fn read_range(&self, key: &str, range: Range<u64>) -> io::Result<ContentStream> {
        let mut file = File::open(self.path(key)).await?;
        if range.start > 0 {
            file.seek(io::SeekFrom::Start(range.start)).await?;
        }
        let part = file.take(range.end.saturating_sub(range.start));
        Ok(ReaderStream::with_capacity(part, CHUNK_BYTES).boxed())
    }

    /// Takes a file away; a missing one is no error.
    pub(super) async fn remove(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// As [`super::FileStore::aged`].
    pub(super) async fn aged(
        &self,
        shelf: u8,
        age: Duration,
        skip: usize,
        most: usize,
    ) -> io::Result<Vec<String>> {
        for draft in aged_names(&self.root.join(DRAFTS), age, 0, most).await? {
            fs::remove_file(self.draft_path(&draft)).await?;
        }
        aged_names(&self.root.join(format!("{shelf:02x}")), age, skip, most).await
    }
}

/// The calls that decide here are those of file systems of the disk itself; of others, which may hand a file's sync on to
/// a server and a whole one not, each file is synced.
#[cfg(target_os = "linux")]
fn group_sync(root: &Path) -> GroupSync {
    const EXT: u64 = 0xEF53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683E;
    const F2FS: u64 = 0xF2F5_2010;
    const TMPFS: u64 = 0x0102_1994;
    const OVERLAY: u64 = 0x794C_7630;
    let kind = rustix::fs::statfs(root).ok().and_then(|found| u64::try_from(found.f_type).ok());
    match kind {
        Some(EXT | XFS | BTRFS | F2FS | TMPFS | OVERLAY) => GroupSync::Whole,
        Some(_) | None => GroupSync::Each,
    }
}

#[cfg(not(target_os = "linux"))]
fn group_sync(_root: &Path) -> GroupSync {
    GroupSync::Each
}

/// Waits until all that was written to the file system survives a power cut. Writes that failed are reported by Linux from
/// 5.8 on.
#[cfg(target_os = "linux")]
fn sync_file_system(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(std::fs::File::open(folder)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_folder: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn new_file(path: &Path) -> io::Result<std::fs::File> {
    std::fs::File::options().write(true).create_new(true).mode(CONTENT_MODE).open(path)
}

/// Waits until the names in a folder survive a power cut.
pub(super) async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

async fn aged_names(folder: &Path, age: Duration, skip: usize, most: usize) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut skipped = 0;
    let mut entries = match fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    while let Some(entry) = entries.next_entry().await? {
        let changed = entry.metadata().await?.modified()?;
        let old = changed.elapsed().is_ok_and(|since| since > age);
        if let (true, Some(name)) = (old, entry.file_name().to_str()) {
            skipped += 1;
            if skipped <= skip {
                continue;
            }
            names.push(name.to_owned());
            if names.len() == most {
                break;
            }
        }
    }
    Ok(names)
}

impl FolderUpload {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Where it lies so far.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.draft_path(&self.key)
    }

    /// Syncs and renames.
    pub(super) async fn keep(mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let shelf = self.folder.shelf(&self.key);
        if fs::metadata(&shelf).await.is_err() {
            fs::create_dir_all(&shelf).await?;
            sync_folder(&self.folder.root).await?;
        }
        fs::rename(self.path(), self.folder.path(&self.key)).await?;
        self.kept = true;
        sync_folder(&shelf).await
    }
}

impl Drop for FolderUpload {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing waits for a drop; what cannot be removed now goes with the sweep.
            let _left_for_the_sweep = std::fs::remove_file(self.path());
        }
    }
}
