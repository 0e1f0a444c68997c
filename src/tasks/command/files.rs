//! Files that a process left for its item.
//!
//! What is taken is a plain file inside the folder, under its relative name; links and special files are refused.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::output::OutputLimits;
use crate::tasks::context::TaskContext;
use crate::tasks::task::{Again, TaskError};

/// Folders inside each other at most.
const DEPTH_MAX: usize = 16;

/// Leaves whatever is in `out`, by name.
///
/// # Errors
/// What is no plain file, or too much.
pub(super) fn leave_all(out: &Path, limits: &OutputLimits, context: &TaskContext) -> Result<(), TaskError> {
    check_folder(out)?;
    let mut found = Found { files: Vec::new(), bytes: 0, limits };
    walk(out, String::new(), 0, &mut found)?;
    found.files.sort();
    for (name, path) in found.files {
        context.leave_file(name, path);
    }
    Ok(())
}

/// What was found of the files of an item.
struct Found<'a> {
    files: Vec<(String, PathBuf)>,
    bytes: u64,
    limits: &'a OutputLimits,
}

impl Found<'_> {
    fn add(&mut self, name: String, path: PathBuf, bytes: u64) -> Result<(), TaskError> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files.push((name, path));
        check_count(self.files.len(), self.limits)?;
        let most = self.limits.files_bytes_max;
        if self.bytes > most {
            let have = self.bytes;
            return Err(refused(format!("The files of the item have {have} bytes; {most} are allowed.")));
        }
        Ok(())
    }
}

fn walk(folder: &Path, prefix: String, depth: usize, found: &mut Found<'_>) -> Result<(), TaskError> {
    for entry in fs::read_dir(folder).map_err(|fault| unreadable(&fault))? {
        let entry = entry.map_err(|fault| unreadable(&fault))?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(refused(format!("The name of a file in {prefix:?} is not UTF-8.")));
        };
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        let kind = entry.metadata().map_err(|fault| unreadable(&fault))?;
        if kind.is_dir() {
            if depth == DEPTH_MAX {
                return Err(refused(format!("Folders lie more than {DEPTH_MAX} deep: {name:?}.")));
            }
            walk(&path, format!("{name}/"), depth + 1, found)?;
            continue;
        }
        check(&name, &kind)?;
        found.add(name, path, kind.len())?;
    }
    Ok(())
}

/// Leaves the files that the process named, each relative to `out`.
///
/// # Errors
/// The first name that leads elsewhere or to no plain file.
pub(super) fn leave_named(
    out: &Path,
    names: &[String],
    limits: &OutputLimits,
    context: &TaskContext,
) -> Result<(), TaskError> {
    match check_folder(out) {
        // Where nothing was left there is no folder: what a name says of it is told below.
        Err(error) if error.again == Again::Yes => {}
        checked => checked?,
    }
    let mut found = Found { files: Vec::new(), bytes: 0, limits };
    for name in names {
        let plain: Option<Vec<&str>> = Path::new(name)
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| match part {
                Component::Normal(part) => part.to_str(),
                Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
            })
            .collect();
        let Some(parts) = plain.filter(|parts| !parts.is_empty()) else {
            return Err(refused(format!("The file {name:?} is not inside the folder for files.")));
        };
        let (mut path, mut bytes) = (out.to_owned(), 0);
        for (at, part) in parts.iter().enumerate() {
            path.push(part);
            let kind = fs::symlink_metadata(&path)
                .map_err(|fault| refused(format!("The file {name:?} is not there: {}.", fault.kind())))?;
            if at + 1 < parts.len() && !kind.is_dir() {
                return Err(refused(format!("The file {name:?} is a link, or not inside a folder.")));
            }
            if at + 1 == parts.len() {
                check(name, &kind)?;
                bytes = kind.len();
            }
        }
        found.add(parts.join("/"), path, bytes)?;
    }
    for (name, path) in found.files {
        context.leave_file(name, path);
    }
    Ok(())
}

