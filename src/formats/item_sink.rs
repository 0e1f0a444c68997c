//! Where the items and files of a body go.

use std::fs::File;
use std::future::Future;

use crate::protocol::{ApiError, Json};

/// Receives what is read of a body, in order. A reader waits for each call: a slow receiver slows the sender.
pub trait ItemSink: Send {
    /// A file whose content is coming.
    type File: Send;

    /// What comes next is read from a file of this name; empty where it is none.
    fn name_source(&mut self, _name: &str) {}

    /// Names the columns of a CSV, before its first item.
    ///
    /// # Errors
    /// A refusal ends the reading.
    fn set_columns(&mut self, columns: &[String]) -> Result<(), ApiError>;

    /// Adds one item that is no file.
    ///
    /// # Errors
    /// A refusal ends the reading.
    fn push(&mut self, item: &Json) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Adds files that have come before, by the ids of their uploads: all of them, or none.
    ///
    /// # Errors
    /// A refusal ends the reading.
    fn push_uploads(&mut self, ids: Vec<String>) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// A file without a name for what must be looked at whole before any of it is an item, on the disk that is there for
    /// such; it goes when it is dropped.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn scratch_file(&self) -> Result<File, ApiError>;

    /// Begins a file.
    ///
    /// # Errors
    /// A refusal ends the reading.
    fn begin_file(&mut self) -> impl Future<Output = Result<Self::File, ApiError>> + Send;

    /// Adds a chunk to a file's content.
    ///
    /// # Errors
    /// A refusal ends the reading.
    fn write_file(
        &mut self,
        file: &mut Self::File,
        chunk: &[u8],
    ) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Adds a file, which is whole, as one item. One that is dropped instead is no item.
    ///
    /// # Errors
    /// A refusal ends the reading.
    fn push_file(
        &mut self,
        file: Self::File,
        name: &str,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}
