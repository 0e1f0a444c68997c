//! Bytes into items and back, knowing neither people nor tables.
//!
//! ```text
//! lines, text, ndjson, csv   bytes → items, as they come
//! multipart_bounds           how much of a form may come before a part's content
//! preview                    the first rows of a CSV, before anything is submitted
//! ```

pub mod csv;
pub mod lines;
pub mod multipart_bounds;
pub mod ndjson;
pub mod preview;
pub mod text;

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

/// Bytes of a body as they come. An error means that the body was cut short; one of the kind `FileTooLarge`, that it is
/// over a bound of whoever carries it.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;