/// Refuses more files than one item may leave.
///
/// # Errors
/// The limit.
pub(super) fn check_count(files: usize, limits: &OutputLimits) -> Result<(), TaskError> {
    let most = limits.files_max;
    if files as u64 <= most {
        return Ok(());
    }
    Err(refused(format!("The item left more than {most} files.")))
}

/// The folder itself may have been put away for a link.
fn check_folder(out: &Path) -> Result<(), TaskError> {
    let kind = fs::symlink_metadata(out).map_err(|fault| unreadable(&fault))?;
    if kind.is_dir() { Ok(()) } else { Err(refused("The folder for files was replaced.".to_owned())) }
}

fn check(name: &str, kind: &Metadata) -> Result<(), TaskError> {
    if kind.is_symlink() || (kind.is_file() && kind.nlink() > 1) {
        return Err(refused(format!("The file {name:?} is a link: links are refused.")));
    }
    if !kind.is_file() {
        return Err(refused(format!("{name:?} is no plain file: special files are refused.")));
    }
    Ok(())
}

fn refused(message: String) -> TaskError {
    TaskError::input("files", message)
}

fn unreadable(fault: &io::Error) -> TaskError {
    TaskError::passing("files", format!("The files of the item cannot be read: {fault}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tasks::context::WorkCell;

    fn context(folder: &Path) -> (Arc<WorkCell>, TaskContext) {
        let cell = Arc::new(WorkCell::default());
        let context = TaskContext::new(Arc::clone(&cell), CancellationToken::new(), folder.to_owned());
        (cell, context)
    }

    #[test]
    fn files_and_folders_are_taken_links_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir_all(out.join("a/b")).unwrap();
        fs::write(out.join("a/b/c.txt"), "x").unwrap();
        fs::write(out.join("z"), "").unwrap();
        let (cell, context) = context(folder.path());
        leave_all(&out, &OutputLimits::default(), &context).unwrap();
        let names: Vec<String> = cell.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a/b/c.txt", "z"]);
        symlink("/etc/passwd", out.join("link")).unwrap();
        assert!(
            leave_all(&out, &OutputLimits::default(), &context)
                .unwrap_err()
                .message
                .contains("links are refused")
        );
        fs::remove_file(out.join("link")).unwrap();
        fs::hard_link(out.join("z"), out.join("y")).unwrap();
        assert!(
            leave_all(&out, &OutputLimits::default(), &context)
                .unwrap_err()
                .message
                .contains("links are refused")
        );
        fs::remove_file(out.join("y")).unwrap();
        fs::rename(&out, folder.path().join("away")).unwrap();
        symlink("/etc", &out).unwrap();
        for left in [
            leave_all(&out, &OutputLimits::default(), &context),
            leave_named(&out, &["hosts".to_owned()], &OutputLimits::default(), &context),
        ] {
            assert!(left.unwrap_err().message.contains("was replaced"));
        }
        fs::remove_file(&out).unwrap();
        fs::rename(folder.path().join("away"), &out).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(out.join("socket")).unwrap();
        assert!(
            leave_all(&out, &OutputLimits::default(), &context)
                .unwrap_err()
                .message
                .contains("special files")
        );
    }

    #[test]
    fn named_files_are_inside() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir_all(out.join("a")).unwrap();
        fs::write(out.join("a/x"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        symlink(folder.path(), out.join("up")).unwrap();
        let (cell, context) = context(folder.path());
        leave_named(&out, &["./a/x".to_owned()], &OutputLimits::default(), &context).unwrap();
        assert_eq!(cell.files()[0].0, "a/x");
        for name in ["../secret", "/etc/passwd", "up/secret", "none", "", ".", "a", "a/x/y"] {
            assert!(
                leave_named(&out, &[name.to_owned()], &OutputLimits::default(), &context).is_err(),
                "{name}"
            );
        }
    }
}
