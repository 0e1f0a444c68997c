//! Many files from one source: a zip, or a folder of the server.
//!
//! ```text
//! unpack   a zip -> files             zip_spool     a zip that is coming
//! folder   a folder -> files          folder_walk   what is in it, in order, never outside of it
//! ```
//!
//! A source is read on a thread of its own, which hands its files on a piece at a time and waits while they wait.

pub mod folder;
mod folder_walk;
pub mod unpack;
pub(super) mod zip_spool;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::item_sink::ItemSink;
use crate::protocol::ApiError;

/// Bytes that are handed on at once, and how many such pieces wait to be taken; beyond, the reading waits.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_WAITING_MAX: usize = 4;

/// What the reading of a source hands on.
enum Piece {
    Begin(String),
    Bytes(Bytes),
    End,
}

/// Where the reading of a source hands its files to.
struct FilePieces(mpsc::Sender<Piece>);

/// Nobody takes the rest: the sink has refused something, and has said why.
struct Refused;

impl FilePieces {
    /// The next file has this name.
    fn begin(&self, name: &str) -> Result<(), Refused> {
        self.hand_on(Piece::Begin(name.to_owned()))
    }

    /// Its next bytes.
    fn bytes(&self, bytes: Vec<u8>) -> Result<(), Refused> {
        self.hand_on(Piece::Bytes(bytes.into()))
    }

    /// It is whole.
    fn end(&self) -> Result<(), Refused> {
        self.hand_on(Piece::End)
    }

    fn hand_on(&self, piece: Piece) -> Result<(), Refused> {
        self.0.blocking_send(piece).map_err(|_nobody| Refused)
    }
}

/// Has `read` hand on files, and puts them into `sink`. A file that did not come whole is no item.
async fn read_into<R>(read: R, sink: &mut impl ItemSink) -> Result<(), ApiError>
where
    R: FnOnce(&FilePieces) -> Result<(), ApiError> + Send + 'static,
{
    let (pieces, mut coming) = mpsc::channel(PIECES_WAITING_MAX);
    let reading = tokio::task::spawn_blocking(move || read(&FilePieces(pieces)));
    let mut file = None;
    while let Some(piece) = coming.recv().await {
        match piece {
            Piece::Begin(name) => file = Some((sink.begin_file().await?, name)),
            Piece::Bytes(bytes) => {
                if let Some((file, _name)) = &mut file {
                    sink.write_file(file, &bytes).await?;
                }
            }
            Piece::End => {
                if let Some((file, name)) = file.take() {
                    sink.push_file(file, &name).await?;
                }
            }
        }
    }
    reading.await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "the reading of many files broke off");
        Err(ApiError::internal())
    })
}
