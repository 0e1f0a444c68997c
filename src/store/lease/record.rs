//! Record: what a node has done with its leases becomes outcomes, in one transaction.
//!
//! A report is applied wholly and once, by the holder of the lease, or not at all.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend};

use super::outputs::name_outputs;
use crate::protocol::{BatchState, ItemState, NodeId};
use crate::store::Store;
use crate::store::backend::{Durability, LIST_MAX, all, in_keys, int, list_value, run, small};
use crate::store::clock::Moment;
use crate::store::entity::leases;
use crate::store::error::StoreError;
use crate::store::records::{
    BatchChange, BatchKey, FileRecord, LeaseAnswer, LeaseReport, OutcomeRun, Recorded, SeqRange,
};
use crate::store::tape::{Columns, Ranges, Requeue, Tape};

/// What comes of the reports of all batches.
struct Taken {
    /// In the order of the reports.
    answers: Vec<LeaseAnswer>,
    /// What items left, to be named last.
    files: Vec<(BatchKey, FileRecord)>,
}

/// What is to be done with one report.
enum Case {
    Apply(leases::Model),
    Answer { version: u32 },
    Lost,
}

impl Store {
    /// One transaction for all leases of a node: outcomes, requeues, hand-backs, counters, the end of batches.
    ///
    /// Batches are locked in the order of their keys, so that two nodes never wait for each other in a ring.
    ///
    /// On return the commit survives the end of this process. Where a batch ended, the caller calls [`Store::sync`] once
    /// it has told of it, so that nobody waits for the disk to be told.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] where a report is about items that its lease does not hold (nothing is applied);
    /// outages.
    pub async fn record(&self, node: &NodeId, reports: &[LeaseReport]) -> Result<Recorded, StoreError> {
        let now = self.moment();
        let tx = self.inner.backend.write().await?;
        let mut taken = Taken { answers: vec![LeaseAnswer::Lost; reports.len()], files: Vec::new() };
        let mut by_batch: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (at, report) in reports.iter().enumerate() {
            by_batch.entry(report.batch).or_default().push(at);
        }
        let mut changes = Vec::with_capacity(by_batch.len());
        for (batch, told) in by_batch {
            changes.extend(record_batch(&tx, batch, node, reports, &told, now, &mut taken).await?);
        }
        name_outputs(&tx, taken.files).await?;
        if changes.is_empty() {
            // Rolled back where its connection is given back, which waits for nobody here.
            drop(tx);
        } else {
            self.inner.backend.commit(tx, Durability::Process).await?;
        }
        Ok(Recorded {
            answers: reports.iter().map(|report| report.lease).zip(taken.answers).collect(),
            changes,
        })
    }

    /// Commits what moved batches: durably where one of them ended.
    pub async fn finish(&self, tx: DatabaseTransaction, changes: &[BatchChange]) -> Result<(), StoreError> {
        if changes.is_empty() {
            // Rolled back where its connection is given back, which waits for nobody here.
            drop(tx);
            return Ok(());
        }
        let ended = changes.iter().any(|change| change.batch.state.is_finished());
        let durability = if ended { Durability::PowerCut } else { Durability::Process };
        self.inner.backend.commit(tx, durability).await
    }
}

