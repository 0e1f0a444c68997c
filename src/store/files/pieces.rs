//! A file that comes in pieces, each a request of its own: what came is kept over a cut, a restart and a change of node.
//!
//! Whoever sends says where it goes on; [`Progress`] is what the database keeps between two pieces. Nothing is told as
//! received before it survives a power cut. The content gets its place, and its hash, when all of it has come.

use super::bucket::BucketPiece;
use super::content::{Digest, Pieces, Progress, Stored};
use super::file_store::FileStore;
use super::folder_piece::FolderPiece;
use super::place::Place;
use crate::fault::Point;
use crate::store::error::StoreError;

/// One piece that is coming.
#[derive(Debug)]
pub struct PieceWriter(Content);

#[derive(Debug)]
enum Content {
    Folder(FolderPiece),
    Bucket(BucketPiece),
}

impl PieceWriter {
    /// Appends bytes, no more than the file has. Answers how much of the file survives where that is more than before.
    ///
    /// # Errors
    /// Where they cannot be written; what survived before does so still.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<Option<Progress>, StoreError> {
        match &mut self.0 {
            Content::Folder(piece) => Ok(piece.write(bytes).await?),
            Content::Bucket(piece) => piece.write(bytes).await,
        }
    }

    /// The piece has come, or was cut: all that was written survives now.
    ///
    /// # Errors
    /// As [`PieceWriter::write`].
    pub async fn end(self) -> Result<Progress, StoreError> {
        let progress = match self.0 {
            Content::Folder(piece) => piece.end().await?,
            Content::Bucket(piece) => piece.end().await?,
        };
        Point::FileKept.pass()?;
        Ok(progress)
    }
}

impl FileStore {
    /// Goes on with a file; none while another process does.
    ///
    /// # Errors
    /// Outages; where what came before is gone.
    pub async fn begin_piece(&self, pieces: Pieces<'_>) -> Result<Option<PieceWriter>, StoreError> {
        let content = match self.place() {
            Place::Folder(folder) => {
                folder.begin_piece(pieces.key, pieces.progress.received).await?.map(Content::Folder)
            }
            Place::Bucket(bucket) => Some(Content::Bucket(bucket.begin_piece(pieces).await?)),
        };
        Ok(content.map(PieceWriter))
    }

    /// Gives a file of which all has come its place, and reads it for its hash. May be done again after a stop in mid-way.
    /// `name` helps to guess the media type.
    ///
    /// # Errors
    /// Outages; [`StoreError::Io`] where it is not there whole.
    pub async fn finish_pieces(&self, pieces: Pieces<'_>, name: &str) -> Result<Stored, StoreError> {
        match self.place() {
            Place::Folder(folder) => folder.finish_pieces(pieces).await?,
            Place::Bucket(bucket) => bucket.finish_pieces(pieces).await?,
        }
        let mut digest = Digest::default();
        let mut content = self.read_range(pieces.key, 0..pieces.bytes).await?;
        while let Some(chunk) = futures_util::StreamExt::next(&mut content).await {
            digest.update(&chunk?);
        }
        if digest.bytes() != pieces.bytes {
            let what = format!("the content has {} bytes of {}", digest.bytes(), pieces.bytes);
            return Err(StoreError::Io(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, what)));
        }
        Ok(digest.stored(pieces.key.to_owned(), name))
    }

    /// Takes away what came of a file that did not become whole; nothing is no error.
    ///
    /// # Errors
    /// Outages.
    pub async fn drop_pieces(&self, pieces: Pieces<'_>) -> Result<(), StoreError> {
        match self.place() {
            Place::Folder(folder) => Ok(folder.drop_pieces(pieces.key).await?),
            Place::Bucket(bucket) => bucket.drop_pieces(pieces).await,
        }
    }
}
