//! Batches: made, filled, sealed; and how a row of theirs becomes a record.
//!
//! Items come in order and only while the batch is not sealed.

use sea_orm::{DatabaseTransaction, Value};

use super::batch_row::to_record;
use super::batch_transaction::Tape;
use super::blocks::compress;
use super::follow_state;
use super::strip_cells::{print_list, width_for};
use crate::fault::Point;
use crate::protocol::{BatchState, InputKind, Seq};
use crate::store::Store;
use crate::store::access::{KeyBinding, bind};
use crate::store::backend::{Durability, count, insert_many, int, row, run};
use crate::store::batch_names::{name_by_input, stored_name};
use crate::store::clock::Moment;
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::files::hold_contents;
use crate::store::open_batches::begin_idle;
use crate::store::pulse_buckets::PULSE_MS_MIN;
use crate::store::quotas::QuotaAddition;
use crate::store::records::{
    BatchChange, BatchKey, BatchRecord, Completion, CreateBatch, Ending, FileRecord, NewBlock, Source,
};
use crate::store::retry_counts::FIRST_GENERATION;

/// As [`to_record`] reads it.
fn input_word(input: InputKind) -> &'static str {
    match input {
        InputKind::File => "file",
        InputKind::Line => "line",
        InputKind::Record => "record",
    }
}

/// The row of a batch that is being made.
pub fn initial(new: &CreateBatch, now: Moment) -> batches::Model {
    let generated = new.source == Source::Generated;
    let total = if generated { int(new.generated) } else { 0 };
    let start_at = new.options.start_at.map(|at| at.0);
    let state =
        if start_at.is_some_and(|at| at > now.wall.0) { BatchState::Scheduled } else { BatchState::Pending };
    batches::Model {
        id: 0,
        uuid: new.id.to_string(),
        name: stored_name(&new.name, new.naming),
        task: new.task.clone(),
        input: input_word(new.input).to_owned(),
        source: if generated { "generated" } else { "blocks" }.to_owned(),
        params: new.params.as_str().to_owned(),
        options: serde_json::to_string(&new.options).expect("options always print"),
        owner: new.owner.clone(),
        private: new.options.private,
        parent: new.parent,
        schedule: None,
        state: state.as_str().to_owned(),
        reason: None,
        generation: FIRST_GENERATION,
        sealed: generated,
        columns: print_list(&new.columns),
        result_columns: "[]".to_owned(),
        total,
        next_seq: 1,
        running: 0,
        retrying: 0,
        succeeded: 0,
        failed: 0,
        cancelled: 0,
        cell_items: width_for(total, 1),
        rev: 1,
        finishes: 0,
        deleted: false,
        priority: i64::from(new.options.priority),
        concurrency: new.options.concurrency.map(i64::from),
        rate_tokens: new.options.rate_per_s.map_or(0.0, |rate| rate.max(1.0)),
        rate_at: now.steady.0,
        rate_due: None,
        try_first: new.options.try_first.map(int),
        start_at,
        served: 0,
        created_at: now.wall.0,
        started_at: None,
        finished_at: None,
        finished_steady: None,
        intake_node: new.intake_node.as_ref().map(|node| node.0.clone()),
        acts: 0,
        cancel_drains: false,
        follow: new.options.then.as_ref().map(|_then| follow_state::WAITS.to_owned()),
        budget_ended: 0,
        budget_failed: 0,
        budget_row: 0,
        budget_longest: 0,
        left_bytes: 0,
        pulse_ms: PULSE_MS_MIN,
        pulse_buckets: 0,
        pulse_at: 0,
        retry_by: None,
        retry_at: None,
        retry_items: 0,
        retry_succeeded: 0,
        retry_failed: 0,
        retry_cancelled: 0,
        rested_ms: 0,
    }
}

pub const INSERT_BLOCKS: &str = "INSERT INTO blocks (batch, first, count, payload)";

/// Rows of blocks from `first` on, and the position after the last of them.
pub fn block_rows(batch: BatchKey, first: i64, blocks: &[NewBlock]) -> (Vec<Vec<Value>>, i64) {
    let mut next = first;
    let rows = blocks.iter().map(|block| {
        let count = i64::from(block.count);
        let row = vec![batch.into(), next.into(), count.into(), compress(&block.ndjson).into()];
        next = next.saturating_add(count);
        row
    });
    (rows.collect(), next)
}

const INSERT: &str = "INSERT INTO batches (uuid, name, task, input, source, params, options, owner, private, state, \
     generation, sealed, columns, result_columns, total, next_seq, running, retrying, succeeded, failed, cancelled, \
     cell_items, rev, finishes, deleted, priority, concurrency, rate_tokens, rate_at, try_first, start_at, served, \
     created_at, intake_node, follow, parent, schedule) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0, 0, 0, 0, $17, \
     $18, 0, FALSE, $19, $20, $21, $22, $23, $24, 0, $25, $26, $27, $28, $29) RETURNING id";

