//! One batch inside one transaction that writes: what moves is gathered here, checked, and written at once.
//!
//! Stored counters equal the rows they count in every commit, or nothing is committed.

use sea_orm::{DatabaseTransaction, Value};

use super::batch_row::to_record;
use super::budgets::{self, BUDGET};
use super::families::{self, FamilyMoves};
use super::follow_state;
use super::rows;
use super::strip_cells::{self, CellMoves};
use crate::protocol::{Batch, BatchState, ItemState, Timestamp};
use crate::store::backend::{count, insert_many, int, locking, one};
use crate::store::clock::Moment;
use crate::store::entity::{batches, outcomes, requeue};
use crate::store::error::StoreError;
use crate::store::pulse_buckets;
use crate::store::records::{AttemptRecord, BatchChange, BatchKey, FileRecord, SeqRange};
use crate::store::retry_counts;
use crate::store::webhooks::announce;

/// A batch that is being changed.
pub struct Tape<'t> {
    pub tx: &'t DatabaseTransaction,
    /// As it will be written.
    pub batch: batches::Model,
    /// For people, in ms.
    pub now: i64,
    /// For what waits, in ms of the steady clock.
    pub steady: i64,
    /// Revision of this commit.
    pub rev: i64,
    outcomes: Vec<outcomes::Model>,
    requeue: Vec<requeue::Model>,
    attempts: Vec<Vec<Value>>,
    files: Vec<Vec<Value>>,
    cells: CellMoves,
    families: FamilyMoves,
    /// Ends well and badly, for the time bucket.
    recorded: [i64; 2],
    pub ended: u64,
    reshaped: bool,
}

/// Ranges to hand out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requeue {
    pub generation: i64,
    pub attempt: i64,
    pub crashes: i64,
    pub not_before: i64,
}

impl<'t> Tape<'t> {
    /// Starts the counts of its budget anew.
    pub fn renew_budget(&mut self) {
        budgets::renew(&mut self.batch);
    }

    /// Locks the batch's row and takes its next revision. Of several batches the one with the lower key comes first.
    pub async fn lock(tx: &'t DatabaseTransaction, key: BatchKey, now: Moment) -> Result<Self, StoreError> {
        let text = locking(tx, "SELECT * FROM batches WHERE id = $1 AND NOT deleted");
        let batch = one(tx, &text, vec![key.into()]).await?;
        Ok(Self::of(tx, batch.ok_or(StoreError::NotFound("batch"))?, now))
    }

    /// Of a row that the transaction has locked.
    pub fn of(tx: &'t DatabaseTransaction, batch: batches::Model, now: Moment) -> Self {
        let rev = batch.rev + 1;
        Self {
            tx,
            batch,
            now: now.wall.0,
            steady: now.steady.0,
            rev,
            outcomes: Vec::new(),
            requeue: Vec::new(),
            attempts: Vec::new(),
            files: Vec::new(),
            cells: CellMoves::default(),
            families: FamilyMoves::default(),
            recorded: [0; 2],
            ended: 0,
            reshaped: false,
        }
    }

    pub fn state(&self) -> Result<BatchState, StoreError> {
        BatchState::parse(&self.batch.state)
            .ok_or_else(|| StoreError::Invariant(format!("a batch is {:?}", self.batch.state)))
    }

    pub fn set_state(&mut self, state: BatchState) {
        state.as_str().clone_into(&mut self.batch.state);
    }

    /// The batch unchanged: the answer of an act that found nothing to do.
    pub fn unchanged(self) -> Result<BatchChange, StoreError> {
        Ok(BatchChange {
            batch: to_record(&self.batch)?,
            families: Vec::new(),
            cells: Vec::new(),
            strip_reshaped: false,
            pulse: Vec::new(),
            pulse_reshaped: false,
            ended: 0,
        })
    }

    /// An outcome without anything but its kind.
    pub fn plain(
        &self,
        range: SeqRange,
        generation: i64,
        state: ItemState,
        attempts: i64,
    ) -> outcomes::Model {
        outcomes::Model {
            batch: self.batch.id,
            first: int(range.first),
            last: int(range.last),
            generation,
            state: state.as_str().to_owned(),
            attempts,
            result: None,
            error: None,
            family: None,
            ms: None,
            started_at: None,
            ended_at: self.now,
            node: None,
            rev: self.rev,
        }
    }

