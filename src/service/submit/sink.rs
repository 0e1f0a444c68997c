//! Where decoded items go: a batch that begins with the first of them.
//!
//! A body that is refused before any item of it is stored leaves no batch behind; one that was begun is always ended.

use std::fs::File;
use std::time::{Duration, Instant};

use super::key::in_flight;
use super::taken_uploads::TakenUploads;
use crate::engine::{CheckedBatch, ClaimedKey, Empty, EngineError, Intake};
use crate::formats::body::BodyFault;
use crate::formats::item_sink::ItemSink;
use crate::protocol::text::thousands;
use crate::protocol::{ApiError, Batch, ErrorCode, Json};
use crate::service::{Caller, Service};
use crate::store::{BatchRecord, Draft, SealedFile, StoreError};

/// How often within its limit a batch that ends when nothing is added is told of what is.
const TOUCHES_PER_LIMIT: u32 = 4;

/// Receives the items of one body, in order.
pub(super) struct BatchSink {
    service: Service,
    /// Who sends them.
    caller: String,
    /// What to make; none once it was made.
    checked: Option<CheckedBatch>,
    /// The file that its items are read from; empty where there is none.
    source_file: String,
    columns: Vec<String>,
    begun_by: BegunBy,
    intake: Option<Intake>,
    /// Files that came before.
    taken: Option<TakenUploads>,
    /// When the store was last told that something is added.
    touched: Option<Instant>,
}

/// Who begins the batch of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BegunBy {
    /// This request.
    This,
    /// An earlier request.
    Earlier,
}

/// What is left of a batch whose body failed.
enum Remains {
    Nothing,
    Batch(Box<BatchRecord>),
    /// The database does not answer.
    Unknown,
}

impl Remains {
    fn read(now: Result<BatchRecord, EngineError>) -> Self {
        match now {
            Ok(batch) if batch.deleted => Self::Nothing,
            Ok(batch) => Self::Batch(Box::new(batch)),
            Err(EngineError::Store(StoreError::NotFound(_))) => Self::Nothing,
            Err(_outage) => Self::Unknown,
        }
    }
}

impl ItemSink for BatchSink {
    type File = Draft;

    fn name_source(&mut self, name: &str) {
        if self.source_file.is_empty() {
            name.clone_into(&mut self.source_file);
        }
    }

    /// A batch that goes on must have the same columns.
    fn set_columns(&mut self, columns: &[String]) -> Result<(), ApiError> {
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

    async fn push(&mut self, item: &Json) -> Result<(), ApiError> {
        self.touch().await?;
        Ok(self.intake().await?.push(item).await?)
    }

    async fn push_uploads(&mut self, ids: Vec<String>) -> Result<(), ApiError> {
        let taken = self.taken.insert(self.service.take_uploads(&self.caller, ids).await?);
        let files: Vec<_> = taken
            .uploads()
            .iter()
            .filter_map(|upload| Some((upload.file.name.clone(), upload.stored.clone()?)))
            .collect();
        let first = self.intake().await?.next_seq();
        if let Some(taken) = &mut self.taken {
            taken.first = first;
        }
        for (name, stored) in files {
            self.intake().await?.push_file(&name, SealedFile::of_stored(stored)).await?;
        }
        Ok(())
    }

    fn scratch_file(&self) -> Result<File, ApiError> {
        self.service.parts().store.has_room()?;
        let file = tempfile::tempfile_in(self.service.parts().engine.work_folder());
        file.map_err(|fault| self.file_fault(StoreError::Io(fault)))
    }

    async fn begin_file(&mut self) -> Result<Draft, ApiError> {
        let store = &self.service.parts().store;
        store.has_room()?;
        Ok(store.file_store().draft())
    }

    async fn write_file(&mut self, file: &mut Draft, chunk: &[u8]) -> Result<(), ApiError> {
        self.touch().await?;
        // What a full disk has left is for ends: a file that is half there does not take it.
        self.service.parts().store.has_room()?;
        file.write(chunk).await.map_err(|fault| self.file_fault(fault))
    }

    /// A file is whole before it becomes an item, and durable before the item can be seen.
    async fn push_file(&mut self, file: Draft, name: &str) -> Result<(), ApiError> {
        let sealed = file.seal(name).await.map_err(|fault| self.file_fault(fault))?;
        Ok(self.intake().await?.push_file(name, sealed).await?)
    }
}

impl BatchSink {
    /// For a batch that is not there yet.
    pub(super) fn new(service: &Service, caller: &Caller, checked: CheckedBatch) -> Self {
        Self {
            service: service.clone(),
            caller: caller.name.clone(),
            checked: Some(checked),
            source_file: String::new(),
            columns: Vec::new(),
            begun_by: BegunBy::This,
            intake: None,
            taken: None,
            touched: None,
        }
    }

    /// For an open batch that goes on.
    pub(super) fn resumed(service: &Service, caller: &Caller, intake: Intake) -> Self {
        Self {
            service: service.clone(),
            caller: caller.name.clone(),
            checked: None,
            source_file: String::new(),
            columns: Vec::new(),
            begun_by: BegunBy::Earlier,
            intake: Some(intake),
            taken: None,
            touched: None,
        }
    }

    /// Tells the store now and then that something is added, where the batch ends when nothing is.
    async fn touch(&mut self) -> Result<(), ApiError> {
        let Some(intake) = &self.intake else { return Ok(()) };
        let Some(seconds) = intake.batch().options.idle_seconds else { return Ok(()) };
        let interval = Duration::from_secs(seconds) / TOUCHES_PER_LIMIT;
        if self.touched.is_none_or(|touched| touched.elapsed() >= interval) {
            self.touched = Some(Instant::now());
            self.service.parts().store.touch_open(intake.batch()).await?;
        }
        Ok(())
    }

