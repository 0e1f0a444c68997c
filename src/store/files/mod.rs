//! File contents: where they are kept, and how what nobody names is swept away.
//!
//! ```text
//! draft, content   a file that is coming in, or came whole    file_store, place   contents by key, wherever they are
//! folder           a folder of this machine                   bucket              S3: reads, parts, whether it is there
//! local_file       a path for tasks                           shared_content      equal contents under one key
//! sweep            what no row names                      pieces, folder_piece   a file that comes by several requests
//! ```

mod bucket;
mod content;
mod draft;
mod file_store;
mod folder;
mod folder_piece;
mod local_file;
mod pieces;
mod place;
mod shared_content;
mod sweep;
#[cfg(test)]
mod tests;

pub use self::bucket::{Addressing, BucketOptions};
pub use self::content::{ContentStream, Pieces, Progress, SMALL_FILE_BYTES_MAX, SealedFile, Stored};
pub use self::draft::Draft;
pub use self::file_store::FileStore;
pub use self::local_file::LocalFile;
pub use self::pieces::PieceWriter;
pub use self::shared_content::{hold_contents, hold_equal_contents};
pub use self::sweep::SweepPlace;
