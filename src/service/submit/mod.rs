//! Bodies of all kinds into batches.
//!
//! ```text
//! text, ndjson, csv, lines   bytes → items      request   JSON bodies and what both kinds share
//! form, fields, guard        multipart          sink      items → a batch that begins with the first of them
//! pump   a stream → sink     replay             Idempotency-Key            preview   the first rows of a CSV
//! ```
//!
//! Called by the server's API and by the page's form. Invariant: whatever happens to the client, a batch that a body
//! began is either whole or ends cancelled with the reason and the line; memory is bounded by one chunk and one item.
//! Deliberately knows no HTTP: bodies arrive as streams of bytes.

mod fields;
mod form;
mod pump;
mod replay;
mod request;
mod sink;

use bytes::Bytes;

pub use crate::formats::preview::csv_preview;
pub use fields::read_delimiter;
pub use replay::IdempotencyKey;
pub(super) use replay::KeysInHand;
pub use request::parse_query_json;

use self::pump::Halt;
use self::replay::{Arrival, Digest};
use self::sink::Sink;
use super::error::internal;
use super::may::{Action, Object, may};
use super::{Caller, Service};
use crate::formats::ByteStream;
use crate::protocol::{ApiError, Batch, BatchId, NewBatch, Seq};

/// How the items of a stream are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// One a line.
    Text,
    /// One JSON value a line.
    Ndjson,
    /// A header and one record an item.
    Csv {
        /// What parts the fields: one ASCII character.
        delimiter: u8,
    },
}

/// A stream of items.
pub struct ItemStream {
    /// How they are written.
    pub kind: StreamKind,
    /// The bytes.
    pub bytes: ByteStream,
    /// Bytes that were announced, if they were: fewer are a body cut short.
    pub length: Option<u64>,
    /// More bytes than these are refused as `too_large`.
    pub bytes_max: u64,
}

/// What a batch is made from.
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, moved a few times: a box would cost more than it saves"
)]
pub enum Submission {
    /// A whole JSON body: `{"task","name"?,"params"?,"options"?,"items"}`.
    Json(Bytes),
    /// Settings, and a stream of items.
    Stream(NewBatch, ItemStream),
    /// A form: settings, then files (or lines, or a CSV).
    Form(FormBody),
}

/// What an open batch is continued with.
pub enum Addition {
    /// A whole JSON body: `{"items":[…]}`.
    Json(Bytes),
    /// A stream of items.
    Stream(ItemStream),
    /// A form with files.
    Form(FormBody),
}

/// A multipart form.
pub struct FormBody {
    /// Its parts.
    pub parts: multer::Multipart<'static>,
    /// More bytes than these in one file are refused as `too_large`.
    pub file_bytes_max: u64,
}

/// How far a body has come.
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, moved a few times: a box would cost more than it saves"
)]
enum Fed {
    /// Items went into a sink, and how that ended.
    Items(Sink, Result<(), Halt>),
    /// The numbers up to so many.
    Numbers(NewBatch, u64),
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// A new batch.
    Created(Batch),
    /// The batch that the same key made before.
    Replayed(Batch),
}

impl Service {
    /// Makes a batch. Runs to its end even where the caller is dropped: the end is always recorded.
    ///
    /// # Errors
    /// Everything that SURFACE names for a create. A batch that had begun ends cancelled with the same reason.
    pub async fn submit(
        &self,
        caller: &Caller,
        submission: Submission,
        key: Option<IdempotencyKey>,
    ) -> Result<Submitted, ApiError> {
        may(caller, Action::Submit, Object::Installation)?;
        let (service, caller) = (self.clone(), caller.clone());
        detached(async move {
            match key {
                None => service.create_from(&caller, submission, &mut None).await.map(Submitted::Created),
                Some(key) => service.submit_once(&caller, submission, key).await,
            }
        })
        .await
    }

