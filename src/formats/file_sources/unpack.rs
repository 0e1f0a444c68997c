//! A zip into files: one item each, with its folders in its name.
//!
//! All of its directory is looked at before the first file is taken: names that lead elsewhere, links, what is encrypted and
//! what unpacks to more than is allowed are refused, naming the entry. Contents are read from a file, a chunk at a time.
//! A zip within the zip is a file. What macOS adds (`__MACOSX`, `.DS_Store`) is left out.

use std::fs::File;
use std::io::{BufReader, Read as _};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{FilePieces, PIECE_BYTES, read_into};
use crate::formats::item_sink::ItemSink;
use crate::protocol::{ApiError, ErrorCode};

/// Files and folders in one zip; more are refused as `too_large`.
const ENTRIES_MAX: usize = 200_000;
/// Bytes of the name of an entry; a longer one is refused as `invalid`.
const ENTRY_NAME_BYTES_MAX: usize = 1024;
/// How many times as large as in the zip its files may be, all together; beyond, it is refused as `too_large`.
const RATIO_MAX: u64 = 250;
/// Bytes that a zip may unpack to whatever the ratio.
const RATIO_FREE_BYTES: u64 = 64 * 1024 * 1024;
/// The bounds that the server sets.
#[derive(Clone, Copy, Debug)]
pub struct UnpackLimits {
    /// Bytes of all files of one zip together; more are refused as `too_large`.
    pub bytes_max: u64,
}

/// A file of the zip that becomes an item.
struct Wanted {
    index: usize,
    name: String,
    bytes: u64,
}

/// Reads the files of `zip`, which was sent as `name`, into `sink`.
///
/// # Errors
/// `invalid` or `too_large` for the zip or an entry, which is named; what the sink refused. The files before that are in
/// the sink.
pub async fn unpack_into(
    zip: File,
    name: &str,
    limits: UnpackLimits,
    sink: &mut impl ItemSink,
) -> Result<(), ApiError> {
    let shown = name.to_owned();
    read_into(move |pieces| read_all(zip, &shown, limits, pieces), sink).await
}

fn read_all(zip: File, name: &str, limits: UnpackLimits, pieces: &FilePieces) -> Result<(), ApiError> {
    let broken = |fault: ZipError| ApiError::invalid(format!("The zip {name:?} cannot be read: {fault}."));
    let mut archive = ZipArchive::new(BufReader::new(zip)).map_err(broken)?;
    for file in wanted(&mut archive, name, limits)? {
        let refused = |what: &str| ApiError::invalid(format!("{:?} in the zip {name:?} {what}.", file.name));
        // Nobody takes the rest where the sink has refused something; it has said why.
        if pieces.begin(&file.name).is_err() {
            return Ok(());
        }
        let mut entry =
            archive.by_index(file.index).map_err(|fault| refused(&format!("cannot be read: {fault}")))?;
        let mut bytes = 0;
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read =
                entry.read(&mut piece).map_err(|fault| refused(&format!("cannot be unpacked: {fault}")))?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            if bytes > file.bytes {
                return Err(refused("has more bytes than the zip says"));
            }
            piece.truncate(read);
            if pieces.bytes(piece).is_err() {
                return Ok(());
            }
        }
        if bytes < file.bytes {
            return Err(refused("has fewer bytes than the zip says"));
        }
        if pieces.end().is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The files of the zip, once all of its entries are known to be acceptable.
fn wanted(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    limits: UnpackLimits,
) -> Result<Vec<Wanted>, ApiError> {
    if archive.len() > ENTRIES_MAX {
        let detail = format!("The zip {name:?} has more than {ENTRIES_MAX} entries.");
        return Err(ApiError::new(ErrorCode::TooLarge, detail));
    }
    archive
        .validate_header_consistency()
        .map_err(|fault| ApiError::invalid(format!("The zip {name:?} contradicts itself: {fault}.")))?;
    let (mut files, mut packed_bytes, mut bytes) = (Vec::new(), 0_u64, 0_u64);
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|fault| ApiError::invalid(format!("The zip {name:?} cannot be read: {fault}.")))?;
        let entry_name = entry
            .name()
            .map_err(|fault| {
                ApiError::invalid(format!("A name in the zip {name:?} cannot be read: {fault}."))
            })?
            .into_owned();
        let refused =
            |what: &str| Err(ApiError::invalid(format!("{entry_name:?} in the zip {name:?} {what}.")));
        if let Some(fault) = name_fault(&entry_name) {
            return refused(fault);
        }
        if entry.is_dir() {
            continue;
        }
        let kind = entry.unix_mode().map_or(0, |mode| mode & FILE_KIND);
        if entry.is_symlink() || (kind != 0 && kind != PLAIN_FILE) {
            return refused("is a link or a special file, which is not unpacked");
        }
        if is_of_macos(&entry_name) {
            continue;
        }
        if entry.encrypted() {
            return refused("is encrypted: unpack the zip and send its files");
        }
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return refused("is compressed in a way that is not supported: deflate is");
        }
        packed_bytes = packed_bytes.saturating_add(entry.compressed_size());
        bytes = bytes.saturating_add(entry.size());
        if bytes > limits.bytes_max {
            let most = limits.bytes_max;
            let detail =
                format!("The zip {name:?} unpacks to more than {most} bytes, from {entry_name:?} on.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        files.push(Wanted { index, bytes: entry.size(), name: entry_name });
    }
    if bytes > RATIO_FREE_BYTES && bytes > packed_bytes.saturating_mul(RATIO_MAX) {
        let detail = format!("The zip {name:?} unpacks to more than {RATIO_MAX} times its bytes.");
        return Err(ApiError::new(ErrorCode::TooLarge, detail));
    }
    Ok(files)
}

/// The bits of a mode that say what an entry is, and those of a plain file.
const FILE_KIND: u32 = 0o170_000;
const PLAIN_FILE: u32 = 0o100_000;

/// What is wrong with the name of an entry.
fn name_fault(name: &str) -> Option<&'static str> {
    let mut parts = name.split(['/', '\\']);
    let is_drive = |part: &str| part.len() == 2 && part.ends_with(':');
    if name.is_empty() || name.contains('\0') {
        Some("has no name that a file can have")
    } else if name.len() > ENTRY_NAME_BYTES_MAX {
        Some("has a name that is too long")
    } else if name.starts_with(['/', '\\']) || parts.clone().next().is_some_and(is_drive) {
        Some("has an absolute name, which is not unpacked")
    } else if parts.any(|part| part == "..") {
        Some("has a name that leads out of its folder, which is not unpacked")
    } else {
        None
    }
}

/// True for what macOS adds beside the files of people.
fn is_of_macos(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.clone().any(|part| part == "__MACOSX") || parts.next_back() == Some(".DS_Store")
}

/// True where a file is taken for a zip, by its name.
#[must_use]
pub fn is_zip_name(name: &str) -> bool {
    name.len() > ".zip".len()
        && name.get(name.len() - ".zip".len()..).is_some_and(|end| end.eq_ignore_ascii_case(".zip"))
}
