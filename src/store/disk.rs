//! The room on the disk: a reserve that is given up when the disk is full, and made again once there is room.
//!
//! While the disk counts as full nothing new is taken, so that what the reserve gave free is left to cancels, deletes
//! and the sweep. On Postgres, whose disk is another's business, there is no reserve; what is looked at is the folder
//! of files.
//!
//! ```text
//! room ──(a write found none: the reserve goes)──► full ──(reserve and headroom fit again)──► room
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};

use super::Store;
use super::backend::{number, run};
use super::error::StoreError;

/// Bytes of the reserve: enough to take the log into the database, which on a tight disk holds little more than one
/// transaction, and then for some thousand acts on batches, or for a start.
const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that must be free beside it before the disk counts as having room again, so that it does not flap.
const HEADROOM_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of the reserve where the database has as much room in itself as the headroom: then the log alone needs the disk.
const RESERVE_BYTES_LEAST: u64 = RESERVE_BYTES / 2;
/// A start with less room than this, in bytes, gives the reserve up at once.
const START_BYTES: u64 = 1024 * 1024;
/// What is appended to the name of the database for the reserve's name.
const RESERVE_SUFFIX: &str = "-reserve";
/// Name of the file in the folder of files by which room is looked for.
const PROBE_NAME: &str = "room";
/// One in so many pages of the database may be free, for new rows; more are given back to the disk.
const FREE_PAGES_KEPT: i64 = 8;
/// Pages given back in one step.
const PAGES_STEP: i64 = 2_000;

/// Whether free pages stay in the database.
#[derive(Clone, Copy)]
enum Kept {
    None,
    Some,
}

/// The disk of a database and its files.
pub(super) struct Disk {
    /// The reserve, where this process keeps one.
    reserve: Option<PathBuf>,
    /// A folder of the file system that holds the files.
    files: PathBuf,
    full: AtomicBool,
    /// Held while the reserve is made or given up.
    changing: Mutex<()>,
}

impl Disk {
    /// For a process that runs the tape. Makes the reserve; where there is no room for a start, gives it up.
    pub(super) fn open(url: &str, files: &Path) -> io::Result<Self> {
        let reserve = url.strip_prefix("sqlite://").map(|path| {
            let mut name = path.split('?').next().unwrap_or(path).to_owned();
            name.push_str(RESERVE_SUFFIX);
            PathBuf::from(name)
        });
        if let Some(folder) = reserve.as_ref().and_then(|reserve| reserve.parent()) {
            fs::create_dir_all(folder)?;
        }
        fs::create_dir_all(files)?;
        let disk =
            Self { reserve, files: files.to_owned(), full: AtomicBool::new(false), changing: Mutex::new(()) };
        let kept = disk.reserve.as_ref().is_some_and(|path| {
            fs::metadata(path).is_ok_and(|file| file.len() >= RESERVE_BYTES_LEAST)
                && has_room(&beside(path), START_BYTES)
        });
        if !kept {
            disk.full.store(true, Ordering::Release);
            if !disk.regain(RESERVE_BYTES) {
                disk.give_up();
                tracing::error!("the disk is full: nothing new is taken until there is room");
            }
        }
        Ok(disk)
    }

    /// For a command beside the process that runs the tape.
    pub(super) fn beside(files: &Path) -> Self {
        Self {
            reserve: None,
            files: files.to_owned(),
            full: AtomicBool::new(false),
            changing: Mutex::new(()),
        }
    }

    /// True from a write that found no room until there is some again.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// A write found no room. True where that has given some free.
    fn found_full(&self) -> bool {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.full.swap(true, Ordering::AcqRel) {
            tracing::error!("the disk is full: nothing new is taken until there is room");
        }
        self.give_up()
    }

    fn give_up(&self) -> bool {
        let Some(path) = &self.reserve else { return false };
        match fs::remove_file(path) {
            Ok(()) => true,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => false,
            Err(fault) => {
                tracing::error!(path = %path.display(), %fault, "the reserve cannot be given up");
                false
            }
        }
    }

    /// Looks whether a reserve of so many bytes and the headroom fit again, and makes it then.
    fn regain(&self, reserve_bytes: u64) -> bool {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.full.load(Ordering::Acquire) {
            return true;
        }
        if !has_room(&self.files.join(PROBE_NAME), HEADROOM_BYTES) {
            return false;
        }
        if let Some(path) = &self.reserve
            && !make(path, reserve_bytes)
        {
            return false;
        }
        self.full.store(false, Ordering::Release);
        true
    }
}

/// A name for what is made before it is the reserve.
fn beside(reserve: &Path) -> PathBuf {
    let mut name = reserve.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Makes a reserve of so many bytes, where headroom is left beside it.
fn make(path: &Path, bytes: u64) -> bool {
    let draft = beside(path);
    let made = allocate(&draft, bytes + HEADROOM_BYTES)
        .and_then(|file| file.set_len(bytes))
        .and_then(|()| fs::rename(&draft, path));
    if made.is_err() {
        // What is left of it would take the very room that is missing.
        let _none_was_made = fs::remove_file(&draft);
    }
    made.is_ok()
}

/// True where a file of so many bytes fits.
fn has_room(path: &Path, bytes: u64) -> bool {
    let fits = allocate(path, bytes).is_ok();
    let _none_was_made = fs::remove_file(path);
    fits
}

/// A file with room for `bytes`, written nowhere: the blocks are the file's all the same.
fn allocate(path: &Path, bytes: u64) -> io::Result<File> {
    let file = File::create(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::OPNOTSUPP) => fill(file, bytes),
        Err(fault) => Err(fault.into()),
    }
}

