//! The folders of items: one for the process, one for files. Both are empty and absolute.
//!
//! To make and remove folders costs more than a short answer, so those that stayed empty are used again. One that
//! something was left in becomes the folder of its attempt, and whoever runs the item removes it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::WORKER_FOLDER;
use crate::tasks::context::TaskContext;
use crate::tasks::task::TaskError;

/// Folders of one item.
pub(super) struct Folders {
    /// Where a process starts.
    pub own: PathBuf,
    /// Where it leaves files.
    pub out: PathBuf,
}

impl Folders {
    fn inside(folder: &Path) -> Self {
        Self { own: folder.join("run"), out: folder.join("out") }
    }

    /// Makes both.
    fn make(context: &TaskContext) -> io::Result<Self> {
        // An attempt that was handed back has the number of the one that follows it.
        if fs::symlink_metadata(context.folder()).is_ok() {
            fs::remove_dir_all(context.folder())?;
        }
        let folders = Self::inside(&context.make_folder()?);
        fs::create_dir(&folders.own)?;
        fs::create_dir(&folders.out)?;
        Ok(folders)
    }

    /// In words.
    pub fn fault(fault: &io::Error) -> TaskError {
        TaskError::passing("io", format!("The folder of the item cannot be made: {fault}"))
    }
}

/// Folders of attempts that have ended without leaving anything. An item has a path of its own all the same, so that
/// nothing of an earlier one can write into its folder for files. One shelf serves all tasks of a node: two would know
/// one folder.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<PathBuf>>);

impl Shelf {
    /// Held for moments only; no more entries than items ran at once.
    fn spare(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folders for one item.
    ///
    /// # Errors
    /// What the file system says.
    pub fn take(&self, context: &TaskContext) -> Result<Folders, TaskError> {
        let spare = {
            let mut spare = self.spare();
            // An attempt that was handed back finds the folder that it had.
            let own = spare.iter().position(|folder| *folder == context.folder());
            own.map(|at| spare.swap_remove(at)).or_else(|| spare.pop())
        };
        let renamed = spare.and_then(|spare| match context.rename_folder(&spare) {
            Ok(folder) => Some(Folders::inside(&folder)),
            Err(_taken) => {
                let _left_for_the_next_start = fs::remove_dir_all(&spare);
                None
            }
        });
        match renamed {
            Some(folders) => Ok(folders),
            None => Folders::make(context).map_err(|fault| Folders::fault(&fault)),
        }
    }

    /// Takes folders back once nothing of the item runs any more; true where nothing was left in them.
    pub fn put_back(&self, folders: &Folders, context: &TaskContext) -> bool {
        let is_empty = is_empty(&folders.own) && is_empty(&folders.out);
        if is_empty {
            self.spare().push(context.release_folder());
        }
        is_empty
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for folder in self.spare().drain(..) {
            // What cannot be removed goes at the next start.
            let _left = fs::remove_dir_all(folder);
        }
    }
}

/// The folders of a process that lives on: it is told the same folder for files for as long as that stays empty.
pub(super) struct Workplace {
    folder: PathBuf,
    folders: Folders,
}

impl Workplace {
    /// Makes them beside the folder of an attempt.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(context: &TaskContext) -> io::Result<Self> {
        let attempt = std::path::absolute(context.folder())?;
        let work = attempt.parent().unwrap_or(&attempt);
        let folder = work.join(format!("{WORKER_FOLDER}{:016x}", rand::random::<u64>()));
        let workplace = Self { folders: Folders::inside(&folder), folder };
        fs::create_dir_all(&workplace.folders.own)?;
        fs::create_dir(&workplace.folders.out)?;
        Ok(workplace)
    }

    /// Where the process starts.
    pub fn own(&self) -> &Path {
        &self.folders.own
    }

    /// Where it leaves the files of the next item.
    pub fn out(&self) -> &Path {
        &self.folders.out
    }

    /// Moves what the process left for its item into the folder of the attempt, and says where; none where nothing
    /// was left.
    ///
    /// # Errors
    /// What the file system says.
    pub fn move_files(&self, context: &TaskContext) -> io::Result<Option<PathBuf>> {
        if is_empty(&self.folders.out) {
            return Ok(None);
        }
        let folder = context.make_folder()?;
        let moved = folder.join("out");
        if fs::symlink_metadata(&moved).is_ok() {
            fs::remove_dir_all(&moved)?;
        }
        match fs::rename(&self.folders.out, &moved) {
            // The process took its folder away: what it left is nothing.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => fs::create_dir(&moved)?,
            renamed => renamed?,
        }
        fs::create_dir(&self.folders.out)?;
        Ok(Some(moved))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed goes at the next start.
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// True where `folder` is one, no link to one, and holds nothing.
fn is_empty(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|kind| kind.is_dir())
        && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
