//! Files and folders as they are named on the command line, and their bodies as a form of `multipart/form-data`.
//!
//! Whatever cannot be read is said before anything is sent.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio_util::io::ReaderStream;
use walkdir::WalkDir;

use crate::cli::CliError;

/// Files of one request at most.
const CHUNK_FILES_MAX: usize = 500;
/// Bytes of one request, from which on no more files are added to it.
const CHUNK_BYTES: u64 = 32 * 1024 * 1024;

/// One file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileEntry {
    path: PathBuf,
    /// Its name for the server: from the named folder on, parted by `/`.
    name: String,
    bytes: u64,
}

/// Files that wait to be sent, in the order in which they become items.
#[derive(Debug)]
pub(super) struct FileList {
    waiting: VecDeque<FileEntry>,
}

/// Files of one request.
#[derive(Debug)]
pub(super) struct FileChunk {
    files: Vec<FileEntry>,
}

/// The last part of a path, or all of it where it has none.
pub(super) fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_missing| path.to_owned());
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl FileList {
    /// All files that are named, and those of folders in the order of their names. Links in folders are left out.
    ///
    /// # Errors
    /// For what is not there, cannot be read or is no file, and where there is no file at all.
    pub(super) fn find(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut waiting = VecDeque::new();
        let mut links = 0_u64;
        for path in paths {
            let facts = path.metadata().map_err(|error| unreadable(path, &error))?;
            if facts.is_file() {
                waiting.push_back(entry(path.clone(), name_of(path))?);
                continue;
            }
            let root = name_of(path);
            for found in WalkDir::new(path).min_depth(1).sort_by_file_name() {
                let found = found.map_err(|error| {
                    let at = error.path().unwrap_or(path).to_owned();
                    unreadable(&at, &io::Error::other(error))
                })?;
                if found.path_is_symlink() {
                    links += 1;
                } else if found.file_type().is_file() {
                    let below = found.path().strip_prefix(path).unwrap_or(found.path());
                    let parts = below.iter().map(|part| part.to_string_lossy());
                    let name =
                        std::iter::once(root.as_str().into()).chain(parts).collect::<Vec<_>>().join("/");
                    waiting.push_back(entry(found.path().to_owned(), name)?);
                }
            }
        }
        if links > 0 {
            eprintln!("{} in folders left out", crate::client::words::counted(links, "link"));
        }
        if waiting.is_empty() {
            return Err(CliError::Argument("there is no file in what was named".to_owned()));
        }
        Ok(Self { waiting })
    }

    /// The files of the next request.
    pub(super) fn next(&mut self) -> Option<FileChunk> {
        let mut files = Vec::new();
        let mut bytes = 0;
        while files.len() < CHUNK_FILES_MAX && bytes < CHUNK_BYTES {
            let Some(file) = self.waiting.pop_front() else { break };
            bytes += file.bytes;
            files.push(file);
        }
        (!files.is_empty()).then_some(FileChunk { files })
    }
}

impl FileChunk {
    /// How many files.
    pub(super) fn items(&self) -> u64 {
        self.files.len() as u64
    }

    /// True where one of them has changed its size, or cannot be read, since it was found: which.
    ///
    /// # Errors
    /// That one.
    pub(super) fn check(&self) -> Result<(), CliError> {
        for file in &self.files {
            let facts = file.path.metadata().map_err(|error| unreadable(&file.path, &error))?;
            if facts.len() != file.bytes {
                let path = file.path.display();
                return Err(CliError::Argument(format!("{path} has changed while it was being sent")));
            }
        }
        Ok(())
    }

    /// The body of a form with these files but for the first `skipped`, and its length in bytes.
    pub(super) fn body(
        &self,
        boundary: &str,
        skipped: u64,
    ) -> (u64, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.files.len());
        let end = Bytes::from(format!("--{boundary}--\r\n"));
        let mut length = end.len() as u64;
        let mut parts = Vec::new();
        for file in &self.files[skipped..] {
            let head = Bytes::from(format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\r\n",
                quoted(&file.name)
            ));
            length += head.len() as u64 + file.bytes + 2;
            parts.push((head, file.clone()));
        }
        let parts = stream::iter(parts).flat_map(|(head, file)| {
            stream::once(async { Ok(head) })
                .chain(content(file))
                .chain(stream::once(async { Ok(Bytes::from_static(b"\r\n")) }))
        });
        (length, parts.chain(stream::once(async move { Ok(end) })))
    }
}

/// What a file holds, as many bytes as it had when it was found.
fn content(file: FileEntry) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let opened = async move {
        let content = tokio::fs::File::open(&file.path).await?;
        Ok::<_, io::Error>(ReaderStream::new(tokio::io::AsyncReadExt::take(content, file.bytes)))
    };
    stream::once(opened).flat_map(|opened| match opened {
        Ok(content) => content.boxed(),
        Err(error) => stream::once(async { Err(error) }).boxed(),
    })
}

/// A name between quotes, as HTML forms write it; source: <https://html.spec.whatwg.org/#multipart-form-data>.
fn quoted(name: &str) -> String {
    name.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22")
}

/// A file that can be read now.
fn entry(path: PathBuf, name: String) -> Result<FileEntry, CliError> {
    let bytes =
        File::open(&path).and_then(|file| file.metadata()).map_err(|error| unreadable(&path, &error))?.len();
    Ok(FileEntry { path, name, bytes })
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::Argument(format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn folders_are_files_with_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let photos = folder.path().join("photos");
        fs::create_dir_all(photos.join("b")).unwrap();
        for (name, content) in [("z.txt", "last"), ("b/a\"b.txt", "in b"), ("a.txt", "first")] {
            fs::write(photos.join(name), content).unwrap();
        }
        std::os::unix::fs::symlink(photos.join("a.txt"), photos.join("link.txt")).unwrap();
        let single = folder.path().join("single.csv");
        fs::write(&single, "x").unwrap();
        let mut list = FileList::find(&[photos, single]).unwrap();
        let chunk = list.next().unwrap();
        let names: Vec<_> = chunk.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["photos/a.txt", "photos/b/a\"b.txt", "photos/z.txt", "single.csv"]);
        assert!(list.next().is_none());
        chunk.check().unwrap();
        let (length, body) = chunk.body("xx", 1);
        let body: Vec<Bytes> = body.try_collect().await.unwrap();
        let body = String::from_utf8(body.concat()).unwrap();
        assert_eq!(body.len() as u64, length);
        assert!(body.starts_with("--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"photos/b/a%22b.txt\"\r\n\r\nin b\r\n--xx\r\n"));
        assert!(body.ends_with("\r\n\r\nx\r\n--xx--\r\n"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileList::find(&[folder.path().join("none.png")]).unwrap_err().to_string();
        assert!(error.contains("none.png cannot be read: No such file"), "{error}");
        let error = FileList::find(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no file in what was named");
    }
}
