//! Record: what a node has done with its leases becomes outcomes, in one transaction.
//!
//! Owns the compare of versions and the moves of a report. Called by the engine's recorder. Invariant: a report is
//! applied wholly and once, by the holder of the lease, or not at all. Deliberately does not decide who gets
//! another attempt: the report says so.

use std::collections::BTreeMap;

use sea_orm::DatabaseTransaction;

use super::Store;
use super::backend::{Durability, int, one, run, small};
use super::columns::Columns;
use super::entity::leases;
use super::error::StoreError;
use super::ranges::Ranges;
use super::records::{BatchChange, LeaseAnswer, LeaseReport, OutcomeRun, Recorded, SeqRange};
use super::tape::{Again, Tape};
use crate::protocol::{BatchState, ItemState, NodeId};

/// What is to be done with one report.
enum Case {
    Apply(leases::Model),
    Answer(LeaseAnswer, i64),
    Lost,
}

impl Store {
    /// One transaction for all leases of a node: outcomes, requeues, hand-backs, counters, the end of batches.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] where a report is about items that its lease does not hold (nothing is applied);
    /// outages.
    pub async fn record(&self, node: &NodeId, reports: &[LeaseReport]) -> Result<Recorded, StoreError> {
        let now = self.now();
        let tx = self.inner.backend.write().await?;
        let mut answers: Vec<LeaseAnswer> = vec![LeaseAnswer::Lost; reports.len()];
        let mut by_batch: BTreeMap<i64, Vec<(usize, leases::Model)>> = BTreeMap::new();
        let mut only_asked: Vec<(usize, i64)> = Vec::new();
        for (at, report) in reports.iter().enumerate() {
            match case(&tx, node, report).await? {
                Case::Apply(lease) => by_batch.entry(lease.batch).or_default().push((at, lease)),
                Case::Answer(answer, batch) => {
                    answers[at] = answer;
                    only_asked.push((at, batch));
                }
                Case::Lost => {}
            }
        }
        let mut changes = Vec::with_capacity(by_batch.len());
        for (batch, held) in by_batch {
            let mut tape = Tape::lock(&tx, batch, now).await?;
            let mut columns = Columns::of(&tape)?;
            let mut taken = Vec::with_capacity(held.len());
            for (at, lease) in held {
                let version = lease.version + 1;
                let closed = apply(&mut tape, &mut columns, lease, &reports[at], node).await?;
                taken.push((at, small(version)?, closed));
            }
            columns.write(&mut tape)?;
            let change = tape.write().await?;
            for (at, version, closed) in taken {
                answers[at] = LeaseAnswer::Applied { version, state: change.batch.state, closed };
            }
            changes.push(change);
        }
        for (at, batch) in only_asked {
            let state_now = Self::row_by_key(&tx, batch).await?.state;
            if let (LeaseAnswer::Applied { state, .. }, Some(now)) =
                (&mut answers[at], BatchState::parse(&state_now))
            {
                *state = now;
            }
        }
        self.finish(tx, &changes).await?;
        Ok(Recorded { answers: reports.iter().map(|report| report.lease).zip(answers).collect(), changes })
    }

    /// Commits what moved batches: durably where one of them ended.
    pub(super) async fn finish(
        &self,
        tx: DatabaseTransaction,
        changes: &[BatchChange],
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(tx.rollback().await?);
        }
        let ended = changes.iter().any(|change| change.batch.state.is_finished());
        let durability = if ended { Durability::PowerCut } else { Durability::Process };
        self.inner.backend.commit(tx, durability).await
    }
}

/// Compares the version.
async fn case(tx: &DatabaseTransaction, node: &NodeId, report: &LeaseReport) -> Result<Case, StoreError> {
    let lease = one(tx, "SELECT * FROM leases WHERE id = $1", vec![report.lease.into()]).await?;
    let Some(lease) = lease.filter(|lease: &leases::Model| lease.node == node.0) else {
        return Ok(Case::Lost);
    };
    let held = i64::from(report.version);
    let applied = |version: i64| -> Result<LeaseAnswer, StoreError> {
        // The state is filled in once the batch has been read.
        Ok(LeaseAnswer::Applied { version: small(version)?, state: BatchState::Running, closed: false })
    };
    if lease.version == held + 1 {
        return Ok(Case::Answer(applied(lease.version)?, lease.batch));
    }
    if lease.version != held {
        return Ok(Case::Lost);
    }
    let says_nothing = report.outcomes.is_empty()
        && report.retries.is_empty()
        && report.attempts.is_empty()
        && report.handback.is_empty()
        && report.files.is_empty();
    if says_nothing && Ranges::collect(report.started.iter().copied()).print() == lease.started {
        return Ok(Case::Answer(applied(held)?, lease.batch));
    }
    Ok(Case::Apply(lease))
}

