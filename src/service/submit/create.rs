//! The way of a create: settings, checked; items into a sink; the end of the batch.

use super::key::ArrivingKey;
use super::sink::BatchSink;
use super::submission::Submission;
use crate::engine::CheckedBatch;
use crate::formats::body::{BodyFault, BodyHash};
use crate::formats::file_sources::folder::{FolderFiles, folder_into};
use crate::formats::form::{FormBody, FormReader};
use crate::formats::item_kind::check_numbers;
use crate::formats::json_body::{JsonItems, read_create};
use crate::protocol::{ApiError, Batch, NewBatch};
use crate::service::{Caller, Service};

/// How far a body has come.
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, moved a few times: a box would cost more than it saves"
)]
enum BodyRead {
    /// Items went into a sink, and how that ended.
    Items(BatchSink, Result<(), BodyFault>),
    /// The numbers up to so many.
    Numbers(CheckedBatch, u64),
}

impl Service {
    /// Makes a batch from what `caller`, who may do so, has submitted. Takes the key out of `arriving` once the body is
    /// whole.
    pub(super) async fn create_from(
        &self,
        caller: &Caller,
        submission: Submission,
        arriving: &mut Option<ArrivingKey>,
    ) -> Result<Batch, ApiError> {
        let mut hash = arriving.as_mut().map(|arriving| &mut arriving.hash);
        let read = match submission {
            Submission::Json(body) => {
                if let Some(hash) = &mut hash {
                    hash.update(&body);
                }
                Box::pin(self.read_json(caller, &body)).await?
            }
            Submission::Stream(new, stream) => {
                let checked = self.checked(caller, new).await?;
                let input = checked.input();
                let mut sink = BatchSink::new(self, caller, checked);
                let read = stream.read_into(input, &mut sink, hash).await;
                BodyRead::Items(sink, read)
            }
            Submission::Form(form) => Box::pin(self.read_form(caller, form, hash)).await?,
        };
        match read {
            BodyRead::Numbers(checked, count) => {
                let key = arriving.take().map(ArrivingKey::whole);
                let batch = self.parts().engine.create_generated(checked, count, key).await?;
                Ok(self.parts().engine.wire(&batch))
            }
            BodyRead::Items(mut sink, read) => {
                let begun = match read {
                    Ok(()) => sink.begin_if_open().await.map_err(BodyFault::Refused),
                    Err(fault) => Err(fault),
                };
                if let Err(fault) = begun {
                    return Err(sink.halt(fault).await);
                }
                sink.finish(arriving.take().map(ArrivingKey::whole)).await
            }
        }
    }

    async fn read_json(&self, caller: &Caller, body: &[u8]) -> Result<BodyRead, ApiError> {
        let request = read_create(body)?;
        let checked = self.checked(caller, request.new).await?;
        let input = checked.input();
        match request.items {
            JsonItems::Count(count) => {
                check_numbers(input)?;
                Ok(BodyRead::Numbers(checked, count))
            }
            JsonItems::Folder(files) => self.read_folder(caller, checked, files).await,
            JsonItems::List(list) => {
                let mut sink = BatchSink::new(self, caller, checked);
                let read = list.read_into(input, &mut sink).await.map_err(BodyFault::Refused);
                Ok(BodyRead::Items(sink, read))
            }
        }
    }

    /// Files of a folder of the server.
    async fn read_folder(
        &self,
        caller: &Caller,
        checked: CheckedBatch,
        files: FolderFiles,
    ) -> Result<BodyRead, ApiError> {
        let folder = self.item_folder(&files, checked.input())?;
        let mut sink = BatchSink::new(self, caller, checked);
        let read = folder_into(folder, files, self.parts().upload_bytes_max, &mut sink).await;
        Ok(BodyRead::Items(sink, read.map_err(BodyFault::Refused)))
    }

    async fn read_form(
        &self,
        caller: &Caller,
        form: FormBody,
        hash: Option<&mut BodyHash>,
    ) -> Result<BodyRead, ApiError> {
        let mut reader = FormReader::new(form, hash);
        let schema_of =
            |task: &str| self.parts().tasks.info(task).map(|info| info.params.to_value()).unwrap_or_default();
        let new = reader.read_settings(schema_of).await?;
        let checked = self.checked(caller, new).await?;
        let input = checked.input();
        if let Some(count) = reader.count()? {
            check_numbers(input)?;
            // The body has come when its end has: a browser also sends the fields of the other kinds, empty.
            reader.skip_rest().await.map_err(BodyFault::into_error)?;
            return Ok(BodyRead::Numbers(checked, count));
        }
        if let Some(files) = reader.folder() {
            reader.skip_rest().await.map_err(BodyFault::into_error)?;
            return self.read_folder(caller, checked, files).await;
        }
        let mut sink = BatchSink::new(self, caller, checked);
        let read = reader.read_items(input, &mut sink).await;
        Ok(BodyRead::Items(sink, read))
    }

    /// All but the items, checked, before the first byte of them is read.
    async fn checked(&self, caller: &Caller, new: NewBatch) -> Result<CheckedBatch, ApiError> {
        self.may_run(caller, &new)?;
        let parent = self.parent_of(caller, &new).await?;
        self.room_for_webhook(caller, &new).await?;
        Ok(self.parts().engine.check(new, caller.name.clone())?.with_parent(parent))
    }
}
