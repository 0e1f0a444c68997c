//! Items coming in: checked one by one, committed in blocks beside the reading of the body.
//!
//! Owns the hand that pushes items. Called by service for every kind of body. Invariant: only whole items are ever
//! committed, in order; an intake that is dropped ends its batch with a reason. Deliberately knows no format.

use std::sync::Arc;
use std::time::Duration;

use super::check::{self, invalid};
use super::commit::commit_loop;
use super::forming::Forming;
use super::life::CUT_OFF;
use super::slot::FileInput;
use super::{Engine, EngineError};
use crate::protocol::{FileRow, InputKind, Json, Seq, limits};
use crate::store::{BatchRecord, FileRecord, FileSide, StoreError, Stored};

/// Pause before a batch that could not be ended is ended again.
const CANCEL_AGAIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2_000 });

/// A batch whose items are coming in. Dropped before [`Intake::finish`]: the batch ends cancelled with a reason,
/// unless it is open; then what was committed stays, and it can be gone on with.
pub struct Intake {
    engine: Engine,
    /// As of the start, or of the last commit that was looked at.
    batch: BatchRecord,
    forming: Arc<Forming>,
    /// Seq of the next item.
    next: Seq,
    committer: Option<tokio::task::JoinHandle<Result<Option<BatchRecord>, StoreError>>>,
    end: End,
}

/// Whether the batch still waits for its items.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Awaited,
    Settled,
}

impl Intake {
    /// Goes on with `batch` at item `next`.
    pub(super) fn new(engine: Engine, batch: BatchRecord, next: Seq) -> Self {
        let forming = Arc::new(Forming::default());
        let committer = tokio::spawn(commit_loop(engine.clone(), batch.clone(), next, Arc::clone(&forming)));
        Self { engine, batch, forming, next, committer: Some(committer), end: End::Awaited }
    }

    /// The batch, as of the start of the intake.
    #[must_use]
    pub fn batch(&self) -> &BatchRecord {
        &self.batch
    }

    /// Adds one item: a line, or a record. Commits by size and by time, so that items run before the end.
    ///
    /// # Errors
    /// `Invalid` for an item that the task does not take; `TooLarge` over the batch's limit; what the store said to
    /// an earlier commit (`WrongState`: the batch was cancelled).
    pub async fn push(&mut self, json: &Json) -> Result<(), EngineError> {
        let text = json.as_str();
        match self.batch.input {
            InputKind::File => {
                return Err(invalid(format!("the task {:?} takes files", self.batch.task)));
            }
            InputKind::Record if !text.trim_start().starts_with('{') => {
                return Err(invalid(format!(
                    "the task {:?} takes records: an object is expected",
                    self.batch.task
                )));
            }
            InputKind::Record | InputKind::Line => {}
        }
        if text.len() > limits::ITEM_BYTES_MAX {
            let most = limits::ITEM_BYTES_MAX;
            return Err(invalid(format!("the item has {} bytes; {most} are allowed", text.len())));
        }
        self.add(text, None).await
    }

    /// Adds one file.
    ///
    /// # Errors
    /// As [`Intake::push`].
    pub async fn push_file(&mut self, name: &str, stored: Stored) -> Result<(), EngineError> {
        if self.batch.input != InputKind::File {
            let kind = check::plural(self.batch.input);
            return Err(invalid(format!("the task {:?} takes {kind}, not files", self.batch.task)));
        }
        let input = FileInput {
            key: stored.key.clone(),
            name: name.to_owned(),
            bytes: stored.bytes,
            media_type: stored.media_type.clone(),
            blake3: stored.blake3.clone(),
        };
        let text = serde_json::to_string(&input).map_err(|fault| invalid(fault.to_string()))?;
        let file = FileRecord {
            key: stored.key,
            seq: self.next,
            side: FileSide::Input,
            row: FileRow { name: name.to_owned(), bytes: stored.bytes, media_type: stored.media_type },
            blake3: stored.blake3,
        };
        self.add(&text, Some(file)).await
    }

    async fn add(&mut self, text: &str, file: Option<FileRecord>) -> Result<(), EngineError> {
        self.engine.within_limit(self.next)?;
        if self.forming.room().await {
            self.forming.add(text, file);
            self.next += 1;
            return Ok(());
        }
        Err(self.stopped().await)
    }

    /// Why the committer has stopped.
    async fn stopped(&mut self) -> EngineError {
        match self.committed().await {
            Err(error) => error,
            Ok(_) => EngineError::Store(StoreError::Busy("the intake has stopped".to_owned())),
        }
    }

