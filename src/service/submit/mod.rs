//! Bodies into batches: who asks, whether they may, and the way of a body through [`formats`](crate::formats) into the
//! engine.
//!
//! ```text
//! submission   what comes          create, append   check -> read the items into a sink -> finish or halt
//! key, replay  Idempotency-Key     sink             items -> a batch that begins with the first of them
//! csv_look     a CSV, looked at before it is submitted
//! taken_uploads   files that came before, by pieces     server_folders   files that are here
//! ```
//!
//! Whatever happens to the client, a batch that a body began is either whole or ends cancelled with the reason and the
//! line. How much of a body is in memory is said in [`formats`](crate::formats); what is read waits in the intake, which
//! has a bound of its own.

mod append;
mod create;
mod csv_look;
mod key;
mod replay;
mod server_folders;
mod sink;
mod submission;
mod taken_uploads;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::time::Duration;

pub use self::csv_look::{CsvLook, CsvToLookAt, FailingRow, LookedColumn};
pub use self::key::IdempotencyKey;
pub(super) use self::key::KeysInHand;
pub(super) use self::replay::{KeyStanding, mismatch};
pub use self::submission::{Addition, Submission, Submitted};
use super::error::internal;
use super::may::{Action, Target, may};
use super::{Caller, Service};
use crate::formats::form::{FieldOrder, FormBody};
use crate::protocol::{ApiError, Batch, BatchId, Seq};
use crate::store::access::Signature;

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
        may(caller, Action::Submit, Target::Installation)?;
        let (service, signer, caller) = (self.clone(), caller, caller.clone());
        let work = async move {
            match key {
                None => Box::pin(service.create_from(&caller, submission, &mut None))
                    .await
                    .map(Submitted::Created),
                Some(key) => Box::pin(service.submit_once(&caller, submission, key)).await,
            }
        };
        signer.signs(detached(Box::pin(work))).await
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
        let order = FieldOrder::Any(self.parts().engine.work_folder().to_owned());
        let form = FormBody { parts: form, file_bytes_max: self.parts().upload_bytes_max, order };
        self.submit(caller, Submission::Form(form), None).await.map(Submitted::into_batch)
    }

    /// Goes on with an open batch at `first_seq`, which may be ahead of it for as long as `patience`. Runs to its end even where the
    /// caller is dropped.
    ///
    /// # Errors
    /// `wrong_first_seq` with the total where `first_seq` does not continue it; else as for [`Service::submit`].
    pub async fn append_items(
        &self,
        caller: &Caller,
        id: BatchId,
        (first_seq, patience): (Seq, Duration),
        addition: Addition,
    ) -> Result<Batch, ApiError> {
        let (service, signer, caller) = (self.clone(), caller, caller.clone());
        let work =
            async move { Box::pin(service.append_from(&caller, id, (first_seq, patience), addition)).await };
        signer.signs(detached(Box::pin(work))).await
    }
}

/// Runs `work` to its end even where the caller is dropped. It is boxed: a future of a submission is large, and each hand it
/// goes through, down to the framework's own, would have a copy of it on its stack.
pub(super) async fn detached<T: Send + 'static>(
    work: Pin<Box<impl Future<Output = Result<T, ApiError>> + Send + 'static>>,
) -> Result<T, ApiError> {
    match tokio::spawn(Signature::carried(work)).await {
        Ok(answer) => answer,
        Err(fault) => Err(internal(&fault)),
    }
}
