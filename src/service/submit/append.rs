//! The way of an append: more items into a batch that is open.

use std::time::Duration;

use super::sink::BatchSink;
use super::submission::Addition;
use crate::formats::body::BodyFault;
use crate::formats::file_sources::folder::folder_into;
use crate::formats::form::FormReader;
use crate::formats::json_body::{AddedItems, read_addition};
use crate::protocol::{ApiError, Batch, BatchId, InputKind, Seq};
use crate::service::{Action, Caller, Service};

impl Service {
    /// Goes on with an open batch at `first_seq`, which may be ahead of it for `patience`.
    pub(super) async fn append_from(
        &self,
        caller: &Caller,
        id: BatchId,
        (first_seq, patience): (Seq, Duration),
        addition: Addition,
    ) -> Result<Batch, ApiError> {
        let batch = self.allowed(caller, Action::AddToBatch, id).await?;
        let intake = self.parts().engine.append(batch.key, first_seq, patience).await?;
        let input = intake.batch().input;
        let mut sink = BatchSink::resumed(self, caller, intake);
        let read = match addition {
            Addition::Json(body) => match read_addition(&body) {
                Ok(items) => self.add_items(items, input, &mut sink).await.map_err(BodyFault::Refused),
                // Nothing of it was read as items: the batch goes on as it was.
                Err(error) => return Err(sink.halt(BodyFault::Cut(error)).await),
            },
            Addition::Stream(stream) => stream.read_into(input, &mut sink, None).await,
            Addition::Form(form) => FormReader::new(form, None).read_items(input, &mut sink).await,
        };
        match read {
            Ok(()) => sink.finish(None).await,
            Err(fault) => Err(sink.halt(fault).await),
        }
    }

    async fn add_items(
        &self,
        items: AddedItems<'_>,
        input: InputKind,
        sink: &mut BatchSink,
    ) -> Result<(), ApiError> {
        match items {
            AddedItems::List(list) => list.read_into(input, sink).await,
            AddedItems::Folder(files) => {
                let folder = self.item_folder(&files, input)?;
                folder_into(folder, files, self.parts().upload_bytes_max, sink).await
            }
        }
    }
}
