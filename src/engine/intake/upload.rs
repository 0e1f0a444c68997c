//! Items coming in: checked one by one, committed in blocks while the body is read.
//!
//! Only whole items are ever committed, in order; a batch that an intake began is whole or ends with a reason. Knows no
//! format: whoever decodes the body pushes items.

use std::sync::Arc;

use super::block_buffer::BlockBuffer;
use super::block_writer::write_blocks;
use super::settlement::{ClaimedKey, Empty, Settlement};
use super::settler::Settler;
use super::turn::AppendTurn;
use crate::engine::acts::to_its_end;
use crate::engine::flow::NamedFile;
use crate::engine::new_batch::{Validator, columns_within_limit, invalid, plural};
use crate::engine::{CUT_OFF, EngineError};
use crate::fault::Point;
use crate::protocol::{InputKind, Json, Seq, limits};
use crate::store::{BatchRecord, Completion, Ending, SealedFile, StoreError};

/// Bytes of one item as it is stored: one of [`limits::ITEM_BYTES_MAX`] as it was sent, each byte of it escaped. Whoever
/// reads a body holds it to the bound in the bytes that were sent, and knows the line.
const STORED_BYTES_MAX: usize = 6 * limits::ITEM_BYTES_MAX + 2;

/// What an upload uses of its stage.
pub struct UploadParts {
    pub settler: Arc<Settler>,
    pub validator: Arc<Validator>,
}

/// A batch whose items are coming in. Dropped before [`Intake::finish`]: a batch that was begun with it ends cancelled
/// with a reason; of one that it goes on with, what was committed stays.
pub struct Intake {
    settler: Arc<Settler>,
    validator: Arc<Validator>,
    /// As of the start, or of the last commit that was looked at.
    batch: BatchRecord,
    buffer: Arc<BlockBuffer>,
    /// Seq of the next item.
    next: Seq,
    writer: Option<tokio::task::JoinHandle<Result<Option<BatchRecord>, StoreError>>>,
    end: Responsible,
}

/// Who sees to the end of the batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Responsible {
    /// This intake: it has begun it.
    Ours,
    /// Somebody else: another intake has begun it, or its end is being settled.
    Settled,
}

impl Intake {
    /// Fills `batch`, which was just made.
    pub fn begun(parts: UploadParts, batch: BatchRecord) -> Self {
        Self::new(parts, batch, 1, Responsible::Ours, AppendTurn::Now)
    }

    /// Goes on with `batch`, which is open, at item `next`; where that is ahead, items are taken meanwhile and written once
    /// their turn comes.
    pub fn continued(parts: UploadParts, batch: BatchRecord, next: Seq, turn: AppendTurn) -> Self {
        Self::new(parts, batch, next, Responsible::Settled, turn)
    }

    fn new(parts: UploadParts, batch: BatchRecord, next: Seq, end: Responsible, turn: AppendTurn) -> Self {
        let buffer = Arc::new(BlockBuffer::default());
        let UploadParts { settler, validator } = parts;
        let acts = Arc::clone(&settler.acts);
        let writer = tokio::spawn(write_blocks(acts, batch.clone(), next, Arc::clone(&buffer), turn));
        Self { settler, validator, batch, buffer, next, writer: Some(writer), end }
    }

    /// The batch, as of the start of the intake.
    #[must_use]
    pub fn batch(&self) -> &BatchRecord {
        &self.batch
    }

    /// Seq of the next item.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// Names the columns of a batch that was begun without items, by the first CSV that comes to it.
    ///
    /// # Errors
    /// `TooLarge` over [`limits::COLUMNS_MAX`]; what the store says.
    pub async fn name_columns(&mut self, columns: Vec<String>) -> Result<(), EngineError> {
        columns_within_limit(&columns)?;
        if self.next == 1 && self.settler.acts.store.name_columns(self.batch.key, &columns).await? {
            self.batch.columns = columns;
        }
        Ok(())
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
        if text.len() > STORED_BYTES_MAX {
            let most = limits::ITEM_BYTES_MAX;
            return Err(EngineError::TooLarge(format!("an item has more than {most} bytes")));
        }
        self.next_item().await?;
        self.buffer.add(text);
        Ok(())
    }

    /// Adds one file.
    ///
    /// # Errors
    /// As [`Intake::push`].
    pub async fn push_file(&mut self, name: &str, sealed: SealedFile) -> Result<(), EngineError> {
        if self.batch.input != InputKind::File {
            let kind = plural(self.batch.input);
            return Err(invalid(format!("the task {:?} takes {kind}, not files", self.batch.task)));
        }
        self.next_item().await?;
        self.buffer.add_file(NamedFile { name: name.to_owned(), sealed });
        Ok(())
    }

    /// Waits for room for one more item, and counts it.
    async fn next_item(&mut self) -> Result<(), EngineError> {
        self.validator.within_limit(self.next)?;
        if self.buffer.room().await {
            self.next += 1;
            return Ok(());
        }
        Err(self.stopped().await)
    }

