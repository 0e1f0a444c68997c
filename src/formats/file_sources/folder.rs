//! A folder of the server into files: those that a pattern names, in the order of their names.
//!
//! Each is copied as an upload would be; one that changes while it is read, or cannot be read, is refused, naming it.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::PathBuf;

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use super::folder_walk::{FolderWalk, FoundFile, WalkFault};
use super::{FilePieces, PIECE_BYTES, Refused, read_into};
use crate::formats::item_sink::ItemSink;
use crate::protocol::{ApiError, ErrorCode, FolderFile, FolderPage};

/// Files and folders looked at for one batch; more are refused as `too_large`.
const ENTRIES_MAX: u64 = 1_000_000;
/// Files and folders looked at for one page of a listing; it says where to go on.
const LISTED_ENTRIES_MAX: u64 = 20_000;
/// Bytes of a file's name with its folders; a longer one is refused as `invalid`.
const NAME_BYTES_MAX: usize = 1_024;
/// Bytes of a pattern; a longer one is refused as `invalid`.
const PATTERN_BYTES_MAX: usize = 1_024;

/// A folder that the operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFolder {
    /// Its name for people and programs.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Which files of a folder: `{"folder","pattern"?,"path"?}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderFiles {
    /// Name of the folder.
    pub folder: String,
    /// Names, with `*` for anything but `/`, `**` for folders, `?`, `[a-z]` and `{a,b}`; all where there is none.
    #[serde(default)]
    pub pattern: Option<String>,
    /// A folder inside of it, from where the pattern counts; all of it where there is none.
    #[serde(default)]
    pub path: Option<String>,
}

impl FolderFiles {
    fn inside(&self) -> &str {
        self.path.as_deref().unwrap_or_default().trim_matches('/')
    }

    fn matcher(&self) -> Result<Matcher, ApiError> {
        let pattern = self.pattern.as_deref().filter(|pattern| !pattern.is_empty()).unwrap_or("**");
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(ApiError::invalid(format!("pattern: expected {PATTERN_BYTES_MAX} bytes at most.")));
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|fault| ApiError::invalid(format!("pattern: {fault}.")))?;
        let inside = self.inside();
        let skip = if inside.is_empty() { 0 } else { inside.len() + 1 };
        Ok(Matcher { glob: glob.compile_matcher(), skip })
    }

    fn walk(&self, folder: &ServerFolder, after: &str) -> Result<FolderWalk, ApiError> {
        let parts = self.inside().split('/');
        if self.inside()
            != parts.clone().filter(|part| !matches!(*part, "" | "." | "..")).collect::<Vec<_>>().join("/")
        {
            return Err(ApiError::invalid("path: expected names of folders, parted by /."));
        }
        FolderWalk::begin(&folder.path, self.inside(), after).map_err(|fault| self.begin_fault(&fault))
    }

    /// The folder itself cannot be read, or there is none inside of it at that path.
    fn begin_fault(&self, fault: &WalkFault) -> ApiError {
        if !matches!(fault, WalkFault::Unreadable { .. }) {
            return self.refused(fault);
        }
        if !self.inside().is_empty() {
            return ApiError::not_found("folder");
        }
        tracing::error!(folder = self.folder, %fault, "a folder of the server cannot be read");
        ApiError::new(ErrorCode::Busy, format!("The folder {:?} cannot be read now.", self.folder))
    }

    /// The walk cannot go on.
    fn refused(&self, fault: &WalkFault) -> ApiError {
        let detail = match fault {
            // What the system says may name more than the file.
            WalkFault::Unreadable { name, fault } => format!("{name:?} cannot be read: {}", plain(fault)),
            WalkFault::BadName { .. } | WalkFault::TooDeep { .. } => fault.to_string(),
        };
        ApiError::invalid(format!("The folder {:?}: {detail}.", self.folder))
    }
}

fn plain(fault: &io::Error) -> String {
    match fault.kind() {
        io::ErrorKind::NotFound => "it is gone".to_owned(),
        io::ErrorKind::PermissionDenied => "the server may not".to_owned(),
        _ => fault.to_string(),
    }
}

struct Matcher {
    glob: GlobMatcher,
    /// Bytes of a name before what the pattern is about.
    skip: usize,
}

