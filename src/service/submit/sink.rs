//! Where decoded items go: a batch that begins with the first of them.
//!
//! Owns the moment at which a batch is made, and how it ends. Called by the pump, the forms and JSON bodies.
//! Invariant: a body that is refused before its first item leaves no batch behind; one that was begun is always
//! ended. Deliberately does not know how items are written.

use super::pump::Halt;
use super::replay::in_flight;
use crate::engine::{ClaimedKey, Empty, EngineError, Intake};
use crate::protocol::{ApiError, Batch, ErrorCode, Json, NewBatch};
use crate::service::{Caller, Service};
use crate::store::{BatchRecord, StoreError, Stored, Vault};

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

/// What is left of a batch whose body failed.
enum Left {
    Nothing,
    Batch(Box<BatchRecord>),
    /// The database does not say.
    Unknown,
}

impl Left {
    fn read(now: Result<BatchRecord, EngineError>) -> Self {
        match now {
            Ok(batch) if batch.deleted => Self::Nothing,
            Ok(batch) => Self::Batch(Box::new(batch)),
            Err(EngineError::Store(StoreError::NotFound(_))) => Self::Nothing,
            Err(_outage) => Self::Unknown,
        }
    }
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

    /// Contents could not be written.
    pub(super) fn file_fault(&self, fault: std::io::Error) -> ApiError {
        let error = StoreError::Io(fault);
        self.service.parts().store.note_full(&error);
        error.into()
    }

    /// Refuses contents while there is no room for them.
    pub(super) fn has_room(&self) -> Result<(), ApiError> {
        Ok(self.service.parts().store.has_room()?)
    }

    /// The body is whole: makes an open batch that has no items yet; refuses another one.
    pub(super) async fn begin_if_open(&mut self) -> Result<(), ApiError> {
        if self.intake.is_some() || self.open {
            return self.intake().await.map(|_intake| ());
        }
        Err(no_items())
    }

    /// Commits what came; a batch that was begun here is then whole, and `key` stands for it.
    pub(super) async fn finish(mut self, key: Option<(ClaimedKey, String)>) -> Result<Batch, ApiError> {
        let intake = self.intake.take().ok_or_else(no_items)?;
        let (id, engine) = (intake.batch().id, &self.service.parts().engine);
        match intake.finish(key).await {
            Ok(record) => Ok(engine.wire(&record)),
            // Another request has the key: this one has made nothing that lasts.
            Err(EngineError::Store(StoreError::Taken(_))) if self.origin == Origin::Begun => Err(in_flight()),
            Err(error) => {
                let left = Left::read(self.service.parts().store.batch(id).await.map_err(EngineError::from));
                Err(self.truth(error.into(), &left))
            }
        }
    }

    /// The body is at fault: a batch that it began ends cancelled with the reason; one that it continued goes on from
    /// what came whole, which is what `first_seq` is for. Gives the refusal back.
    pub(super) async fn halt(mut self, halt: Halt) -> ApiError {
        let Some(intake) = self.intake.take() else { return halt.into_error() };
        let key = intake.batch().key;
        let (error, ended) = match (self.origin, halt) {
            (Origin::Continued, Halt::Cut(error)) => (error, intake.finish(None).await),
            (Origin::Continued | Origin::Begun, Halt::Bad(error)) | (Origin::Begun, Halt::Cut(error)) => {
                // Where nothing came of it, "nothing was changed" is to be true.
                let empty = if is_outage(&error) { Empty::Removed } else { Empty::Shown };
                let reason = reason(&error);
                (error, intake.abort(reason, empty).await)
            }
        };
        if let Err(fault) = &ended {
            tracing::warn!(batch = key, %fault, "a batch whose body failed could not be ended at once");
        }
        self.truth(error, &Left::read(ended))
    }

    /// What is told where the disk or the database was at fault: what has become of the batch.
    fn truth(&self, mut error: ApiError, left: &Left) -> ApiError {
        let cause = if error.code == ErrorCode::DiskFull {
            "There is no room on the disk."
        } else if error.code == ErrorCode::Internal {
            "An error was logged."
        } else {
            return error;
        };
        error.detail = match (self.origin, left) {
            // Then the sentence that nothing was changed is true.
            (Origin::Begun, Left::Nothing) => return error,
            (Origin::Begun, Left::Batch(batch)) => {
                let (number, total) = (batch.key, batch.total);
                format!("{cause} Batch #{number} ends cancelled; {total} items had come.")
            }
            (Origin::Begun, Left::Unknown) => format!("{cause} The batch that was begun is being cancelled."),
            (Origin::Continued, Left::Batch(batch)) => {
                let (total, next) = (batch.total, batch.total + 1);
                error.total = Some(total);
                format!("{cause} The batch has {total} items: go on with first_seq={next}.")
            }
            (Origin::Continued, Left::Nothing) => format!("{cause} The batch is gone."),
            (Origin::Continued, Left::Unknown) => format!("{cause} Look at the batch for what it has."),
        };
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

/// True where the disk or the database was at fault, not the body.
fn is_outage(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::DiskFull | ErrorCode::Busy | ErrorCode::Internal)
}

fn no_items() -> ApiError {
    ApiError::new(ErrorCode::NoItems, "A batch needs at least one item.")
}

/// The reason that a batch shows where its body was at fault, or could not be stored.
fn reason(error: &ApiError) -> String {
    // What a client is told says what became of the batch: here it is the batch that says it.
    if error.code == ErrorCode::DiskFull {
        return "there was no room on the disk".to_owned();
    }
    if error.code == ErrorCode::Internal {
        return "its items could not be stored; see the log".to_owned();
    }
    match error.line {
        Some(line) => format!("line {line}: {}", error.detail),
        None => error.detail.clone(),
    }
}
