//! Opening beside a running process: for commands that change who may come in, or the schema.
//!
//! Whoever opens beside neither marks a stop as clean nor raises a revision: both belong to the process that holds
//! the data folder.

use super::disk::Disk;
use super::error::StoreError;
use super::{Store, StoreOptions};

impl Store {
    /// Connects and applies migrations, and nothing else. To be closed by [`Store::close_parallel`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_parallel(options: StoreOptions) -> Result<Self, StoreError> {
        let disk = Disk::beside(&options.files);
        Self::connect(options, None, disk).await
    }

    /// Closes all connections of a store that was opened beside.
    pub async fn close_parallel(&self) {
        self.inner.backend.close().await;
    }
}
