//! A zip that is coming: put aside on the disk until it is whole, since what is in it is said at its end.

use std::io;

use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::unpack::{UnpackLimits, unpack_into};
use crate::formats::item_sink::ItemSink;
use crate::protocol::{ApiError, ErrorCode};

/// A zip that is coming.
pub struct ZipSpool {
    name: String,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl ZipSpool {
    /// One that was sent as `name`, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn begin(name: &str, bytes_max: u64, sink: &impl ItemSink) -> Result<Self, ApiError> {
        let file = File::from_std(sink.scratch_file()?);
        Ok(Self { name: name.to_owned(), file, bytes: 0, bytes_max })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `too_large` over the bound; `disk_full`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            let detail = format!("The zip {:?} has more than {} bytes.", self.name, self.bytes_max);
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        self.file.write_all(bytes).await.map_err(|fault| spool_fault(&fault))
    }

    /// It is whole: its files go into `sink`.
    ///
    /// # Errors
    /// As [`unpack_into`].
    pub async fn unpack(mut self, sink: &mut impl ItemSink) -> Result<(), ApiError> {
        self.file.flush().await.map_err(|fault| spool_fault(&fault))?;
        let limits = UnpackLimits { bytes_max: self.bytes_max };
        unpack_into(self.file.into_std().await, &self.name, limits, sink).await
    }
}

/// The refusal where a zip cannot be put aside.
fn spool_fault(fault: &io::Error) -> ApiError {
    if fault.kind() == io::ErrorKind::StorageFull {
        return ApiError::new(ErrorCode::DiskFull, "There is no room on the disk for the zip.");
    }
    tracing::error!(%fault, "a zip could not be put aside");
    ApiError::internal()
}
