//! What is in a folder and the folders below it: plain files, in the order of their names.
//!
//! Each folder is opened by its handle in the one above it, and no link is followed, so that whatever is renamed or replaced
//! meanwhile, nothing outside is ever opened. Links and special files (pipes, sockets, devices) are left out. Names are
//! compared whole, folder by folder and byte by byte: that is the order of the walk.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, statat};

/// Folders inside each other at most; each takes a handle.
const DEPTH_MAX: usize = 64;
/// Flags of every open: nothing waits for the other end of a pipe, and nothing is inherited by processes of tasks.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// A link at the end of the name is refused.
const NO_LINK: OFlags = OFlags::NOFOLLOW;

/// Why the walk cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WalkFault {
    /// The system does not let it: which file or folder, and what the system says.
    #[error("{name:?} cannot be read: {fault}")]
    Unreadable {
        /// With its folders.
        name: String,
        /// What the system says.
        fault: io::Error,
    },
    /// A name that is no text.
    #[error("the name {name:?} is not UTF-8")]
    BadName {
        /// As far as it can be shown.
        name: String,
    },
    /// Folders lie too deep.
    #[error("{name:?} lies more than {DEPTH_MAX} folders deep")]
    TooDeep {
        /// With its folders.
        name: String,
    },
}

/// A plain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// With its folders, parted by `/`.
    pub name: String,
    /// Size.
    pub bytes: u64,
    own: String,
}

/// A walk that is under way.
#[derive(Debug)]
pub struct FolderWalk {
    levels: Vec<Level>,
    looked_at: u64,
    /// Names up to this one are passed over, with the folders in which there are no others.
    after: String,
}

/// A folder that is being walked.
#[derive(Debug)]
struct Level {
    folder: OwnedFd,
    /// Its name with a `/` at the end; empty for the first.
    prefix: String,
    entries: std::vec::IntoIter<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    kind: FileType,
}

impl Entry {
    /// What it is sorted by: files below a folder have its name and a `/`.
    fn key(&self) -> (&[u8], &[u8]) {
        let end: &[u8] = if self.kind == FileType::Directory { b"/" } else { b"" };
        (self.name.as_bytes(), end)
    }
}

impl FolderWalk {
    /// Of what is below `inside` in the folder at `root`, after the name `after`; each empty for all. The root itself may be
    /// a link: whoever named it means where it leads.
    ///
    /// # Errors
    /// Where there is no such folder, or it cannot be read.
    pub fn begin(root: &Path, inside: &str, after: &str) -> Result<Self, WalkFault> {
        let unreadable = |fault| WalkFault::Unreadable { name: inside.to_owned(), fault };
        let open = |at: &OwnedFd, name: &str| {
            openat(at, name, READ | NO_LINK | OFlags::DIRECTORY, Mode::empty()).map_err(io::Error::from)
        };
        let mut folder = openat(CWD, root, READ | OFlags::DIRECTORY, Mode::empty())
            .map_err(|fault| unreadable(fault.into()))?;
        let mut prefix = String::new();
        for part in inside.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                return Err(unreadable(io::ErrorKind::NotFound.into()));
            }
            folder = open(&folder, part).map_err(unreadable)?;
            prefix.push_str(part);
            prefix.push('/');
        }
        let mut walk = Self { levels: Vec::new(), looked_at: 0, after: after.to_owned() };
        walk.enter(folder, prefix)?;
        Ok(walk)
    }

    /// Files and folders looked at so far.
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// The next file; none after the last.
    ///
    /// # Errors
    /// Where a folder cannot be read.
    pub fn next(&mut self) -> Result<Option<FoundFile>, WalkFault> {
        loop {
            let depth = self.levels.len();
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(entry) = level.entries.next() else {
                self.levels.pop();
                continue;
            };
            self.looked_at += 1;
            let name = format!("{}{}", level.prefix, entry.name);
            let unreadable =
                |fault: rustix::io::Errno| WalkFault::Unreadable { name: name.clone(), fault: fault.into() };
            if entry.kind == FileType::Directory {
                let below = format!("{name}/");
                if below < self.after && !self.after.starts_with(&below) {
                    continue;
                }
                if depth == DEPTH_MAX {
                    return Err(WalkFault::TooDeep { name });
                }
                let flags = READ | NO_LINK | OFlags::DIRECTORY;
                let folder = openat(&level.folder, &entry.name, flags, Mode::empty()).map_err(unreadable)?;
                self.enter(folder, below)?;
                continue;
            }
            if name <= self.after {
                continue;
            }
            let found = statat(&level.folder, &entry.name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                let bytes = u64::try_from(found.st_size).unwrap_or(0);
                return Ok(Some(FoundFile { name, bytes, own: entry.name }));
            }
        }
    }

    /// Opens the file that came last.
    ///
    /// # Errors
    /// Where it cannot be read, or is no plain file any more.
    pub fn open(&self, found: &FoundFile) -> Result<File, WalkFault> {
        let unreadable = |fault: io::Error| WalkFault::Unreadable { name: found.name.clone(), fault };
        let level = self.levels.last().ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        let opened = openat(&level.folder, &found.own, READ | NO_LINK, Mode::empty())
            .map_err(|fault| unreadable(fault.into()))?;
        let kind = fstat(&opened).map_err(|fault| unreadable(fault.into()))?;
        if FileType::from_raw_mode(kind.st_mode) != FileType::RegularFile {
            return Err(unreadable(io::Error::other("it is no plain file any more")));
        }
        Ok(opened.into())
    }

    fn enter(&mut self, folder: OwnedFd, prefix: String) -> Result<(), WalkFault> {
        let unreadable =
            |fault: rustix::io::Errno| WalkFault::Unreadable { name: prefix.clone(), fault: fault.into() };
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let raw = entry.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                // Not every file system says it here. What is gone by now is left out.
                let Ok(found) = statat(&folder, raw, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                kind = FileType::from_raw_mode(found.st_mode);
            }
            if !matches!(kind, FileType::RegularFile | FileType::Directory) {
                continue;
            }
            let name = raw.to_str().map_err(|_bytes| WalkFault::BadName {
                name: format!("{prefix}{}", raw.to_string_lossy()),
            })?;
            entries.push(Entry { name: name.to_owned(), kind });
        }
        // Names are compared to their ends, then a file goes before what is below a folder of the same beginning.
        entries.sort_by(|one, other| {
            let whole = |entry: &Entry| {
                let (name, end) = entry.key();
                [name, end].concat()
            };
            whole(one).cmp(&whole(other))
        });
        self.levels.push(Level { folder, prefix, entries: entries.into_iter() });
        Ok(())
    }
}
