//! Where decoded items go: a batch that begins with the first of them.
//!
//! Owns the moment at which a batch is made, and how it ends. Called by the pump, the forms and JSON bodies.
//! Invariant: a body that is refused before its first item leaves no batch behind; one that was begun is always
//! ended. Deliberately does not know how items are written.

use super::pump::Halt;
use crate::engine::Intake;
use crate::protocol::{ApiError, Batch, BatchId, ErrorCode, Json, NewBatch};
use crate::service::{Caller, Service};
use crate::store::{Stored, Vault};

/// Takes items in order.
pub(super) struct Sink {
    service: Service,
    caller: Caller,
    /// What to make; none once it was made.
    new: Option<NewBatch>,
    columns: Vec<String>,
    open: bool,
    origin: Origin,
    intake: Option<Intake>,
}

/// Where the batch of a sink comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// This request begins it.
    Begun,
    /// An earlier request began it.
    Continued,
}

impl Sink {
    /// For a batch that is not there yet.
    pub(super) fn new(service: &Service, caller: &Caller, new: NewBatch) -> Self {
        Self {
            service: service.clone(),
            caller: caller.clone(),
            open: new.options.open,
            origin: Origin::Begun,
            new: Some(new),
            columns: Vec::new(),
            intake: None,
        }
    }

    /// For an open batch that goes on.
    pub(super) fn resumed(service: &Service, caller: &Caller, intake: Intake) -> Self {
        Self {
            service: service.clone(),
            caller: caller.clone(),
            open: true,
            origin: Origin::Continued,
            new: None,
            columns: Vec::new(),
            intake: Some(intake),
        }
    }

    /// Names the columns of a CSV. A batch that goes on must have the same ones.
    pub(super) fn set_columns(&mut self, columns: &[String]) -> Result<(), ApiError> {
        if let Some(intake) = &self.intake {
            let there = &intake.batch().columns;
            if !there.is_empty() && there.as_slice() != columns {
                let expected = there.join(", ");
                return Err(
                    ApiError::invalid(format!("Expected the columns of the batch: {expected}.")).at_line(1)
                );
            }
        }
        self.columns = columns.to_vec();
        Ok(())
    }

    /// Takes one item.
    pub(super) async fn push(&mut self, item: &Json) -> Result<(), ApiError> {
        Ok(self.intake().await?.push(item).await?)
    }

    /// Takes one file.
    pub(super) async fn push_file(&mut self, name: &str, stored: Stored) -> Result<(), ApiError> {
        Ok(self.intake().await?.push_file(name, stored).await?)
    }

    /// Where file contents go.
    pub(super) fn vault(&self) -> Vault {
        self.service.parts().store.vault().clone()
    }

    /// The batch, once it was made.
    pub(super) fn batch_id(&self) -> Option<BatchId> {
        self.intake.as_ref().map(|intake| intake.batch().id)
    }

    /// The body is whole: makes an open batch that has no items yet; refuses another one.
    pub(super) async fn begin_if_open(&mut self) -> Result<(), ApiError> {
        if self.intake.is_some() || self.open {
            return self.intake().await.map(|_intake| ());
        }
        Err(no_items())
    }

    /// Commits what came, and seals (unless the batch is open).
    pub(super) async fn finish(self) -> Result<Batch, ApiError> {
        let intake = self.intake.ok_or_else(no_items)?;
        let record = intake.finish().await?;
        Ok(self.service.parts().engine.wire(&record))
    }

    /// The body is at fault: a batch that it began ends cancelled with the reason; one that it continued goes on from
    /// what came whole, which is what `first_seq` is for. Gives the refusal back.
    pub(super) async fn halt(self, halt: Halt) -> ApiError {
        let Some(intake) = self.intake else { return halt.into_error() };
        let key = intake.batch().key;
        let (error, ended) = match (self.origin, halt) {
            (Origin::Continued, Halt::Cut(error)) => (error, intake.finish().await),
            (Origin::Continued, Halt::Bad(error)) => {
                let reason = reason(&error);
                (error, intake.abort(reason).await)
            }
            (Origin::Begun, Halt::Cut(error) | Halt::Bad(error)) => {
                let reason = reason(&error);
                let mut ended = intake.abort(reason.clone()).await;
                // An open batch outlives its intake; nobody was told of this one.
                if ended.as_ref().is_ok_and(|batch| !batch.state.is_finished() && batch.options.open) {
                    ended = self.service.parts().engine.cancel_because(key, Some(reason)).await;
                }
                (error, ended)
            }
        };
        if let Err(fault) = ended {
            tracing::warn!(batch = key, %fault, "a batch whose body failed could not be ended at once");
        }
        error
    }

    /// Nothing of the body was taken: an open batch goes on as it was.
    pub(super) async fn leave(self, error: ApiError) -> ApiError {
        self.halt(Halt::Cut(error)).await
    }

    async fn intake(&mut self) -> Result<&mut Intake, ApiError> {
        if let Some(new) = self.new.take() {
            let columns = std::mem::take(&mut self.columns);
            self.intake = Some(self.service.create(&self.caller, new, columns).await?);
        }
        self.intake.as_mut().ok_or_else(ApiError::internal)
    }
}

fn no_items() -> ApiError {
    ApiError::new(ErrorCode::NoItems, "A batch needs at least one item.")
}

/// The reason that a batch shows where its body was at fault.
fn reason(error: &ApiError) -> String {
    match error.line {
        Some(line) => format!("line {line}: {}", error.detail),
        None => error.detail.clone(),
    }
}