    /// Contents could not be written.
    fn file_fault(&self, error: StoreError) -> ApiError {
        self.service.parts().store.record_full(&error);
        error.into()
    }

    /// The body is whole: makes an open batch that has no items yet; refuses another one.
    pub(super) async fn begin_if_open(&mut self) -> Result<(), ApiError> {
        if self.intake.is_some() || self.checked.as_ref().is_some_and(CheckedBatch::is_open) {
            return self.intake().await.map(|_intake| ());
        }
        Err(no_items())
    }

    /// Commits what came; a batch that was begun here is then whole, and `key` stands for it.
    pub(super) async fn finish(mut self, key: Option<(ClaimedKey, String)>) -> Result<Batch, ApiError> {
        self.touched = None;
        self.touch().await?;
        let intake = self.intake.take().ok_or_else(no_items)?;
        let (id, engine) = (intake.batch().id, &self.service.parts().engine);
        match intake.finish(key).await {
            Ok(record) => {
                if let Some(taken) = self.taken {
                    taken.settle(&self.service, record.total).await;
                }
                Ok(engine.wire(&record))
            }
            // Another request has the key: this one has made nothing that lasts.
            Err(EngineError::Store(StoreError::Taken(_))) if self.begun_by == BegunBy::This => {
                Err(in_flight())
            }
            Err(error) => {
                let left =
                    Remains::read(self.service.parts().store.batch(id).await.map_err(EngineError::from));
                self.settle_taken(&left).await;
                Err(self.truth(error.into(), &left))
            }
        }
    }

    /// Uploads that are no items of what is left can be used again. Where that is not known they are nobody's.
    async fn settle_taken(&mut self, left: &Remains) {
        let total = match left {
            Remains::Nothing => 0,
            Remains::Batch(batch) => batch.total,
            Remains::Unknown => return,
        };
        if let Some(taken) = self.taken.take() {
            taken.settle(&self.service, total).await;
        }
    }

    /// The body is at fault: a batch that it began ends cancelled with the reason; one that it continued goes on from
    /// what came whole, which is what `first_seq` is for. Gives the refusal back.
    pub(super) async fn halt(mut self, fault: BodyFault) -> ApiError {
        let Some(intake) = self.intake.take() else {
            self.settle_taken(&Remains::Nothing).await;
            return fault.into_error();
        };
        let key = intake.batch().key;
        let (error, ended) = match (self.begun_by, fault) {
            (BegunBy::Earlier, BodyFault::Cut(error)) => (error, intake.finish(None).await),
            (BegunBy::Earlier | BegunBy::This, BodyFault::Refused(error))
            | (BegunBy::This, BodyFault::Cut(error)) => {
                let reason = reason(&error);
                // A batch that no item came to is nothing to look at: the refusal has said it all.
                (error, intake.abort(reason, Empty::Removed).await)
            }
        };
        if let Err(fault) = &ended {
            tracing::warn!(batch = key, %fault, "a batch whose body failed could not be ended at once");
        }
        let left = Remains::read(ended);
        self.settle_taken(&left).await;
        self.truth(error, &left)
    }

    /// The answer with what has become of the batch, where something has.
    fn truth(&self, mut error: ApiError, left: &Remains) -> ApiError {
        let cause = if error.code == ErrorCode::DiskFull {
            "There is no room on the disk."
        } else if error.code == ErrorCode::Internal {
            "An error was logged."
        } else {
            if let (BegunBy::This, Remains::Batch(batch)) = (self.begun_by, left) {
                let items = words_of(batch.total);
                error.detail =
                    format!("{} {items} had come before: batch #{} is cancelled.", error.detail, batch.key);
            }
            return error;
        };
        error.detail = match (self.begun_by, left) {
            // Then the sentence that nothing was changed is true.
            (BegunBy::This, Remains::Nothing) => return error,
            (BegunBy::This, Remains::Batch(batch)) => {
                let (number, total) = (batch.key, batch.total);
                format!("{cause} Batch #{number} ends cancelled; {total} items had come.")
            }
            (BegunBy::This, Remains::Unknown) => {
                format!("{cause} The batch that was begun is being cancelled.")
            }
            (BegunBy::Earlier, Remains::Batch(batch)) => {
                let (total, next) = (batch.total, batch.total + 1);
                error.total = Some(total);
                format!("{cause} The batch has {total} items: go on with first_seq={next}.")
            }
            (BegunBy::Earlier, Remains::Nothing) => format!("{cause} The batch is gone."),
            (BegunBy::Earlier, Remains::Unknown) => format!("{cause} Look at the batch for what it has."),
        };
        error
    }

    async fn intake(&mut self) -> Result<&mut Intake, ApiError> {
        if let Some(checked) = self.checked.take() {
            let columns = std::mem::take(&mut self.columns);
            let checked = checked.with_source_file(&self.source_file);
            self.intake = Some(self.service.parts().engine.create(checked, columns).await?);
        }
        let intake = self.intake.as_mut().ok_or_else(ApiError::internal)?;
        if !self.columns.is_empty() && intake.batch().columns.is_empty() {
            intake.name_columns(std::mem::take(&mut self.columns)).await?;
        }
        Ok(intake)
    }
}

/// `1,024 items`.
fn words_of(items: u64) -> String {
    format!("{} item{}", thousands(items), if items == 1 { "" } else { "s" })
}

fn no_items() -> ApiError {
    ApiError::new(ErrorCode::NoItems, "A batch needs at least one item.")
}

/// The reason that a batch shows where its body was at fault, or could not be stored.
fn reason(error: &ApiError) -> String {
    // The answer to the client names what became of the batch, which the batch itself need not.
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
