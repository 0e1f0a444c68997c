//! From the row of a batch to its record.

use super::strip_cells::parse_list;
use crate::protocol::{BatchState, InputKind, Json, Timestamp};
use crate::store::backend::{count, small};
use crate::store::batch_names::shown_name;
use crate::store::entity::batches;
use crate::store::error::StoreError;
use crate::store::records::{BatchRecord, Source};
use crate::store::retry_counts::to_retry;

/// Reads a row of the table as a record.
pub fn to_record(row: &batches::Model) -> Result<BatchRecord, StoreError> {
    let broken = |what: &str| StoreError::Invariant(format!("batch {}: {what} is not readable", row.id));
    Ok(BatchRecord {
        key: row.id,
        id: row.uuid.parse().map_err(|_form| broken("uuid"))?,
        name: shown_name(&row.name).to_owned(),
        task: row.task.clone(),
        input: match row.input.as_str() {
            "file" => InputKind::File,
            "line" => InputKind::Line,
            "record" => InputKind::Record,
            _ => return Err(broken("input")),
        },
        source: match row.source.as_str() {
            "blocks" => Source::Blocks,
            "generated" => Source::Generated,
            _ => return Err(broken("source")),
        },
        params: Json::parse(&row.params).map_err(|_form| broken("params"))?,
        options: serde_json::from_str(&row.options).map_err(|_form| broken("options"))?,
        owner: row.owner.clone(),
        schedule: row.schedule.as_deref().map(str::parse).transpose().map_err(|_form| broken("schedule"))?,
        state: BatchState::parse(&row.state).ok_or_else(|| broken("state"))?,
        reason: row.reason.clone(),
        generation: small(row.generation)?,
        sealed: row.sealed,
        filling: row.intake_node.is_some() && !row.sealed,
        columns: parse_list(&row.columns)?,
        result_columns: parse_list(&row.result_columns)?,
        total: count(row.total)?,
        next_seq: count(row.next_seq)?,
        running: count(row.running)?,
        retrying: count(row.retrying)?,
        succeeded: count(row.succeeded)?,
        failed: count(row.failed)?,
        cancelled: count(row.cancelled)?,
        cell_items: count(row.cell_items)?,
        rev: count(row.rev)?,
        cancel_drains: row.cancel_drains,
        finishes: small(row.finishes)?,
        left_bytes: count(row.left_bytes)?,
        pulse_ms: count(row.pulse_ms)?,
        retry: to_retry(row)?,
        rested_ms: count(row.rested_ms)?,
        deleted: row.deleted,
        created_at: Timestamp(row.created_at),
        started_at: row.started_at.map(Timestamp),
        finished_at: row.finished_at.map(Timestamp),
    })
}
