//! One `serve` per data folder, or one per folder to work in: an OS lock that dies with the process.
//!
//! Called at start. While a [`FolderLock`] lives, no other process of this kind holds the same folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Name of the lock in a folder of one process among others.
const OWN_LOCK_NAME: &str = "lock";
/// Name of the lock that is held while such folders are made and removed.
const MAKING_LOCK_NAME: &str = "making.lock";
/// Bytes of the lock file that are read for its holder.
const HOLDER_BYTES_MAX: u64 = 64;

/// Why the folder cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("the data folder {folder} is held by another milepost serve ({holder})", folder = folder.display())]
    Held {
        /// Which folder.
        folder: PathBuf,
        /// Who, as far as it has said.
        holder: String,
    },
    /// The file system said no.
    #[error("cannot lock the data folder {folder}", folder = folder.display())]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The right to a data folder, for as long as it lives.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    /// The folder itself, which nobody can remove and make anew as they can the file. None where the file system locks no
    /// folders.
    _folder: Option<File>,
}

impl FolderLock {
    /// Makes a folder of this process's own in `parent`, and removes those of processes that are gone.
    ///
    /// # Errors
    /// If the file system says no.
    pub fn fresh_within(parent: &Path) -> Result<(Self, PathBuf), LockError> {
        let failed = |source| LockError::Io { folder: parent.to_owned(), source };
        std::fs::create_dir_all(parent).map_err(failed)?;
        // Held from the making of a folder to its own lock: until then it looks like one of a process that is gone.
        let making = File::create(parent.join(MAKING_LOCK_NAME)).map_err(failed)?;
        making.lock().map_err(failed)?;
        for entry in std::fs::read_dir(parent).map_err(failed)? {
            let folder = entry.map_err(failed)?.path();
            let left = File::open(folder.join(OWN_LOCK_NAME)).is_ok_and(|lock| lock.try_lock().is_ok());
            if left && let Err(fault) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(folder = %folder.display(), %fault, "the folder of an old process stays behind");
            }
        }
        let folder = parent.join(&crate::service::secret::fresh()[..16]);
        let lock = Self::take(&folder, OWN_LOCK_NAME)?;
        Ok((lock, folder))
    }

    /// Makes the folder and takes the lock named `name` in it.
    ///
    /// # Errors
    /// If another process holds it, or the file system says no.
    pub fn take(folder: &Path, name: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(name))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(HOLDER_BYTES_MAX).read_to_string(&mut text);
                let holder = match (read, text.trim()) {
                    (Ok(_), pid) if !pid.is_empty() => format!("process {pid}"),
                    _ => "process unknown".to_owned(),
                };
                return Err(LockError::Held { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let itself = File::open(folder).map_err(failed)?;
        let itself = match itself.try_lock() {
            Ok(()) => Some(itself),
            Err(TryLockError::WouldBlock) => {
                let holder = "process unknown: its lock file was removed".to_owned();
                return Err(LockError::Held { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(_unsupported)) => None,
        };
        let said = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_start| writeln!(file, "{}", std::process::id()))
            .and_then(|()| file.flush());
        match said {
            // On a full disk it holds the folder without saying who it is.
            Err(fault) if fault.kind() == std::io::ErrorKind::StorageFull => {}
            said => said.map_err(failed)?,
        }
        Ok(Self { _file: file, _folder: itself })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_living_processes_stay() {
        let parent = tempfile::tempdir().unwrap();
        let (gone, old) = FolderLock::fresh_within(parent.path()).unwrap();
        std::fs::write(old.join("draft"), "x").unwrap();
        drop(gone);
        let (_living, kept) = FolderLock::fresh_within(parent.path()).unwrap();
        let (_new, own) = FolderLock::fresh_within(parent.path()).unwrap();
        assert!(!old.exists() && kept.exists() && own.exists());
        assert_ne!(kept, own);
    }

    #[test]
    fn a_folder_is_held_once_and_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path(), "milepost.lock").unwrap();
        let refused = FolderLock::take(folder.path(), "milepost.lock").unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        std::fs::remove_file(folder.path().join("milepost.lock")).unwrap();
        let refused = FolderLock::take(folder.path(), "milepost.lock").unwrap_err().to_string();
        assert!(refused.contains("is held by another"), "without its file too: {refused}");
        drop(held);
        FolderLock::take(folder.path(), "milepost.lock").unwrap();
    }
}
