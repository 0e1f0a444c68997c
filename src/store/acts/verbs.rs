//! Acts of people on one batch: pause, resume, cancel, patch, delete; and the start of scheduled ones.
//!
//! Each act is one transaction, durable before the answer; an act on a batch already so changes nothing.

use super::act_rows;
use crate::protocol::{BatchAct, BatchPatch, BatchState, Move, Options, Running};
use crate::store::Store;
use crate::store::backend::{Durability, all, count, locking};
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::lease::cancel;
use crate::store::records::{BatchChange, BatchKey, SeqRange};
use crate::store::retry_counts::FIRST_GENERATION;
use crate::store::tape::{TRIED_FIRST, Tape};

/// What a patch changes, for the audit log.
fn said(patch: &BatchPatch) -> String {
    let name = patch.name.as_ref().map(|_name| "name".to_owned());
    let slots = patch.concurrency.map(|slots| format!("slots {slots}"));
    let priority = patch.priority.map(|priority| format!("priority {priority}"));
    [name, slots, priority].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Store {
    /// Stops handing out; `reason` is stored (none for a person's act).
    ///
    /// # Errors
    /// [`StoreError::WrongState`], [`StoreError::NotFound`]; outages.
    pub async fn pause(&self, batch: BatchKey, reason: Option<String>) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.pause_once(batch, reason.clone())).await
    }

    async fn pause_once(&self, batch: BatchKey, reason: Option<String>) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let change = self.pause_within(Tape::lock(&tx, batch, self.moment()).await?, reason).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// As [`Store::pause`], in the transaction of whoever holds the batch.
    pub(super) async fn pause_within(
        &self,
        mut tape: Tape<'_>,
        reason: Option<String>,
    ) -> Result<BatchChange, StoreError> {
        if !allowed(&tape, BatchAct::Pause)? {
            return tape.unchanged();
        }
        tape.set_state(BatchState::Paused);
        tape.batch.reason = reason;
        let tx = tape.tx;
        let change = tape.write().await?;
        self.sign(tx, "batch.pause", &change.batch.id.to_string(), "").await?;
        Ok(change)
    }

    /// Hands out again.
    ///
    /// # Errors
    /// [`StoreError::WrongState`], [`StoreError::NotFound`]; outages.
    pub async fn resume(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let change = self.resume_within(Tape::lock(&tx, batch, self.moment()).await?).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// As [`Store::resume`], in the transaction of whoever holds the batch.
    pub(super) async fn resume_within(&self, mut tape: Tape<'_>) -> Result<BatchChange, StoreError> {
        if !allowed(&tape, BatchAct::Resume)? {
            return tape.unchanged();
        }
        let ended = tape.batch.succeeded + tape.batch.failed + tape.batch.cancelled;
        let tried = tape.batch.try_first.is_some_and(|first| ended > 0 && ended >= first);
        if tried || tape.batch.reason.as_deref() == Some(TRIED_FIRST) {
            tape.batch.try_first = None;
        }
        tape.set_state(opened(&tape));
        tape.batch.reason = None;
        tape.renew_budget();
        let tx = tape.tx;
        let change = tape.write().await?;
        self.sign(tx, "batch.resume", &change.batch.id.to_string(), "").await?;
        Ok(change)
    }

    /// As [`Store::cancel_as`], stopping what runs.
    ///
    /// # Errors
    /// As [`Store::cancel_as`].
    pub async fn cancel(&self, batch: BatchKey, reason: Option<String>) -> Result<BatchChange, StoreError> {
        self.cancel_as(batch, reason, Running::Stop).await
    }

    /// Seals, ends what is not leased as cancelled (of many waiting rows the first; [`Store::act_step`] ends the
    /// others), and has the holders of leases end the rest. An act in steps that is under way ends where it is.
    ///
    /// A batch that is being cancelled and lets its items finish can still be told to stop them.
    ///
    /// # Errors
    /// [`StoreError::WrongState`], [`StoreError::NotFound`]; outages.
    pub async fn cancel_as(
        &self,
        batch: BatchKey,
        reason: Option<String>,
        running: Running,
    ) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.cancel_as_once(batch, reason.clone(), running)).await
    }

    async fn cancel_as_once(
        &self,
        batch: BatchKey,
        reason: Option<String>,
        running: Running,
    ) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let tape = Tape::lock(&tx, batch, self.moment()).await?;
        let change = self.cancel_within(tape, reason, running).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// As [`Store::cancel_as`], in the transaction of whoever holds the batch.
    pub(super) async fn cancel_within(
        &self,
        mut tape: Tape<'_>,
        reason: Option<String>,
        running: Running,
    ) -> Result<BatchChange, StoreError> {
        if !allowed(&tape, BatchAct::Cancel)? {
            let hastens = tape.batch.cancel_drains
                && running == Running::Stop
                && tape.state()? == BatchState::Cancelling;
            if !hastens {
                return tape.unchanged();
            }
            tape.batch.cancel_drains = false;
        } else {
            tape.batch.sealed = true;
            tape.batch.reason = reason;
            tape.batch.cancel_drains = running == Running::Finish;
            tape.set_state(BatchState::Cancelling);
            act_rows::end_all(&mut tape).await?;
            act_rows::cancel_waiting(&mut tape).await?;
            if tape.batch.next_seq <= tape.batch.total {
                let untouched = SeqRange::new(count(tape.batch.next_seq)?, count(tape.batch.total)?);
                cancel(&mut tape, untouched, FIRST_GENERATION, 0)?;
                tape.batch.next_seq = tape.batch.total + 1;
            }
        }
        let tx = tape.tx;
        let change = tape.write().await?;
        let why = change.batch.reason.as_deref().unwrap_or_default();
        self.sign(tx, "batch.cancel", &change.batch.id.to_string(), why).await?;
        Ok(change)
    }

    /// Name, concurrency, priority.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn patch(&self, batch: BatchKey, patch: &BatchPatch) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.moment()).await?;
        let mut options: Options = serde_json::from_str(&tape.batch.options)
            .map_err(|error| StoreError::Invariant(format!("options of batch {batch}: {error}")))?;
        if let Some(name) = &patch.name {
            tape.batch.name.clone_from(name);
        }
        if let Some(concurrency) = patch.concurrency {
            options.concurrency = Some(concurrency);
            tape.batch.concurrency = Some(i64::from(concurrency));
        }
        if let Some(priority) = patch.priority {
            options.priority = priority;
            tape.batch.priority = i64::from(priority);
        }
        tape.batch.options = serde_json::to_string(&options).expect("options always print");
        let change = tape.write().await?;
        self.sign(&tx, "batch.patch", &change.batch.id.to_string(), &said(patch)).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// Hides a finished batch at once; rows and files go later, by [`Store::sweep`].
    ///
    /// # Errors
    /// [`StoreError::NotFinished`], [`StoreError::NotFound`]; outages.
    pub async fn delete(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        self.with_reserve(|| self.delete_once(batch)).await
    }

    async fn delete_once(&self, batch: BatchKey) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let change = self.delete_within(Tape::lock(&tx, batch, self.moment()).await?).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// As [`Store::delete`], in the transaction of whoever holds the batch.
    pub(super) async fn delete_within(&self, mut tape: Tape<'_>) -> Result<BatchChange, StoreError> {
        if tape.state()?.on(BatchAct::Delete) != Move::Do {
            return Err(StoreError::NotFinished);
        }
        tape.batch.deleted = true;
        let tx = tape.tx;
        let change = tape.write().await?;
        self.sign(tx, "batch.delete", &change.batch.id.to_string(), "").await?;
        Ok(change)
    }

    /// Starts scheduled batches whose `start_at` has come.
    ///
    /// # Errors
    /// Outages.
    pub async fn start_due(&self) -> Result<Vec<BatchChange>, StoreError> {
        /// Batches started in one transaction at most; the rest comes with the next call.
        const DUE: &str = "SELECT * FROM batches WHERE state = 'scheduled' AND start_at <= $1 AND NOT deleted \
             ORDER BY id LIMIT 100";
        let now = self.moment();
        let due: Vec<batches::Model> = all(self.inner.backend.reader(), DUE, vec![now.wall.0.into()]).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let tx = self.inner.backend.write().await?;
        let due: Vec<batches::Model> = all(&tx, &locking(&tx, DUE), vec![now.wall.0.into()]).await?;
        let mut changes = Vec::with_capacity(due.len());
        for batch in due {
            let mut tape = Tape::of(&tx, batch, now);
            tape.set_state(BatchState::Pending);
            changes.push(tape.write().await?);
        }
        self.finish(tx, &changes).await?;
        Ok(changes)
    }
}

/// The state of a batch that nobody holds back.
pub fn opened(tape: &Tape<'_>) -> BatchState {
    if tape.batch.started_at.is_some() {
        BatchState::Running
    } else if tape.batch.start_at.is_some_and(|at| at > tape.now) {
        BatchState::Scheduled
    } else {
        BatchState::Pending
    }
}

/// True where the act is to be carried out, false where the batch is so already.
pub fn allowed(tape: &Tape<'_>, act: BatchAct) -> Result<bool, StoreError> {
    let state = tape.state()?;
    match state.on(act) {
        Move::Do => Ok(true),
        Move::Already => Ok(false),
        Move::Refused => Err(StoreError::WrongState(state)),
    }
}