fn insert_values(b: &batches::Model) -> Vec<Value> {
    vec![
        b.uuid.clone().into(),
        b.name.clone().into(),
        b.task.clone().into(),
        b.input.clone().into(),
        b.source.clone().into(),
        b.params.clone().into(),
        b.options.clone().into(),
        b.owner.clone().into(),
        b.private.into(),
        b.state.clone().into(),
        b.generation.into(),
        b.sealed.into(),
        b.columns.clone().into(),
        b.result_columns.clone().into(),
        b.total.into(),
        b.next_seq.into(),
        b.cell_items.into(),
        b.rev.into(),
        b.priority.into(),
        b.concurrency.into(),
        b.rate_tokens.into(),
        b.rate_at.into(),
        b.try_first.into(),
        b.start_at.into(),
        b.created_at.into(),
        b.intake_node.clone().into(),
        b.follow.clone().into(),
        b.parent.into(),
        b.schedule.clone().into(),
    ]
}

/// Writes the row of a new batch, which then has its key.
pub async fn insert(tx: &DatabaseTransaction, batch: &mut batches::Model) -> Result<(), StoreError> {
    let made = row(tx, INSERT, insert_values(batch)).await?;
    let made = made.ok_or_else(|| StoreError::Invariant("an insert answered no key".to_owned()))?;
    batch.id = made.try_get_by_index(0)?;
    Ok(())
}

impl Store {
    /// Names the columns of a batch that has no items and no columns yet; true if it was done.
    ///
    /// # Errors
    /// Outages.
    pub async fn name_columns(&self, batch: BatchKey, columns: &[String]) -> Result<bool, StoreError> {
        let tx = self.inner.backend.write().await?;
        let sql = "UPDATE batches SET columns = $1 WHERE id = $2 AND total = 0 AND columns = '[]'";
        let named = run(&tx, sql, vec![print_list(columns).into(), batch.into()]).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(named == 1)
    }

    /// As [`Store::create_under`], without a key.
    ///
    /// # Errors
    /// As [`Store::create_under`].
    pub async fn create(&self, new: CreateBatch) -> Result<BatchRecord, StoreError> {
        self.create_under(new, None).await
    }

    /// Creates a batch without items (generated batches: with all of them), not sealed unless generated. `key` is for
    /// a generated batch, which is whole at once: it stands for the batch from then on.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the id is in use, or the key another request's by now; [`StoreError::DiskFull`]
    /// while there is no room; outages.
    pub async fn create_under(
        &self,
        new: CreateBatch,
        key: Option<&KeyBinding>,
    ) -> Result<BatchRecord, StoreError> {
        self.has_room()?;
        let made = self.create_once(new, key).await;
        // For the others: what is new does not take the reserve.
        self.gives_reserve(&made);
        made
    }

    async fn create_once(
        &self,
        new: CreateBatch,
        key: Option<&KeyBinding>,
    ) -> Result<BatchRecord, StoreError> {
        let mut batch = initial(&new, self.moment());
        let tx = self.inner.backend.write().await?;
        let taken =
            row(&tx, "SELECT id FROM batches WHERE uuid = $1", vec![batch.uuid.clone().into()]).await?;
        if taken.is_some() {
            return Err(StoreError::Taken(batch.uuid));
        }
        let more = QuotaAddition { is_batch: true, items: new.generated, bytes: 0 };
        self.within_quota(&tx, &new.owner, more).await?;
        insert(&tx, &mut batch).await?;
        if !batch.sealed {
            begin_idle(&tx, batch.id, new.options.idle_seconds, self.moment()).await?;
        }
        if let Some(key) = key {
            bind(&tx, key, &batch.uuid, self.steady()).await?;
        }
        self.sign(&tx, "batch.submit", &batch.uuid, &batch.task).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        to_record(&batch)
    }

    /// Appends blocks (and the files they name) in one transaction. `first_seq` must be total + 1.
    ///
    /// # Errors
    /// [`StoreError::WrongFirstSeq`] where it does not continue the batch or the batch is sealed but not finished;
    /// [`StoreError::WrongState`] where the batch is being cancelled or has finished; [`StoreError::DiskFull`] while
    /// there is no room; outages.
    pub async fn append(
        &self,
        batch: BatchKey,
        first_seq: Seq,
        blocks: &[NewBlock],
        files: &[FileRecord],
    ) -> Result<BatchRecord, StoreError> {
        self.append_sharing(batch, first_seq, blocks, files, &[]).await
    }

    /// As [`Store::append`], where `shared` are those keys of the files, each once, whose content others have stored: see
    /// [`Store::stored_contents`].
    ///
    /// # Errors
    /// As [`Store::append`]; [`StoreError::ContentGone`] where such a content is gone, or going.
    pub async fn append_sharing(
        &self,
        batch: BatchKey,
        first_seq: Seq,
        blocks: &[NewBlock],
        files: &[FileRecord],
        shared: &[String],
    ) -> Result<BatchRecord, StoreError> {
        self.has_room()?;
        let written = self.append_once(batch, first_seq, blocks, files, shared).await;
        self.gives_reserve(&written);
        written
    }

