//! Files that a process left for its item.
//!
//! What is taken is a plain file inside the folder, under its relative name; links and special files are refused.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::super::context::TaskContext;
use super::super::task::TaskError;

/// Files of one item at most.
const FILES_MAX: usize = 1_000;
/// Folders inside each other at most.
const DEPTH_MAX: usize = 16;

/// Leaves whatever is in `out`, by name.
///
/// # Errors
/// What is no plain file, or too much.
pub(super) fn leave_all(out: &Path, context: &TaskContext) -> Result<(), TaskError> {
    check_folder(out)?;
    let mut found = Vec::new();
    walk(out, String::new(), 0, &mut found)?;
    found.sort();
    for (name, path) in found {
        context.leave_file(name, path);
    }
    Ok(())
}

fn walk(
    folder: &Path,
    prefix: String,
    depth: usize,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), TaskError> {
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
        if found.len() == FILES_MAX {
            return Err(refused(format!("The item left more than {FILES_MAX} files.")));
        }
        found.push((name, path));
    }
    Ok(())
}

/// Leaves the files that the process named, each relative to `out`.
///
/// # Errors
/// The first name that leads elsewhere or to no plain file.
pub(super) fn leave_named(out: &Path, names: &[String], context: &TaskContext) -> Result<(), TaskError> {
    check_folder(out)?;
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
        let mut path = out.to_owned();
        for (at, part) in parts.iter().enumerate() {
            path.push(part);
            let kind = fs::symlink_metadata(&path)
                .map_err(|fault| refused(format!("The file {name:?} is not there: {}.", fault.kind())))?;
            if at + 1 < parts.len() && !kind.is_dir() {
                return Err(refused(format!("The file {name:?} is a link, or not inside a folder.")));
            }
            if at + 1 == parts.len() {
                check(name, &kind)?;
            }
        }
        context.leave_file(parts.join("/"), path);
    }
    Ok(())
}

/// Names told by one item at most.
pub(super) fn is_too_many(names: &[String]) -> Option<TaskError> {
    (names.len() > FILES_MAX).then(|| refused(format!("The item left more than {FILES_MAX} files.")))
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

    use super::super::super::context::WorkCell;
    use super::*;

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
        leave_all(&out, &context).unwrap();
        let names: Vec<String> = cell.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a/b/c.txt", "z"]);
        symlink("/etc/passwd", out.join("link")).unwrap();
        assert!(leave_all(&out, &context).unwrap_err().message.contains("links are refused"));
        fs::remove_file(out.join("link")).unwrap();
        fs::hard_link(out.join("z"), out.join("y")).unwrap();
        assert!(leave_all(&out, &context).unwrap_err().message.contains("links are refused"));
        fs::remove_file(out.join("y")).unwrap();
        fs::rename(&out, folder.path().join("away")).unwrap();
        symlink("/etc", &out).unwrap();
        for left in [leave_all(&out, &context), leave_named(&out, &["hosts".to_owned()], &context)] {
            assert!(left.unwrap_err().message.contains("was replaced"));
        }
        fs::remove_file(&out).unwrap();
        fs::rename(folder.path().join("away"), &out).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(out.join("socket")).unwrap();
        assert!(leave_all(&out, &context).unwrap_err().message.contains("special files"));
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
        leave_named(&out, &["./a/x".to_owned()], &context).unwrap();
        assert_eq!(cell.files()[0].0, "a/x");
        for name in ["../secret", "/etc/passwd", "up/secret", "none", "", ".", "a", "a/x/y"] {
            assert!(leave_named(&out, &[name.to_owned()], &context).is_err(), "{name}");
        }
    }
}