/// For a file system that cannot set blocks aside: bytes that no compression takes away.
fn fill(mut file: File, bytes: u64) -> io::Result<File> {
    let mut block = vec![0_u8; 64 * 1024];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut block);
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        io::Write::write_all(&mut file, &block[..part])?;
        left -= part as u64;
    }
    file.sync_data()?;
    Ok(file)
}

impl Store {
    /// True from a write that found no room on the disk until there is some again.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        if self.inner.backend.found_no_room() {
            self.inner.disk.found_full();
        }
        self.inner.disk.is_full()
    }

    /// Refuses what is new while there is no room for it.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`].
    pub fn has_room(&self) -> Result<(), StoreError> {
        if self.is_disk_full() { Err(StoreError::DiskFull) } else { Ok(()) }
    }

    /// Takes note of an error that says that the disk is full, wherever it came up. True where room was given free, so
    /// that doing it once more may help.
    pub fn record_full(&self, error: &StoreError) -> bool {
        // Of a Postgres server's disk this machine's says nothing.
        let here = !(self.is_shared() && matches!(error, StoreError::DiskFull));
        error.is_disk_full() && here && self.inner.disk.found_full()
    }

    /// As [`Store::record_full`], of an answer.
    pub(super) fn gives_reserve<T>(&self, answer: &Result<T, StoreError>) -> bool {
        answer.as_ref().is_err_and(|error| self.record_full(error))
    }

    /// Does what must be possible on a full disk; where it found no room and the reserve has given some, does it once more.
    ///
    /// # Errors
    /// Those of `act`.
    pub(super) async fn with_reserve<T, F>(&self, act: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let done = act().await;
        if self.gives_reserve(&done) {
            return act().await;
        }
        done
    }

    /// While the disk is full: takes the log of the database into it, gives its free pages back, and looks whether there
    /// is room again; true then.
    ///
    /// # Errors
    /// Outages; a disk that is still full is none.
    pub async fn regain_room(&self) -> Result<bool, StoreError> {
        if !self.is_disk_full() {
            return Ok(true);
        }
        let mut reserve_bytes = RESERVE_BYTES;
        if !self.is_shared() {
            let gave = self.give_back(Kept::None).await;
            if gave.as_ref().is_err_and(|error| !error.is_disk_full()) {
                gave?;
            }
            // A database that keeps its free pages has room in itself: then the log alone needs the disk.
            let writer = self.inner.backend.writer();
            let free = number(writer, "PRAGMA freelist_count", vec![]).await?.unwrap_or(0);
            let page = number(writer, "PRAGMA page_size", vec![]).await?.unwrap_or(0);
            if u64::try_from(free.saturating_mul(page)).is_ok_and(|bytes| bytes >= HEADROOM_BYTES) {
                reserve_bytes = RESERVE_BYTES_LEAST;
            }
        }
        let store = self.clone();
        let looked = tokio::task::spawn_blocking(move || store.inner.disk.regain(reserve_bytes)).await;
        let regained = looked.map_err(|ended| StoreError::Io(io::Error::other(ended)))?;
        if regained {
            tracing::info!("there is room on the disk again");
        }
        Ok(regained)
    }

    /// Gives the free pages of the database back to the disk, but for those that new rows will take soon.
    ///
    /// # Errors
    /// Outages; what was given back stays so.
    pub async fn give_back_pages(&self) -> Result<(), StoreError> {
        if self.is_shared() {
            return Ok(());
        }
        self.give_back(if self.is_disk_full() { Kept::None } else { Kept::Some }).await
    }

    async fn give_back(&self, kept: Kept) -> Result<(), StoreError> {
        let writer = self.inner.backend.writer();
        let pages = number(writer, "PRAGMA page_count", vec![]).await?.unwrap_or(0);
        let kept = match kept {
            Kept::None => 0,
            Kept::Some => pages / FREE_PAGES_KEPT,
        };
        let free =
            async || Ok::<_, StoreError>(number(writer, "PRAGMA freelist_count", vec![]).await?.unwrap_or(0));
        let mut left = free().await?;
        let mut gave = self.is_disk_full();
        while left > kept {
            let step = PAGES_STEP.min(left - kept);
            run(writer, &format!("PRAGMA incremental_vacuum({step})"), vec![]).await?;
            let now = free().await?;
            if now >= left {
                // A database that was made without it keeps its pages, for new rows.
                break;
            }
            (left, gave) = (now, true);
        }
        if gave {
            // Only then do the pages leave the file, and the log its place on the disk.
            run(writer, "PRAGMA wal_checkpoint(TRUNCATE)", vec![]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_given_up_once_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let disk = Disk::open(&url, folder.path()).unwrap();
        let reserve = folder.path().join("t.db-reserve");
        assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE_BYTES);
        assert!(!disk.is_full());
        assert!(disk.found_full() && disk.is_full() && !reserve.exists());
        assert!(!disk.found_full(), "there is nothing more to give");
        assert!(disk.regain(RESERVE_BYTES) && !disk.is_full());
        assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE_BYTES);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_cannot_set_blocks_aside_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let file = fill(File::create(folder.path().join("f")).unwrap(), 100_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 100_000);
    }
}