    async fn append_once(
        &self,
        batch: BatchKey,
        first_seq: Seq,
        blocks: &[NewBlock],
        files: &[FileRecord],
        shared: &[String],
    ) -> Result<BatchRecord, StoreError> {
        let (rows, end) = block_rows(batch, int(first_seq), blocks);
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.moment()).await?;
        let state = tape.state()?;
        if state == BatchState::Cancelling || state.is_finished() {
            return Err(StoreError::WrongState(state));
        }
        if tape.batch.sealed || int(first_seq) != tape.batch.total + 1 {
            return Err(StoreError::WrongFirstSeq { total: count(tape.batch.total)? });
        }
        if blocks.iter().any(|block| block.count == 0) {
            return Err(StoreError::Invariant("a block without items".to_owned()));
        }
        let more = QuotaAddition {
            is_batch: false,
            items: count(end - int(first_seq))?,
            bytes: files.iter().map(|file| file.row.bytes).sum(),
        };
        self.within_quota(&tx, &tape.batch.owner, more).await?;
        // After the batch's row and before any of the new ones: from here on this waits for nobody, so whoever waits for
        // what is held here, with a batch's row in its own hands, waits in no circle.
        hold_contents(&tx, shared).await?;
        insert_many(&tx, INSERT_BLOCKS, "", rows).await?;
        for file in files {
            tape.file(file);
        }
        tape.batch.total = end - 1;
        tape.widen().await?;
        let change = tape.write().await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change.batch)
    }

    /// The body that makes the batch has come and is committed: seals it (unless it stays open), and binds the key, in
    /// one transaction. Done before, by a call whose answer was lost: answers the batch as it is.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] where the batch was cancelled meanwhile; [`StoreError::Taken`] where the key is
    /// another request's by now; [`StoreError::Invariant`] where items are missing; [`StoreError::NotFound`]; outages.
    pub async fn complete(
        &self,
        batch: BatchKey,
        completion: &Completion,
    ) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.complete_once(batch, completion)).await
    }

    async fn complete_once(
        &self,
        batch: BatchKey,
        completion: &Completion,
    ) -> Result<BatchChange, StoreError> {
        Point::CompleteBefore.pass()?;
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.moment()).await?;
        let state = tape.state()?;
        if matches!(state, BatchState::Cancelling | BatchState::Cancelled) {
            return Err(StoreError::WrongState(state));
        }
        if tape.batch.total < int(completion.items) {
            return Err(StoreError::Invariant(format!(
                "batch {batch} has {} items of {}",
                tape.batch.total, completion.items
            )));
        }
        if let Some(key) = &completion.key {
            bind(&tx, key, &tape.batch.uuid, self.steady()).await?;
        }
        let change = if tape.batch.sealed || tape.batch.intake_node.is_none() {
            tape.unchanged()?
        } else {
            tape.batch.intake_node = None;
            tape.batch.sealed = completion.ending == Ending::Sealed;
            if tape.batch.sealed {
                name_by_input(&tx, &mut tape.batch).await?;
            }
            tape.write().await?
        };
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Point::CompleteAfter.pass()?;
        Ok(change)
    }

    /// Removes a batch that no item came to, as if it had never been.
    ///
    /// # Errors
    /// [`StoreError::NotFinished`] where it has items; [`StoreError::NotFound`]; outages.
    pub async fn discard(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.discard_once(batch)).await
    }

    async fn discard_once(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.moment()).await?;
        if tape.batch.total > 0 {
            return Err(StoreError::NotFinished);
        }
        if !tape.state()?.is_finished() {
            tape.batch.sealed = true;
            tape.set_state(BatchState::Cancelling);
        }
        tape.batch.deleted = true;
        let change = tape.write().await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// No more items can come; finishes the batch if all have ended. A sealed batch stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn seal(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.seal_once(batch, None)).await
    }

    /// As [`Store::seal`], with a reason that is shown while nothing else is.
    ///
    /// # Errors
    /// As [`Store::seal`].
    pub async fn seal_because(&self, batch: BatchKey, reason: &str) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.seal_once(batch, Some(reason))).await
    }

    async fn seal_once(&self, batch: BatchKey, reason: Option<&str>) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.moment()).await?;
        if tape.batch.sealed {
            return tape.unchanged();
        }
        tape.batch.sealed = true;
        name_by_input(&tx, &mut tape.batch).await?;
        if let Some(reason) = reason {
            // Why it is paused is what somebody must know first.
            tape.batch.reason.get_or_insert_with(|| reason.to_owned());
        }
        let change = tape.write().await?;
        self.sign(&tx, "batch.seal", &change.batch.id.to_string(), reason.unwrap_or_default()).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }
}
