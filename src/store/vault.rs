//! File contents on disk: drafts that become visible by rename, under generated keys.
//!
//! Owns the folder of files. Called by intake (uploads), slots (outputs), the server (downloads) and the sweep.
//! Invariant: a key is never reused and names a whole, synced file or nothing. Deliberately knows neither batch
//! nor person: what names a key is a row.

use std::path::{Path, PathBuf};

/// The folder of files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault {
    root: PathBuf,
}

/// A file being written: removed again if dropped before [`Draft::keep`].
#[derive(Debug)]
pub struct Draft {
    _stub: (),
}

/// A file that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Key in the vault.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// BLAKE3, lower-case hexadecimal.
    pub blake3: String,
    /// Media type by content, a hint.
    pub media_type: String,
}

#[expect(clippy::unused_async, unused_variables, clippy::unused_self, reason = "stub")]
impl Vault {
    /// Opens (and makes) the folder.
    pub async fn open(root: &Path) -> std::io::Result<Self> {
        todo!()
    }
    /// Starts a file.
    pub async fn draft(&self) -> std::io::Result<Draft> {
        todo!()
    }
    /// Where the file of `key` is.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }
    /// Moves a finished file that a task left at `path` into the vault (hash, sync, rename).
    pub async fn adopt(&self, path: &Path, name: &str) -> std::io::Result<Stored> {
        todo!()
    }
    /// Takes a file away; a missing one is no error.
    pub async fn remove(&self, key: &str) -> std::io::Result<()> {
        todo!()
    }
}

#[expect(clippy::unused_async, unused_variables, clippy::unused_self, reason = "stub")]
impl Draft {
    /// Appends bytes (hashing on the way).
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        todo!()
    }
    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        todo!()
    }
    /// True while nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Syncs and renames; `name` helps to guess the media type.
    pub async fn keep(self, name: &str) -> std::io::Result<Stored> {
        todo!()
    }
}
