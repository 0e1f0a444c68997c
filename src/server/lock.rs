//! One `serve` per data folder: an OS lock that dies with the process.
//!
//! Owns the lock file. Called at start. Invariant: while a [`FolderLock`] lives, no other process of this kind holds
//! the same folder. Deliberately leaves the file behind: removing it would let two hold locks on two files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

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
}

impl FolderLock {
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
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_start| writeln!(file, "{}", std::process::id()))
            .and_then(|()| file.flush())
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path(), "milepost.lock").unwrap();
        let refused = FolderLock::take(folder.path(), "milepost.lock").unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        FolderLock::take(folder.path(), "milepost.lock").unwrap();
    }
}
