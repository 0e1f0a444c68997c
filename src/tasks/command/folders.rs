//! The folders of one item: one for its process, one for its files.
//!
//! Both are empty and absolute.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::super::context::TaskContext;
use super::super::task::TaskError;

/// Folders of one item.
pub(super) struct Folders {
    /// Where a process starts.
    pub own: PathBuf,
    /// Where it leaves files.
    pub out: PathBuf,
}

impl Folders {
    /// Makes both.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(context: &TaskContext) -> Result<Self, TaskError> {
        let make = || {
            // An attempt that was handed back has the number of the one that follows it.
            if fs::symlink_metadata(context.folder()).is_ok() {
                fs::remove_dir_all(context.folder())?;
            }
            let folder = context.make_folder()?;
            let folders = Self { own: folder.join("run"), out: folder.join("out") };
            fs::create_dir(&folders.own)?;
            fs::create_dir(&folders.out)?;
            Ok(folders)
        };
        make().map_err(|fault| Self::fault(&fault))
    }

    /// In words.
    pub fn fault(fault: &io::Error) -> TaskError {
        TaskError::passing("io", format!("The folder of the item cannot be made: {fault}"))
    }
}
