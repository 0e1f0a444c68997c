//! Parts of a form that bring items and come before its settings: put aside on the disk until those are known.
//!
//! All are in one file without a name, which goes with the last of them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};
use tokio::sync::Mutex;

use crate::protocol::{ApiError, ErrorCode};

/// Parts of one form that are put aside; more are refused as `too_large`.
const PARTS_MAX: usize = 10_000;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A part that was put aside.
#[derive(Debug)]
pub(super) struct HeldPart {
    /// Name of the field.
    pub(super) name: String,
    /// Name of the file; empty where the part is none.
    pub(super) file_name: String,
    file: Arc<Mutex<File>>,
    /// Where the bytes that were not read yet begin, and how many they are.
    at: u64,
    left: u64,
}

impl HeldPart {
    /// The next bytes; none after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut bytes = BytesMut::zeroed(most);
        let mut file = self.file.lock().await;
        let read = async {
            file.seek(SeekFrom::Start(self.at)).await?;
            file.read_exact(&mut bytes).await
        };
        read.await.map_err(|fault| held_fault(&fault))?;
        (self.at, self.left) = (self.at + most as u64, self.left - most as u64);
        Ok(Some(bytes.freeze()))
    }
}

/// The parts so far.
pub(super) struct HeldParts {
    parts: Vec<HeldPart>,
    file: Arc<Mutex<File>>,
    bytes: u64,
    bytes_max: u64,
}

impl HeldParts {
    /// In a file in `folder`, each of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub(super) fn begin(folder: &Path, bytes_max: u64) -> Result<Self, ApiError> {
        let file = tempfile::tempfile_in(folder).map_err(|fault| held_fault(&fault))?;
        let file = Arc::new(Mutex::new(File::from_std(file)));
        Ok(Self { parts: Vec::new(), file, bytes: 0, bytes_max })
    }

    /// Begins a part, which the next bytes are of.
    ///
    /// # Errors
    /// `too_large` over the bound.
    pub(super) fn add(&mut self, name: String, file_name: String) -> Result<(), ApiError> {
        if self.parts.len() >= PARTS_MAX {
            let detail = format!("The form has more than {PARTS_MAX} parts before its settings.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let file = Arc::clone(&self.file);
        self.parts.push(HeldPart { name, file_name, file, at: self.bytes, left: 0 });
        Ok(())
    }

    /// Adds bytes to the part that was begun last.
    ///
    /// # Errors
    /// `too_large` over the bound; `disk_full`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let Some(part) = self.parts.last_mut() else { return Err(ApiError::internal()) };
        part.left += bytes.len() as u64;
        if part.left > self.bytes_max {
            let (name, max) = (&part.file_name, self.bytes_max);
            let detail = format!("The file {name:?} has more than {max} bytes.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        self.bytes += bytes.len() as u64;
        self.file.lock().await.write_all(bytes).await.map_err(|fault| held_fault(&fault))
    }

    /// All of them, in their order.
    ///
    /// # Errors
    /// `disk_full`.
    pub(super) async fn finish(self) -> Result<Vec<HeldPart>, ApiError> {
        self.file.lock().await.flush().await.map_err(|fault| held_fault(&fault))?;
        Ok(self.parts)
    }
}

fn held_fault(fault: &io::Error) -> ApiError {
    if fault.kind() == io::ErrorKind::StorageFull {
        return ApiError::new(ErrorCode::DiskFull, "There is no room on the disk for the form.");
    }
    tracing::error!(%fault, "a form could not be put aside");
    ApiError::internal()
}