/// Takes all that is told of one batch; what has changed, if anything has.
async fn record_batch(
    tx: &DatabaseTransaction,
    batch: i64,
    node: &NodeId,
    reports: &[LeaseReport],
    told: &[usize],
    now: Moment,
    all: &mut Taken,
) -> Result<Option<BatchChange>, StoreError> {
    let key = |at: &usize| reports[*at].lease;
    let keys: Vec<i64> = told.iter().map(key).collect();
    let held = leases_held(tx, batch, node, &keys).await?;
    let mut cases: Vec<(usize, Case)> = Vec::with_capacity(told.len());
    for at in told {
        cases.push((*at, case(held.get(&key(at)), &reports[*at])?));
    }
    if !cases.iter().any(|(_at, case)| matches!(case, Case::Apply(_))) {
        answer_only(tx, batch, &cases, &mut all.answers).await?;
        return Ok(None);
    }
    let mut tape = match Tape::lock(tx, batch, now).await {
        Ok(tape) => tape,
        // Ended by others and deleted since: nothing of it is this node's any more.
        Err(StoreError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if tx.get_database_backend() == DbBackend::Postgres {
        // What was read before the lock may have been taken away while this waited for it.
        let held = leases_held(tx, batch, node, &keys).await?;
        for (at, known) in &mut cases {
            *known = case(held.get(&key(at)), &reports[*at])?;
        }
    }
    let mut columns = Columns::of(&tape)?;
    let mut taken = Vec::with_capacity(cases.len());
    for (at, case) in cases {
        match case {
            Case::Apply(lease) => {
                let version = small(lease.version + 1)?;
                let closed = apply(&mut tape, &mut columns, lease, &reports[at], node).await?;
                all.files.extend(reports[at].files.iter().map(|file| (batch, file.clone())));
                tape.batch.left_bytes +=
                    reports[at].files.iter().map(|file| int(file.row.bytes)).sum::<i64>();
                taken.push((at, version, closed));
            }
            Case::Answer { version } => taken.push((at, version, false)),
            Case::Lost => {}
        }
    }
    columns.write(&mut tape)?;
    let change = tape.write().await?;
    for (at, version, closed) in taken {
        let (state, drains) = (change.batch.state, change.batch.cancel_drains);
        all.answers[at] = LeaseAnswer::Applied { version, state, drains, closed };
    }
    Ok(Some(change))
}

/// Answers reports that change nothing with the state of the batch.
async fn answer_only(
    tx: &DatabaseTransaction,
    batch: i64,
    cases: &[(usize, Case)],
    answers: &mut [LeaseAnswer],
) -> Result<(), StoreError> {
    if cases.iter().all(|(_at, case)| matches!(case, Case::Lost)) {
        return Ok(());
    }
    let row = match Store::row_by_key(tx, batch).await {
        Ok(row) => row,
        // Its leases were taken back, it ended and was deleted between two statements: the answers stay `Lost`.
        Err(StoreError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let state = BatchState::parse(&row.state)
        .ok_or_else(|| StoreError::Invariant(format!("batch {batch} is {:?}", row.state)))?;
    for (at, case) in cases {
        if let Case::Answer { version } = case {
            answers[*at] =
                LeaseAnswer::Applied { version: *version, state, drains: row.cancel_drains, closed: false };
        }
    }
    Ok(())
}

/// Those of the leases that are there and the node's own.
async fn leases_held(
    tx: &DatabaseTransaction,
    batch: i64,
    node: &NodeId,
    keys: &[i64],
) -> Result<BTreeMap<i64, leases::Model>, StoreError> {
    let text = format!("SELECT * FROM leases WHERE batch = $1 AND id {}", in_keys(tx, 2));
    let mut held = BTreeMap::new();
    for keys in keys.chunks(LIST_MAX) {
        let found: Vec<leases::Model> = match keys {
            [one] => {
                let key = vec![batch.into(), (*one).into()];
                all(tx, "SELECT * FROM leases WHERE batch = $1 AND id = $2", key).await?
            }
            keys => all(tx, &text, vec![batch.into(), list_value(keys)]).await?,
        };
        held.extend(found.into_iter().filter(|lease| lease.node == node.0).map(|lease| (lease.id, lease)));
    }
    Ok(held)
}

/// Compares the version.
fn case(lease: Option<&leases::Model>, report: &LeaseReport) -> Result<Case, StoreError> {
    let Some(lease) = lease else { return Ok(Case::Lost) };
    let held = i64::from(report.version);
    if lease.version == held + 1 {
        // An earlier try whose answer was lost.
        return Ok(Case::Answer { version: small(lease.version)? });
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
        return Ok(Case::Answer { version: report.version });
    }
    Ok(Case::Apply(lease.clone()))
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
        let again = Requeue {
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
        tape.again(*range, Requeue { generation, attempt, crashes, not_before: 0 });
    }
    for attempt in &report.attempts {
        tape.attempt(attempt, lease.generation, Some(&node.0));
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
pub fn cancel(
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