/// Moves what one report says; true where the lease is closed.
async fn apply(
    tape: &mut Tape<'_>,
    columns: &mut Columns,
    lease: leases::Model,
    report: &LeaseReport,
    node: &NodeId,
) -> Result<bool, StoreError> {
    let mut left = Ranges::parse(&lease.left)?;
    let started_before = int(Ranges::parse(&lease.started)?.count());
    let waiting_before = int(left.count()) - started_before;
    let mut remove = |range: SeqRange| {
        if left.take(range) {
            return Ok(());
        }
        let SeqRange { first, last } = range;
        Err(StoreError::Invariant(format!(
            "lease {} was told of {first}-{last}, which it does not hold",
            lease.id
        )))
    };
    for run in &report.outcomes {
        remove(run.range)?;
        end(tape, columns, run, lease.generation, node)?;
    }
    let cancelling = tape.state()? == BatchState::Cancelling;
    for retry in &report.retries {
        let range = SeqRange::one(retry.seq);
        remove(range)?;
        if cancelling {
            cancel(tape, range, lease.generation, i64::from(retry.attempt) - 1)?;
            continue;
        }
        let again = Again {
            generation: lease.generation,
            attempt: i64::from(retry.attempt),
            crashes: i64::from(retry.crashes),
            not_before: retry.not_before.0,
        };
        tape.again(range, again);
    }
    for range in &report.handback {
        remove(*range)?;
        if cancelling {
            cancel(tape, *range, lease.generation, lease.attempt - 1)?;
            continue;
        }
        let (generation, attempt, crashes) = (lease.generation, lease.attempt, lease.crashes);
        tape.again(*range, Again { generation, attempt, crashes, not_before: 0 });
    }
    for attempt in &report.attempts {
        tape.attempt(attempt, lease.generation, Some(&node.0));
    }
    for file in &report.files {
        tape.file(file);
    }
    let started = Ranges::collect(report.started.iter().copied());
    if let Some(stray) = started.iter().find(|range| !left.contains(*range)) {
        let SeqRange { first, last } = stray;
        return Err(StoreError::Invariant(format!("lease {} does not hold {first}-{last}", lease.id)));
    }
    let running = int(started.count());
    tape.batch.running += running - started_before;
    if lease.attempt >= 2 {
        tape.batch.retrying += int(left.count()) - running - waiting_before;
    }
    keep(tape, lease, &left, &started).await?;
    Ok(left.is_empty())
}

/// An item ends as reported.
fn end(
    tape: &mut Tape<'_>,
    columns: &mut Columns,
    run: &OutcomeRun,
    generation: i64,
    node: &NodeId,
) -> Result<(), StoreError> {
    let mut row = tape.plain(run.range, generation, run.state, i64::from(run.attempts));
    if let Some(result) = &run.result {
        columns.see(result.as_str());
        row.result = Some(result.as_str().to_owned());
    }
    row.error.clone_from(&run.error);
    row.ms = run.ms.map(int);
    row.started_at = run.started_at.map(|at| at.0);
    row.node = Some(node.0.clone());
    row.family = run.family.as_ref().map(|(id, _message)| id.0.clone());
    tape.end(row, run.family.as_ref().map(|(_id, message)| message.as_str()))
}

/// Items that were given back to a batch that is being cancelled.
pub(super) fn cancel(
    tape: &mut Tape<'_>,
    range: SeqRange,
    generation: i64,
    attempts: i64,
) -> Result<(), StoreError> {
    let row = tape.plain(range, generation, ItemState::Cancelled, attempts.max(0));
    tape.end(row, None)
}

/// Writes what is left of a lease, or closes it. Slots that have nothing left to do are free again.
async fn keep(
    tape: &Tape<'_>,
    lease: leases::Model,
    left: &Ranges,
    started: &Ranges,
) -> Result<(), StoreError> {
    if left.is_empty() {
        run(tape.tx, "DELETE FROM leases WHERE id = $1", vec![lease.id.into()]).await?;
        return Ok(());
    }
    let values = vec![
        lease.id.into(),
        left.print().into(),
        started.print().into(),
        lease.slots.min(int(left.count())).into(),
        (lease.version + 1).into(),
        tape.rev.into(),
    ];
    let text =
        "UPDATE leases SET \"left\" = $2, started = $3, slots = $4, version = $5, rev = $6 WHERE id = $1";
    run(tape.tx, text, values).await?;
    Ok(())
}
