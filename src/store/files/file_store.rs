//! File contents on disk: drafts that become visible by rename, under generated keys.
//!
//! A key is never reused and names a whole, synced file or nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fault::Point;

/// Folder of drafts inside the file store.
const DRAFTS: &str = "tmp";
/// Bytes read at once while a file is hashed.
const READ_BYTES: usize = 128 * 1024;
/// Bytes of a file's start that its media type is guessed from.
const HEAD_BYTES: usize = 8 * 1024;

/// The folder of files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
}

/// A file being written: removed again if dropped before [`Draft::keep`].
#[derive(Debug)]
pub struct Draft {
    root: PathBuf,
    key: String,
    file: File,
    hasher: blake3::Hasher,
    head: Vec<u8>,
    bytes: u64,
    kept: bool,
}

/// A file that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Key in the file store.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// BLAKE3, lower-case hexadecimal.
    pub blake3: String,
    /// Media type by content, a hint.
    pub media_type: String,
}

fn path_of(root: &Path, key: &str) -> PathBuf {
    // Keys come from rows; one that is none of ours leads nowhere outside.
    let plain = key.len() >= 3 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { root.join(&key[..2]).join(key) } else { root.join(DRAFTS).join("no-such-key") }
}

/// Waits until the names in a folder survive a power cut.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

fn guess(head: &[u8], name: &str) -> String {
    infer::get(head).map_or_else(
        || mime_guess::from_path(name).first_or_octet_stream().essence_str().to_owned(),
        |kind| kind.mime_type().to_owned(),
    )
}

impl FileStore {
    /// Opens (and makes) the folder.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub async fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(DRAFTS)).await?;
        Ok(Self { root: root.to_owned() })
    }

    /// Starts a file.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub async fn draft(&self) -> io::Result<Draft> {
        let key = format!("{:032x}", rand::random::<u128>());
        let path = self.root.join(DRAFTS).join(&key);
        let file = File::options().write(true).create_new(true).open(path).await?;
        Ok(Draft {
            root: self.root.clone(),
            key,
            file,
            hasher: blake3::Hasher::new(),
            head: Vec::new(),
            bytes: 0,
            kept: false,
        })
    }

    /// Where the file of `key` is.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        path_of(&self.root, key)
    }

    /// Moves a finished file that a task left at `path` into the file_store (hash, sync, rename).
    ///
    /// A file on another file system is copied. The caller has made sure that it is a plain file.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub async fn adopt(&self, path: &Path, name: &str) -> io::Result<Stored> {
        let mut draft = self.draft().await?;
        let linked = fs::rename(path, draft.path()).await.is_ok();
        let from = if linked { draft.path() } else { path.to_owned() };
        if linked {
            // A rename keeps the time at which the task (or whoever it copied from) wrote it: the sweep goes by age.
            touch(&from).await?;
        }
        let mut source = File::open(&from).await?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = source.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            if linked {
                draft.note(&buffer[..read]);
            } else {
                draft.write(&buffer[..read]).await?;
            }
        }
        if linked {
            draft.file = source;
        } else {
            fs::remove_file(path).await?;
        }
        let stored = draft.keep(name).await?;
        Point::FileAdopted.pass()?;
        Ok(stored)
    }

    /// Takes a file away; a missing one is no error.
    ///
    /// # Errors
    /// Where it is there and cannot be removed.
    pub async fn remove(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keys of kept files in shelf `shelf` (of 256) that are older than `age`, at most `most` after the first `skip`;
    /// old drafts of all shelves are removed on the way.
    pub async fn aged(&self, shelf: u8, age: Duration, skip: usize, most: usize) -> io::Result<Vec<String>> {
        for draft in aged_names(&self.root.join(DRAFTS), age, 0, most).await? {
            fs::remove_file(self.root.join(DRAFTS).join(draft)).await?;
        }
        aged_names(&self.root.join(format!("{shelf:02x}")), age, skip, most).await
    }
}

/// Makes a file as young as now.
async fn touch(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    let touched = tokio::task::spawn_blocking(move || {
        std::fs::File::open(path)?.set_modified(std::time::SystemTime::now())
    });
    touched.await.map_err(io::Error::other)?
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

impl Draft {
    fn path(&self) -> PathBuf {
        self.root.join(DRAFTS).join(&self.key)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.bytes += bytes.len() as u64;
    }

    /// Appends bytes (hashing on the way).
    ///
    /// # Errors
    /// Where they cannot be written; the draft is of no use then.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.note(bytes);
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// True while nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Syncs and renames; `name` helps to guess the media type.
    ///
    /// # Errors
    /// Where it cannot be synced or moved; the draft is removed then.
    pub async fn keep(mut self, name: &str) -> io::Result<Stored> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let to = path_of(&self.root, &self.key);
        let shelf = to.parent().expect("a key has a shelf").to_owned();
        if fs::metadata(&shelf).await.is_err() {
            fs::create_dir_all(&shelf).await?;
            sync_folder(&self.root).await?;
        }
        fs::rename(self.path(), &to).await?;
        self.kept = true;
        sync_folder(&shelf).await?;
        Point::FileKept.pass()?;
        Ok(Stored {
            key: self.key.clone(),
            bytes: self.bytes,
            blake3: self.hasher.finalize().to_hex().to_string(),
            media_type: guess(&self.head, name),
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing waits for a drop; what cannot be removed now goes with the sweep.
            let _left_for_the_sweep = std::fs::remove_file(self.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drafts_are_kept_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file_store = FileStore::open(folder.path()).await.unwrap();
        let mut draft = file_store.draft().await.unwrap();
        draft.write(b"hello ").await.unwrap();
        draft.write(b"world").await.unwrap();
        assert_eq!(draft.len(), 11);
        let stored = draft.keep("a.csv").await.unwrap();
        assert_eq!(stored.media_type, "text/csv");
        assert_eq!(stored.blake3, blake3::hash(b"hello world").to_hex().to_string());
        assert_eq!(std::fs::read(file_store.path(&stored.key)).unwrap(), b"hello world");
        drop(file_store.draft().await.unwrap());
        assert_eq!(std::fs::read_dir(folder.path().join(DRAFTS)).unwrap().count(), 0);
        file_store.remove(&stored.key).await.unwrap();
        file_store.remove(&stored.key).await.unwrap();
        assert!(!file_store.path(&stored.key).exists());
        assert!(file_store.path("../../etc/passwd").starts_with(folder.path()));
    }

    #[tokio::test]
    async fn adopted_files_move() {
        let folder = tempfile::tempdir().unwrap();
        let file_store = FileStore::open(&folder.path().join("files")).await.unwrap();
        let left = folder.path().join("out.png");
        std::fs::write(&left, b"\x89PNG\r\n\x1a\n1234").unwrap();
        let stored = file_store.adopt(&left, "out.png").await.unwrap();
        assert_eq!((stored.bytes, stored.media_type.as_str()), (12, "image/png"));
        assert!(!left.exists() && file_store.path(&stored.key).exists());
    }
}