    /// Items end: their outcome, and every counter of it. `message` names the family of a failure.
    pub fn end(&mut self, mut row: outcomes::Model, message: Option<&str>) -> Result<(), StoreError> {
        let items = row.last - row.first + 1;
        let state = self.moved(&row, items)?;
        budgets::spend(&mut self.batch, state, items);
        if state == ItemState::Failed {
            let id = row.family.get_or_insert_with(|| families::OTHER.to_owned());
            self.families.add(id, message.unwrap_or(families::OTHER_MESSAGE), row.first, items, self.now);
        } else {
            row.family = None;
        }
        match state {
            ItemState::Succeeded => self.recorded[0] += items,
            ItemState::Failed => self.recorded[1] += items,
            _ => {}
        }
        self.ended += count(items)?;
        self.outcomes.push(row);
        Ok(())
    }

    /// A retry of the generation of `again` takes items: they leave their end, with every counter of it, and wait. The
    /// row itself is the caller's to delete.
    pub fn take_again(&mut self, row: &outcomes::Model, again: Requeue) -> Result<(), StoreError> {
        let items = row.last - row.first + 1;
        self.moved(row, -items)?;
        if let Some(id) = &row.family {
            self.families.remove(id, items);
        }
        retry_counts::take(&mut self.batch, again.generation, items);
        self.again(SeqRange::new(count(row.first)?, count(row.last)?), again);
        Ok(())
    }

    /// A row of outcomes that is written again as it was, in pieces: counts nothing.
    pub fn keep(&mut self, row: outcomes::Model) {
        self.outcomes.push(row);
    }

    fn moved(&mut self, row: &outcomes::Model, items: i64) -> Result<ItemState, StoreError> {
        let state = ItemState::parse(&row.state)
            .ok_or_else(|| StoreError::Invariant(format!("an outcome is {:?}", row.state)))?;
        let (counter, kind) = match state {
            ItemState::Succeeded => (&mut self.batch.succeeded, 0),
            ItemState::Failed => (&mut self.batch.failed, 1),
            ItemState::Cancelled => (&mut self.batch.cancelled, 2),
            ItemState::Pending | ItemState::Running | ItemState::Retrying => {
                return Err(StoreError::Invariant(format!("an outcome is {}", state.as_str())));
            }
        };
        *counter += items;
        retry_counts::spread(&mut self.batch, row.generation, state, items);
        let sign = items.signum();
        self.cells.spread(row.first, row.last, self.batch.cell_items, kind, sign);
        Ok(state)
    }

    /// Items wait to be handed out again.
    pub fn again(&mut self, range: SeqRange, again: Requeue) {
        if again.attempt >= 2 {
            self.batch.retrying += int(range.count());
        }
        let merges = self.requeue.last_mut().filter(|row| {
            row.last + 1 == int(range.first)
                && (row.generation, row.attempt, row.crashes, row.not_before)
                    == (again.generation, again.attempt, again.crashes, again.not_before)
        });
        if let Some(row) = merges {
            row.last = int(range.last);
            return;
        }
        self.requeue.push(requeue::Model {
            batch: self.batch.id,
            first: int(range.first),
            last: int(range.last),
            generation: again.generation,
            attempt: again.attempt,
            crashes: again.crashes,
            not_before: again.not_before,
            rev: self.rev,
        });
    }