    /// Waits for the committer's end.
    async fn committed(&mut self) -> Result<Option<BatchRecord>, EngineError> {
        let Some(committer) = self.committer.take() else {
            return Err(EngineError::Store(StoreError::Busy("the intake has stopped".to_owned())));
        };
        match committer.await {
            Ok(Ok(batch)) => Ok(batch),
            Ok(Err(StoreError::WrongFirstSeq { total })) => {
                // A cancel seals: say so, rather than that the count is wrong.
                let now = self.engine.inner.store.batch_by_key(self.batch.key).await?;
                let cause = if now.sealed {
                    StoreError::WrongState(now.state)
                } else {
                    StoreError::WrongFirstSeq { total }
                };
                Err(cause.into())
            }
            Ok(Err(error)) => Err(error.into()),
            Err(fault) => {
                tracing::error!(%fault, "an intake broke off");
                Err(StoreError::Invariant("an intake broke off".to_owned()).into())
            }
        }
    }

    /// Commits the rest and seals (unless the batch is open). Done to its end even where the caller goes away.
    ///
    /// # Errors
    /// `NoItems` where none came and the batch is not open: it is gone then. What the store says.
    pub async fn finish(self) -> Result<BatchRecord, EngineError> {
        let engine = self.engine.clone();
        engine.whole(self.finish_here()).await
    }

    async fn finish_here(mut self) -> Result<BatchRecord, EngineError> {
        self.forming.close();
        let committed = match self.committed().await {
            Ok(committed) => committed,
            Err(error) => {
                self.give_up(error.to_string()).await;
                return Err(error);
            }
        };
        self.end = End::Settled;
        let key = self.batch.key;
        if self.next == 1 && !self.batch.options.open {
            self.engine.cancel_because(key, Some("no items".to_owned())).await?;
            self.engine.delete(key).await?;
            return Err(EngineError::NoItems);
        }
        match committed {
            Some(batch) if self.batch.options.open => Ok(batch),
            None if self.batch.options.open => {
                let batch = self.engine.inner.store.batch_by_key(key).await?;
                self.engine.publish_grown(&batch, &self.batch);
                Ok(batch)
            }
            Some(_) | None => self.engine.seal(key).await,
        }
    }

    /// Ends the batch `cancelled` with `reason`; what ran stays visible. An open batch stays as it is.
    ///
    /// # Errors
    /// What the store says.
    pub async fn abort(mut self, reason: String) -> Result<BatchRecord, EngineError> {
        let engine = self.engine.clone();
        let aborted = async move {
            self.give_up(reason).await;
            Ok(self.engine.inner.store.batch_by_key(self.batch.key).await?)
        };
        engine.whole(aborted).await
    }

    /// Stops the committer, keeping what it has committed, and cancels unless the batch is open.
    async fn give_up(&mut self, reason: String) {
        self.forming.drop_rest();
        if let Some(committer) = self.committer.take() {
            // Its error, if any, is the reason why this is given up.
            let _ended = committer.await;
        }
        cancel(&self.engine, &self.batch, reason).await;
        self.end = End::Settled;
    }
}

/// Cancels a batch whose items stopped coming, unless it is open.
async fn cancel(engine: &Engine, batch: &BatchRecord, reason: String) {
    if batch.options.open {
        return;
    }
    if try_cancel(engine, batch, &reason).await {
        return;
    }
    // What made the upload fail (a full disk) may also keep it from being ended: it would wait for items for good.
    let (engine, batch, stop) = (engine.clone(), batch.clone(), engine.inner.stop.clone());
    let loops = engine.inner.loops.clone();
    loops.spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(CANCEL_AGAIN) => {}
                // The next start ends it.
                () = stop.cancelled() => return,
            }
            if try_cancel(&engine, &batch, &reason).await {
                return;
            }
        }
    });
}

/// True where there is nothing more to do.
async fn try_cancel(engine: &Engine, batch: &BatchRecord, reason: &str) -> bool {
    match engine.cancel_because(batch.key, Some(reason.to_owned())).await {
        // It was cancelled or has gone before.
        Ok(_) | Err(EngineError::Store(StoreError::WrongState(_) | StoreError::NotFound(_))) => true,
        Err(error) => {
            tracing::error!(batch = batch.key, %error, "a batch cut off in its upload stays open for now");
            matches!(error, EngineError::Store(StoreError::Invariant(_)))
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if self.end == End::Settled {
            return;
        }
        self.forming.drop_rest();
        let (engine, batch, committer) = (self.engine.clone(), self.batch.clone(), self.committer.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(committer) = committer {
                    let _ended = committer.await;
                }
                cancel(&engine, &batch, CUT_OFF.to_owned()).await;
            });
        }
    }
}