    /// Makes a batch from the page's form, by the same rules as [`Service::submit`].
    ///
    /// # Errors
    /// As for [`Service::submit`].
    pub async fn submit_form(
        &self,
        caller: &Caller,
        form: multer::Multipart<'static>,
    ) -> Result<Batch, ApiError> {
        let form = FormBody { parts: form, file_bytes_max: self.parts().upload_bytes_max };
        match self.submit(caller, Submission::Form(form), None).await? {
            Submitted::Created(batch) | Submitted::Replayed(batch) => Ok(batch),
        }
    }

    /// Goes on with an open batch. Runs to its end even where the caller is dropped.
    ///
    /// # Errors
    /// `wrong_first_seq` with the total where `first_seq` does not continue it; else as for [`Service::submit`].
    pub async fn append_items(
        &self,
        caller: &Caller,
        id: BatchId,
        first_seq: Seq,
        addition: Addition,
    ) -> Result<Batch, ApiError> {
        let (service, caller) = (self.clone(), caller.clone());
        detached(async move { service.extend_with(&caller, id, first_seq, addition).await }).await
    }

    /// The work of a create: the body into a sink, then the end of the batch. Takes the arrival once the body is whole.
    async fn create_from(
        &self,
        caller: &Caller,
        submission: Submission,
        arrival: &mut Option<Arrival>,
    ) -> Result<Batch, ApiError> {
        let digest = arrival.as_mut().map(|arrival| &mut arrival.digest);
        let fed = match submission {
            Submission::Json(body) => {
                Digest::feed(digest, &body);
                self.create_from_json(caller, &body).await?
            }
            Submission::Stream(new, stream) => {
                let input = request::check_task(&self.parts().tasks, &new)?;
                let mut sink = Sink::new(self, caller, new);
                let fed = pump::stream(stream, input, &mut sink, digest).await;
                Fed::Items(sink, fed)
            }
            Submission::Form(form) => form::create(self, caller, form, digest).await?,
        };
        let (mut sink, fed) = match fed {
            Fed::Items(sink, fed) => (sink, fed),
            Fed::Numbers(new, count) => {
                let key = arrival.take().map(Arrival::whole);
                return self.create_generated_under(caller, new, count, key).await;
            }
        };
        let begun = match fed {
            Ok(()) => sink.begin_if_open().await.map_err(Halt::Bad),
            Err(halt) => Err(halt),
        };
        if let Err(halt) = begun {
            return Err(sink.halt(halt).await);
        }
        sink.finish(arrival.take().map(Arrival::whole)).await
    }

    async fn create_from_json(&self, caller: &Caller, body: &[u8]) -> Result<Fed, ApiError> {
        let request = request::read_create(body)?;
        let input = request::check_task(&self.parts().tasks, &request.new)?;
        if let request::Items::Count(count) = request.items {
            request::fits_count(input, count)?;
            return Ok(Fed::Numbers(request.new, count));
        }
        let mut sink = Sink::new(self, caller, request.new);
        let fed = request::push_items(request.items, input, &mut sink).await.map_err(Halt::Bad);
        Ok(Fed::Items(sink, fed))
    }

    async fn extend_with(
        &self,
        caller: &Caller,
        id: BatchId,
        first_seq: Seq,
        addition: Addition,
    ) -> Result<Batch, ApiError> {
        let intake = self.append(caller, id, first_seq).await?;
        let input = intake.batch().input;
        let mut sink = Sink::resumed(self, caller, intake);
        let fed = match addition {
            Addition::Json(body) => match request::read_addition(&body) {
                Ok(items) => request::push_items(items, input, &mut sink).await.map_err(Halt::Bad),
                // Nothing of it was read as items: the batch goes on as it was.
                Err(error) => return Err(sink.leave(error).await),
            },
            Addition::Stream(stream) => pump::stream(stream, input, &mut sink, None).await,
            Addition::Form(form) => form::extend(form, input, &mut sink).await,
        };
        match fed {
            Ok(()) => sink.finish(None).await,
            Err(halt) => Err(sink.halt(halt).await),
        }
    }
}

/// Runs `work` to its end even where the caller is dropped.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::spawn(work).await {
        Ok(answer) => answer,
        Err(fault) => Err(internal(&fault)),
    }
}
