//! Contents: what is known of those that came whole, and how far those are that come in pieces.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use futures_util::stream::BoxStream;

/// Bytes up to which a file is held in memory until it is stored with others; a longer one is written as it comes.
pub const SMALL_FILE_BYTES_MAX: usize = 256 * 1024;
/// Bytes read at once while a file is hashed.
pub(super) const READ_BYTES: usize = 128 * 1024;
/// Bytes of a file's start that its media type is guessed from.
const HEAD_BYTES: usize = 8 * 1024;

/// A content, or a part of it, as it is read.
pub type ContentStream = BoxStream<'static, io::Result<Bytes>>;

/// What is known of a content by reading it once.
#[derive(Debug, Default)]
pub(super) struct Digest {
    hasher: blake3::Hasher,
    head: Vec<u8>,
    bytes: u64,
}

impl Digest {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.bytes += bytes.len() as u64;
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The content as stored under `key`; `name` helps to guess the media type.
    pub(super) fn stored(&self, key: String, name: &str) -> Stored {
        let media_type = infer::get(&self.head).map_or_else(
            || mime_guess::from_path(name).first_or_octet_stream().essence_str().to_owned(),
            |kind| kind.mime_type().to_owned(),
        );
        Stored { key, bytes: self.bytes, blake3: self.hasher.finalize().to_hex().to_string(), media_type }
    }
}

/// A file that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Key in the file store.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// BLAKE3, lower-case hexadecimal.
    pub blake3: String,
    /// Media type by content, a hint.
    pub media_type: String,
}

/// How much of a file has come, and survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes.
    pub received: u64,
    /// What a bucket is to be told of them; none in a folder.
    pub parts: Option<String>,
}

/// A file that comes in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    /// Key of its content.
    pub key: &'a str,
    /// Its size.
    pub bytes: u64,
    /// How much of it has come.
    pub progress: &'a Progress,
}

/// A file that came whole, and its content while that is not stored yet: see [`super::FileStore::keep_all`].
#[derive(Clone, PartialEq, Eq)]
pub struct SealedFile {
    /// What it is.
    pub stored: Stored,
    /// The content of a small file that is not in the file store yet.
    pub(super) content: Option<Bytes>,
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held_bytes();
        f.debug_struct("SealedFile").field("stored", &self.stored).field("held_bytes", &held).finish()
    }
}

impl SealedFile {
    /// Of a content that is in the file store.
    #[must_use]
    pub fn of_stored(stored: Stored) -> Self {
        Self { stored, content: None }
    }

    /// True where its content is in the file store.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.content.is_none()
    }

    /// Bytes that it holds in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.content.as_ref().map_or(0, Bytes::len)
    }
}

/// Reads to the end, some bytes at a time, for as long as `take` goes on.
pub(super) fn read_chunks(
    source: &mut impl Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => take(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
