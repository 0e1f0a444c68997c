//! One request that brings bytes of a file.
//!
//! Runs to its end even where whoever sends goes away: what came until then is synced and noted, and can be gone on from.

use futures_util::StreamExt as _;

use super::writers::{UploadTurn, overtaken_error};
use crate::formats::body::{BodyFault, ByteStream};
use crate::protocol::{ApiError, ErrorCode};
use crate::service::submit::detached;
use crate::service::{Caller, Service};
use crate::store::{PieceWriter, UploadRecord};

/// A piece of a file.
pub struct UploadPiece {
    /// Bytes of the file before it.
    pub offset: u64,
    /// Bytes that were announced, if they were.
    pub length: Option<u64>,
    /// The bytes.
    pub bytes: ByteStream,
}

impl Service {
    /// Adds a piece; answers the bytes of the file that survive.
    ///
    /// # Errors
    /// `wrong_offset` with the true one; `not_found`; `too_large` beyond what was announced; `malformed` where it was cut,
    /// `busy` where another request goes on, both with how much came, which is kept.
    pub async fn add_piece(&self, caller: &Caller, id: &str, piece: UploadPiece) -> Result<u64, ApiError> {
        self.own_upload(caller, id).await?;
        let (service, id) = (self.clone(), id.to_owned());
        detached(Box::pin(async move { service.add_piece_here(&id, piece).await })).await
    }

    async fn add_piece_here(&self, id: &str, piece: UploadPiece) -> Result<u64, ApiError> {
        let store = &self.parts().store;
        let turn = self.writers.take_over(id).await?;
        let writer = format!("{:032x}", rand::random::<u128>());
        let upload = store.take_upload(id, &writer).await?;
        let received = upload.progress.received;
        if piece.offset != received {
            let detail = format!("The upload has {received} bytes: go on from there.");
            return Err(ApiError::new(ErrorCode::WrongOffset, detail).at_offset(received));
        }
        if piece.length.is_some_and(|length| length > upload.file.bytes - received) {
            return Err(beyond(&upload).at_offset(received));
        }
        if received < upload.file.bytes {
            self.write_piece(&upload, &writer, &turn, piece).await?;
        }
        let now = store.upload(id).await?;
        if now.progress.received == now.file.bytes && now.stored.is_none() {
            self.finish_upload(&now).await?;
        }
        Ok(now.progress.received)
    }

    /// Writes what comes; what came survives then, however it ended.
    async fn write_piece(
        &self,
        upload: &UploadRecord,
        writer: &str,
        turn: &UploadTurn,
        mut piece: UploadPiece,
    ) -> Result<(), ApiError> {
        let store = &self.parts().store;
        let begun = store.file_store().begin_piece(upload.pieces()).await;
        let mut file = begun.map_err(|error| self.piece_fault(error))?.ok_or_else(overtaken_error)?;
        let came = self.write_chunks(upload, writer, turn, &mut piece, &mut file).await;
        if came.as_ref().is_err_and(|fault| fault.code == ErrorCode::TooLarge) {
            // It is another file than the one that was announced.
            let now = store.upload(&upload.id).await?;
            return came.map_err(|fault| fault.at_offset(now.progress.received));
        }
        let kept = match file.end().await {
            Ok(progress) => {
                if !store.note_progress(upload, writer, &progress).await? {
                    return Err(overtaken_error());
                }
                progress.received
            }
            Err(error) => return Err(came.err().unwrap_or_else(|| self.piece_fault(error))),
        };
        came.map_err(|fault| fault.at_offset(kept))
    }

    async fn write_chunks(
        &self,
        upload: &UploadRecord,
        writer: &str,
        turn: &UploadTurn,
        piece: &mut UploadPiece,
        file: &mut PieceWriter,
    ) -> Result<(), ApiError> {
        let store = &self.parts().store;
        let first = upload.progress.received;
        let mut came: u64 = 0;
        loop {
            let chunk = tokio::select! {
                chunk = piece.bytes.next() => chunk,
                () = turn.overtaken() => return Err(overtaken_error()),
            };
            let Some(chunk) = chunk else { break };
            let cut = |fault| BodyFault::of_carrier(&fault).map_or_else(cut_short, BodyFault::into_error);
            let chunk = chunk.map_err(cut)?;
            if chunk.len() as u64 > upload.file.bytes - first - came {
                return Err(beyond(upload));
            }
            // What a full disk has left is for ends: a file that is half there does not take it.
            store.has_room()?;
            let noted = file.write(&chunk).await.map_err(|error| self.piece_fault(error))?;
            came += chunk.len() as u64;
            if let Some(progress) = noted
                && !store.note_progress(upload, writer, &progress).await?
            {
                return Err(overtaken_error());
            }
        }
        if piece.length.is_some_and(|length| came < length) {
            return Err(cut_short());
        }
        Ok(())
    }
}

fn cut_short() -> ApiError {
    ApiError::malformed("The body was cut short; what came is kept.")
}

fn beyond(upload: &UploadRecord) -> ApiError {
    let bytes = upload.file.bytes;
    ApiError::new(
        ErrorCode::TooLarge,
        format!("The file was announced with {bytes} bytes; the piece has more."),
    )
}