    /// Writes what waits so far, for acts that make more rows than are to be held.
    pub async fn flush_waiting(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.requeue);
        insert_many(self.tx, rows::INSERT_REQUEUE, "", waiting.iter().map(rows::requeue_values).collect())
            .await
    }

    /// An attempt worth a row.
    pub fn attempt(&mut self, row: &AttemptRecord, generation: i64, node: Option<&str>) {
        self.attempts.push(rows::attempt_values(self.batch.id, row, generation, node));
    }

    /// A file that came in or was left.
    pub fn file(&mut self, file: &FileRecord) {
        self.files.push(rows::file_values(self.batch.id, file));
    }

    /// Widens the cells until all items fit; before anything else is moved.
    pub async fn widen(&mut self) -> Result<(), StoreError> {
        if strip_cells::widen(self.tx, &mut self.batch, self.rev).await? {
            self.reshaped = true;
        }
        Ok(())
    }

    /// Writes all that was gathered, ends the batch if it has come to its end, and checks that everything adds up.
    pub async fn write(mut self) -> Result<BatchChange, StoreError> {
        let families =
            families::write(self.tx, self.batch.id, self.rev, &self.families, &mut self.outcomes).await?;
        insert_many(
            self.tx,
            rows::INSERT_OUTCOMES,
            "",
            self.outcomes.drain(..).map(rows::outcome_values).collect(),
        )
        .await?;
        self.flush_waiting().await?;
        insert_many(self.tx, rows::INSERT_ATTEMPTS, "", std::mem::take(&mut self.attempts)).await?;
        insert_many(self.tx, rows::INSERT_FILES, "", std::mem::take(&mut self.files)).await?;
        let cells = self.cells.write(self.tx, &self.batch, self.rev).await?;
        let (pulse, pulse_reshaped) =
            pulse_buckets::write(self.tx, &mut self.batch, self.recorded, self.now, self.rev).await?;
        if self.batch.sealed {
            self.batch.intake_node = None;
        }
        let finishes = self.batch.finishes;
        self.settle()?;
        self.check()?;
        self.batch.rev = self.rev;
        rows::update_batch(self.tx, &self.batch).await?;
        let batch = to_record(&self.batch)?;
        if self.batch.finishes > finishes {
            let now = Moment { wall: Timestamp(self.now), steady: Timestamp(self.steady) };
            announce(self.tx, &batch, now).await?;
        }
        Ok(BatchChange {
            batch,
            families,
            cells,
            strip_reshaped: self.reshaped,
            pulse,
            pulse_reshaped,
            ended: self.ended,
        })
    }

    /// The end by counts, or the pause of a spent budget or after the first items.
    fn settle(&mut self) -> Result<(), StoreError> {
        let batch = &self.batch;
        let state = self.state()?;
        let ended = batch.succeeded + batch.failed + batch.cancelled;
        if batch.sealed && ended == batch.total && batch.acts == 0 && !state.is_finished() {
            let end = if batch.cancelled > 0 || state == BatchState::Cancelling {
                BatchState::Cancelled
            } else if batch.failed > 0 {
                BatchState::Failed
            } else {
                BatchState::Succeeded
            };
            self.set_state(end);
            self.batch.finishes += 1;
            self.batch.finished_at = Some(self.now);
            self.batch.finished_steady = Some(self.steady);
            // Why fewer items came than were announced is true for good.
            let stays = self.batch.reason.as_deref() == Some(Batch::UPLOAD_STOPPED);
            if end != BatchState::Cancelled && !stays {
                self.batch.reason = None;
            }
            follow_state::at_end(&mut self.batch, end)?;
        } else if state.hands_out() && budgets::is_spent(&self.batch, self.ended)? {
            self.set_state(BatchState::Paused);
            self.batch.reason = Some(BUDGET.to_owned());
        } else if state.hands_out() && batch.try_first.is_some_and(|first| ended >= first && ended > 0) {
            self.set_state(BatchState::Paused);
            self.batch.reason = Some(TRIED_FIRST.to_owned());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        let b = &self.batch;
        let counters = [b.running, b.retrying, b.succeeded, b.failed, b.cancelled];
        let sum: i64 = counters.iter().sum();
        let finished = self.state()?.is_finished();
        let fits = counters.iter().all(|counter| *counter >= 0)
            && b.acts >= 0
            && sum <= b.total
            && b.next_seq >= 1
            && b.next_seq <= b.total + 1
            && b.rested_ms >= 0
            && retry_counts::fit(b, finished)
            && (!finished || (b.sealed && b.acts == 0 && b.succeeded + b.failed + b.cancelled == b.total));
        if fits {
            return Ok(());
        }
        let retry = [b.retry_items, b.retry_succeeded, b.retry_failed, b.retry_cancelled];
        Err(StoreError::Invariant(format!(
            "batch {}: total {}, next {}, running {}, retrying {}, succeeded {}, failed {}, cancelled {}, {}, of a \
             retry {retry:?}",
            b.id, b.total, b.next_seq, b.running, b.retrying, b.succeeded, b.failed, b.cancelled, b.state
        )))
    }
}

/// Reason of the pause after the first items.
pub const TRIED_FIRST: &str = "tried_first";
