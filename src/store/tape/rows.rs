//! Rows as values: the statements that the tape writes with.
//!
//! Each list of values is in the order of its statement.

use sea_orm::{DatabaseTransaction, Value};

use crate::store::backend::{insert_many, int, run};
use crate::store::entity::{batches, outcomes, requeue};
use crate::store::error::StoreError;
use crate::store::records::{AttemptRecord, BatchKey, FileRecord, FileSide};

pub const INSERT_OUTCOMES: &str = "INSERT INTO outcomes (batch, first, last, generation, state, attempts, result, \
     error, family, ms, started_at, ended_at, node, rev)";
pub const INSERT_REQUEUE: &str =
    "INSERT INTO requeue (batch, first, last, generation, attempt, crashes, not_before, rev)";
pub const INSERT_ATTEMPTS: &str = "INSERT INTO attempts (batch, seq, generation, attempt, outcome, error, log, \
     started_at, ended_at, node)";
pub const INSERT_FILES: &str =
    "INSERT INTO files (batch, seq, side, \"key\", name, bytes, media_type, blake3)";

pub fn outcome_values(row: outcomes::Model) -> Vec<Value> {
    vec![
        row.batch.into(),
        row.first.into(),
        row.last.into(),
        row.generation.into(),
        row.state.into(),
        row.attempts.into(),
        row.result.into(),
        row.error.into(),
        row.family.into(),
        row.ms.into(),
        row.started_at.into(),
        row.ended_at.into(),
        row.node.into(),
        row.rev.into(),
    ]
}

pub fn requeue_values(row: &requeue::Model) -> Vec<Value> {
    [row.batch, row.first, row.last, row.generation, row.attempt, row.crashes, row.not_before, row.rev]
        .map(Value::from)
        .to_vec()
}

pub async fn update_batch(tx: &DatabaseTransaction, b: &batches::Model) -> Result<(), StoreError> {
    let values = vec![
        b.id.into(),
        b.name.clone().into(),
        b.options.clone().into(),
        b.state.clone().into(),
        b.reason.clone().into(),
        b.generation.into(),
        b.sealed.into(),
        b.result_columns.clone().into(),
        b.total.into(),
        b.next_seq.into(),
        b.running.into(),
        b.retrying.into(),
        b.succeeded.into(),
        b.failed.into(),
        b.cancelled.into(),
        b.cell_items.into(),
        b.rev.into(),
        b.finishes.into(),
        b.deleted.into(),
        b.priority.into(),
        b.concurrency.into(),
        b.rate_tokens.into(),
        b.rate_at.into(),
        b.try_first.into(),
        b.served.into(),
        b.started_at.into(),
        b.finished_at.into(),
        b.intake_node.clone().into(),
        b.acts.into(),
        b.follow.clone().into(),
        b.budget_ended.into(),
        b.budget_failed.into(),
        b.budget_row.into(),
        b.budget_longest.into(),
        b.cancel_drains.into(),
        b.finished_steady.into(),
        b.rate_due.into(),
        b.left_bytes.into(),
        b.pulse_ms.into(),
        b.pulse_buckets.into(),
        b.pulse_at.into(),
        b.retry_by.clone().into(),
        b.retry_at.into(),
        b.retry_items.into(),
        b.retry_succeeded.into(),
        b.retry_failed.into(),
        b.retry_cancelled.into(),
        b.rested_ms.into(),
    ];
    let touched = run(tx, UPDATE_BATCH, values).await?;
    if touched == 1 { Ok(()) } else { Err(StoreError::Invariant(format!("batch {} is gone", b.id))) }
}

const UPDATE_BATCH: &str = "UPDATE batches SET name = $2, options = $3, state = $4, reason = $5, generation = $6, \
     sealed = $7, result_columns = $8, total = $9, next_seq = $10, running = $11, retrying = $12, succeeded = $13, \
     failed = $14, cancelled = $15, cell_items = $16, rev = $17, finishes = $18, deleted = $19, priority = $20, \
     concurrency = $21, rate_tokens = $22, rate_at = $23, try_first = $24, served = $25, started_at = $26, \
     finished_at = $27, intake_node = $28, acts = $29, follow = $30, budget_ended = $31, budget_failed = $32, \
     budget_row = $33, budget_longest = $34, cancel_drains = $35, finished_steady = $36, rate_due = $37, \
     left_bytes = $38, pulse_ms = $39, pulse_buckets = $40, pulse_at = $41, retry_by = $42, retry_at = $43, \
     retry_items = $44, retry_succeeded = $45, retry_failed = $46, retry_cancelled = $47, rested_ms = $48 WHERE id = $1";

pub fn attempt_values(batch: i64, row: &AttemptRecord, generation: i64, node: Option<&str>) -> Vec<Value> {
    vec![
        batch.into(),
        int(row.seq).into(),
        generation.into(),
        i64::from(row.attempt).into(),
        row.outcome.as_str().into(),
        row.error.clone().into(),
        row.log.clone().into(),
        row.started_at.0.into(),
        row.ended_at.0.into(),
        node.map(str::to_owned).into(),
    ]
}

/// Writes rows of files of several batches.
pub async fn insert_files(
    tx: &DatabaseTransaction,
    files: &[(BatchKey, FileRecord)],
) -> Result<(), StoreError> {
    let values = files.iter().map(|(batch, file)| file_values(*batch, file)).collect();
    insert_many(tx, INSERT_FILES, "", values).await
}

pub fn file_values(batch: i64, file: &FileRecord) -> Vec<Value> {
    let side = match file.side {
        FileSide::Input => "input",
        FileSide::Output => "output",
    };
    vec![
        batch.into(),
        int(file.seq).into(),
        side.into(),
        file.key.clone().into(),
        file.row.name.clone().into(),
        int(file.row.bytes).into(),
        file.row.media_type.clone().into(),
        file.blake3.clone().into(),
    ]
}