    /// Why the block writer has stopped.
    async fn stopped(&mut self) -> EngineError {
        match self.committed().await {
            Err(error) => error,
            Ok(_) => EngineError::Store(StoreError::Busy("the intake has stopped".to_owned())),
        }
    }

    /// Waits for the block writer's end.
    async fn committed(&mut self) -> Result<Option<BatchRecord>, EngineError> {
        let Some(writer) = self.writer.take() else {
            return Err(EngineError::Store(StoreError::Busy("the intake has stopped".to_owned())));
        };
        match writer.await {
            Ok(Ok(batch)) => Ok(batch),
            Ok(Err(StoreError::WrongFirstSeq { total })) => {
                // A cancel seals: say so, rather than that the count is wrong.
                let now = self.settler.acts.store.batch_by_key(self.batch.key).await?;
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

    /// Commits the rest; a batch that was begun with this intake is then whole: sealed (unless it is open), and `key`
    /// bound to it, in one transaction. Done to its end even where the caller goes away.
    ///
    /// # Errors
    /// `NoItems` where none came and the batch is not open: it is gone then. `Unready` where the database did not answer
    /// in time: it is done as soon as it does. `Taken` where the key is another request's by now. What else
    /// the store says: a batch that was begun ends cancelled, and the key is free.
    pub async fn finish(self, key: Option<(ClaimedKey, String)>) -> Result<BatchRecord, EngineError> {
        to_its_end(self.finish_here(key)).await
    }

    async fn finish_here(mut self, key: Option<(ClaimedKey, String)>) -> Result<BatchRecord, EngineError> {
        self.buffer.close();
        let (claimed, hash) = key.unzip();
        let committed = match self.committed().await {
            Ok(committed) => committed,
            Err(error) => {
                let empty = if is_outage(&error) { Empty::Removed } else { Empty::Shown };
                let _told_by_the_error = self.give_up(error.to_string(), empty, claimed).await;
                return Err(error);
            }
        };
        if self.end == Responsible::Settled {
            return match committed {
                Some(batch) => Ok(batch),
                None => Ok(self.settler.acts.store.batch_by_key(self.batch.key).await?),
            };
        }
        if self.next == 1 && !self.batch.options.open {
            self.give_up("no items".to_owned(), Empty::Removed, claimed).await?;
            return Err(EngineError::NoItems);
        }
        let binding = claimed.as_ref().zip(hash).map(|(claimed, hash)| claimed.binding(hash));
        let ending = if self.batch.options.open { Ending::Open } else { Ending::Sealed };
        let completion = Completion { items: self.next - 1, ending, key: binding };
        Point::BodyArrived.visit();
        // From here on the settlement has it, whatever becomes of this.
        self.end = Responsible::Settled;
        self.settler.settle(Settlement::Complete(self.batch.key, completion), claimed).await
    }

    /// Stops. A batch that was begun with this intake ends `cancelled` with `reason`, and what ran stays visible; without
    /// an item it is as `empty` says. One that was gone on with stays as it is.
    ///
    /// # Errors
    /// `Unready` where the database did not answer in time: it is ended as soon as it does. What else the store says.
    pub async fn abort(mut self, reason: String, empty: Empty) -> Result<BatchRecord, EngineError> {
        to_its_end(async move { self.give_up(reason, empty, None).await }).await
    }

    /// Stops the block writer, keeping what it has committed, and ends a batch that was begun.
    async fn give_up(
        &mut self,
        reason: String,
        empty: Empty,
        key: Option<ClaimedKey>,
    ) -> Result<BatchRecord, EngineError> {
        self.buffer.discard();
        if let Some(writer) = self.writer.take() {
            // Its error, if any, is the reason why this is given up.
            let _ended = writer.await;
        }
        let (batch, files) = (self.batch.key, self.buffer.left_files());
        match std::mem::replace(&mut self.end, Responsible::Settled) {
            Responsible::Ours => {
                self.settler.settle(Settlement::End { batch, reason, empty, files }, key).await
            }
            Responsible::Settled => {
                let store = &self.settler.acts.store;
                store.remove_unnamed(&files).await?;
                Ok(store.batch_by_key(batch).await?)
            }
        }
    }
}

/// True where the database or the disk is at fault, not the request.
pub fn is_outage(error: &EngineError) -> bool {
    matches!(error, EngineError::Store(error) if !error.is_refusal())
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.buffer.discard();
        if self.end == Responsible::Ours {
            let reason = CUT_OFF.to_owned();
            // Files of what was not committed go with the hourly look: the block writer may be at work on them.
            let end =
                Settlement::End { batch: self.batch.key, reason, empty: Empty::Shown, files: Vec::new() };
            self.settler.settle_later(end);
        }
    }
}