impl Matcher {
    fn takes(&self, found: &FoundFile) -> bool {
        found.name.get(self.skip..).is_some_and(|name| self.glob.is_match(name))
    }
}

/// Reads files of `folder` into `sink`, each of at most `bytes_max` bytes.
///
/// # Errors
/// `invalid` for the pattern or a file, which is named; `not_found`, `too_large`, `busy`; what the sink refused. The files
/// before that are in the sink.
pub async fn folder_into(
    folder: ServerFolder,
    files: FolderFiles,
    bytes_max: u64,
    sink: &mut impl ItemSink,
) -> Result<(), ApiError> {
    let matcher = files.matcher()?;
    read_into(
        move |pieces| {
            let mut walk = files.walk(&folder, "")?;
            while let Some(found) = walk.next().map_err(|fault| files.refused(&fault))? {
                if walk.looked_at() > ENTRIES_MAX {
                    let detail =
                        format!("The folder {:?} has more than {ENTRIES_MAX} entries.", files.folder);
                    return Err(ApiError::new(ErrorCode::TooLarge, detail));
                }
                if !matcher.takes(&found) {
                    continue;
                }
                check_size(&found, bytes_max)?;
                let file = walk.open(&found).map_err(|fault| files.refused(&fault))?;
                match copy(file, &found, bytes_max, pieces) {
                    Ok(Ok(())) => {}
                    Ok(Err(Refused)) => return Ok(()),
                    Err(fault) => {
                        let fault = WalkFault::Unreadable { name: found.name, fault };
                        return Err(files.refused(&fault));
                    }
                }
            }
            Ok(())
        },
        sink,
    )
    .await
}

fn check_size(found: &FoundFile, bytes_max: u64) -> Result<(), ApiError> {
    if found.bytes > bytes_max {
        let detail = format!("The file {:?} has more than {bytes_max} bytes.", found.name);
        return Err(ApiError::new(ErrorCode::TooLarge, detail));
    }
    if found.name.len() > NAME_BYTES_MAX {
        return Err(ApiError::invalid(format!("The name of a file has more than {NAME_BYTES_MAX} bytes.")));
    }
    Ok(())
}

/// Hands on the content of a file, which must be the same from its beginning to its end.
fn copy(
    mut file: File,
    found: &FoundFile,
    bytes_max: u64,
    pieces: &FilePieces,
) -> io::Result<Result<(), Refused>> {
    let changed = || io::Error::other("it was changed while it was read");
    let before = file.metadata()?;
    if pieces.begin(&found.name).is_err() {
        return Ok(Err(Refused));
    }
    let mut bytes = 0;
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = match file.read(&mut piece) {
            Ok(read) => read,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
            Err(fault) => return Err(fault),
        };
        if read == 0 {
            break;
        }
        bytes += read as u64;
        if bytes > before.len() || bytes > bytes_max {
            return Err(changed());
        }
        piece.truncate(read);
        if pieces.bytes(piece).is_err() {
            return Ok(Err(Refused));
        }
    }
    let same = |of: &Metadata| (of.len(), of.modified().ok());
    if bytes != before.len() || same(&before) != same(&file.metadata()?) {
        return Err(changed());
    }
    Ok(pieces.end())
}

/// The files of `folder` after the name `after`, at most `limit`.
///
/// # Errors
/// `invalid` for the pattern, or for what cannot be read; `not_found`, `busy`.
pub async fn folder_page(
    folder: ServerFolder,
    files: FolderFiles,
    after: String,
    limit: u32,
) -> Result<FolderPage, ApiError> {
    let matcher = files.matcher()?;
    let listed = tokio::task::spawn_blocking(move || {
        let mut walk = files.walk(&folder, &after)?;
        let mut page = FolderPage { files: Vec::new(), next: None };
        let mut last: Option<String> = None;
        while let Some(found) = walk.next().map_err(|fault| files.refused(&fault))? {
            if page.files.len() == limit as usize || walk.looked_at() > LISTED_ENTRIES_MAX {
                page.next = last;
                return Ok(page);
            }
            last = Some(found.name.clone());
            if matcher.takes(&found) {
                page.files.push(FolderFile { name: found.name, bytes: found.bytes });
            }
        }
        Ok(page)
    });
    listed.await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "the listing of a folder broke off");
        Err(ApiError::internal())
    })
}
