//! What a batch is made from, what an open one is continued with, and what became of it.

use bytes::Bytes;

use crate::formats::form::FormBody;
use crate::formats::stream::ItemStream;
use crate::protocol::{Batch, NewBatch};

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

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// A new batch.
    Created(Batch),
    /// The batch that the same key made before.
    Replayed(Batch),
}

impl Submitted {
    /// The batch, either way.
    #[must_use]
    pub fn into_batch(self) -> Batch {
        match self {
            Self::Created(batch) | Self::Replayed(batch) => batch,
        }
    }
}
