//! Retry: outcomes leave, and their items run again in a new generation.
//!
//! Owns the choice of outcomes and their removal. Called by the engine. Invariant: an outcome that leaves is kept in
//! the history; what it left as files is not seen any more. Deliberately does not know why somebody retries.

use std::collections::BTreeSet;

use sea_orm::{DatabaseTransaction, Value};

use super::Store;
use super::acts::allowed;
use super::backend::{Durability, KEYS_IN_MAX, all, count, int, keys_filled, keys_in, run};
use super::entity::outcomes;
use super::error::StoreError;
use super::records::{BatchChange, BatchKey, SeqRange};
use super::tape::{Again, Tape};
use crate::protocol::{BatchAct, BatchState, ItemState, RetryRequest, Seq};

/// Outcomes without their results, which leave with them and are not needed.
const LIGHT: &str = "SELECT batch, first, last, generation, state, attempts, NULL AS result, error, family, ms, \
     started_at, ended_at, node, rev FROM outcomes WHERE batch = $1";
/// Outcomes that leave as a whole: what is counted of them.
const BARE: &str = "SELECT batch, first, last, generation, state, attempts, NULL AS result, NULL AS error, family, \
     NULL AS ms, NULL AS started_at, ended_at, NULL AS node, rev FROM outcomes WHERE batch = $1";
/// Rows held at once; few in tests, so that they turn pages.
const PAGE_ROWS: usize = if cfg!(test) { 16 } else { 10_000 };

impl Store {
    /// Failed (or chosen) outcomes leave; their items are requeued in a new generation.
    ///
    /// Without `states`: failed ones; of chosen seqs also cancelled ones. Seqs in another state are left alone.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] while the batch is being cancelled; [`StoreError::NotFound`]; outages.
    pub async fn retry(&self, batch: BatchKey, request: &RetryRequest) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.now()).await?;
        if !allowed(&tape, BatchAct::Retry)? {
            return tape.unchanged();
        }
        let generation = tape.batch.generation + 1;
        let again = Again { generation, attempt: 1, crashes: 0, not_before: 0 };
        let taken = match &request.seqs {
            Some(seqs) => take_seqs(&mut tape, request, seqs, again).await?,
            None => take_states(&mut tape, request, again).await?,
        };
        if taken == 0 {
            return tape.unchanged();
        }
        tape.batch.generation = generation;
        if tape.state()?.is_finished() {
            tape.batch.finished_at = None;
            tape.batch.reason = None;
            let started = tape.batch.started_at.is_some();
            tape.set_state(if started { BatchState::Running } else { BatchState::Pending });
        }
        let change = tape.write().await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }
}

/// States of the items to take.
fn states(request: &RetryRequest) -> Vec<ItemState> {
    let retried = [ItemState::Failed, ItemState::Cancelled];
    match (&request.states, &request.seqs) {
        (Some(states), _) => retried.into_iter().filter(|state| states.contains(state)).collect(),
        (None, Some(_seqs)) => retried.to_vec(),
        (None, None) => vec![ItemState::Failed],
    }
}

/// Takes all outcomes of the states (and family) asked for, a page at a time: there may be a million. How many rows.
async fn take_states(tape: &mut Tape<'_>, request: &RetryRequest, again: Again) -> Result<usize, StoreError> {
    let (tx, batch) = (tape.tx, tape.batch.id);
    let mut taken = 0;
    for state in states(request) {
        let mut chosen = "state = $2 AND state <> 'succeeded'".to_owned();
        let mut values: Vec<Value> = vec![batch.into(), state.as_str().into()];
        if let Some(family) = &request.family {
            chosen.push_str(" AND family = $3");
            values.push(family.0.clone().into());
        }
        let mut after = 0_i64;
        loop {
            let at = values.len() + 1;
            let text = format!("{BARE} AND {chosen} AND first > ${at} ORDER BY first LIMIT {PAGE_ROWS}");
            let mut values = values.clone();
            values.push(after.into());
            let rows: Vec<outcomes::Model> = all(tx, &text, values).await?;
            let Some(last) = rows.last() else { break };
            after = last.first;
            taken += rows.len();
            for row in &rows {
                tape.leave(row)?;
                tape.again(SeqRange::new(count(row.first)?, count(row.last)?), again);
            }
            if rows.len() == PAGE_ROWS {
                tape.flush_waiting().await?;
            }
        }
        forget(tx, &chosen, &values).await?;
    }
    Ok(taken)
}

/// Takes the outcomes of chosen items, out of longer runs too. How many rows.
async fn take_seqs(
    tape: &mut Tape<'_>,
    request: &RetryRequest,
    seqs: &[Seq],
    again: Again,
) -> Result<usize, StoreError> {
    let chosen = choose(tape.tx, tape.batch.id, request, seqs).await?;
    let taken = chosen.len();
    let keys: Vec<i64> = chosen.iter().map(|(row, _parts)| row.first).collect();
    let named = format!("first IN {}", keys_in());
    for keys in keys.chunks(KEYS_IN_MAX) {
        forget(tape.tx, &named, &keys_filled(tape.batch.id, keys)).await?;
    }
    for (row, parts) in chosen {
        let mut kept_from = row.first;
        for part in parts {
            let (first, last) = (int(part.first), int(part.last));
            if kept_from < first {
                tape.keep(outcomes::Model { first: kept_from, last: first - 1, ..row.clone() });
            }
            tape.leave(&outcomes::Model { first, last, ..row.clone() })?;
            tape.again(part, again);
            kept_from = last + 1;
        }
        if kept_from <= row.last {
            tape.keep(outcomes::Model { first: kept_from, ..row });
        }
    }
    Ok(taken)
}

/// The outcomes of chosen items, each with the parts of it that leave, in order.
async fn choose(
    tx: &DatabaseTransaction,
    batch: BatchKey,
    request: &RetryRequest,
    seqs: &[Seq],
) -> Result<Vec<(outcomes::Model, Vec<SeqRange>)>, StoreError> {
    let states = states(request);
    let takes = |row: &outcomes::Model| {
        states.iter().any(|state| state.as_str() == row.state)
            && request.family.as_ref().is_none_or(|family| row.family.as_ref() == Some(&family.0))
    };
    let mut chosen = Vec::new();
    let seqs: BTreeSet<i64> = seqs.iter().map(|seq| int(*seq)).filter(|seq| *seq >= 1).collect();
    let text = format!("{LIGHT} AND first <= $2 ORDER BY first DESC LIMIT 1");
    let mut row: Option<outcomes::Model> = None;
    for seq in seqs {
        let here = row.as_ref().is_some_and(|row| row.first <= seq && seq <= row.last);
        if !here {
            row = super::backend::one(tx, &text, vec![batch.into(), seq.into()]).await?;
        }
        let Some(found) = row.as_ref().filter(|row| seq <= row.last && takes(row)) else { continue };
        push_seq(&mut chosen, found, seq)?;
    }
    Ok(chosen)
}

fn push_seq(
    chosen: &mut Vec<(outcomes::Model, Vec<SeqRange>)>,
    row: &outcomes::Model,
    seq: i64,
) -> Result<(), StoreError> {
    let seq = count(seq)?;
    if let Some((last, parts)) = chosen.last_mut().filter(|(last, _)| last.first == row.first) {
        debug_assert_eq!(last.last, row.last, "one row per first");
        match parts.last_mut().filter(|part| part.last + 1 == seq) {
            Some(part) => part.last = seq,
            None => parts.push(SeqRange::one(seq)),
        }
        return Ok(());
    }
    chosen.push((row.clone(), vec![SeqRange::one(seq)]));
    Ok(())
}

/// Takes outcomes away: into the history what is not there yet, files to the trash. `chosen` is a condition on them;
/// the first of its `values` is the batch.
async fn forget(tx: &DatabaseTransaction, chosen: &str, values: &[Value]) -> Result<(), StoreError> {
    let history = format!(
        "INSERT INTO attempts (batch, seq, generation, attempt, outcome, error, started_at, ended_at, node) \
         SELECT batch, first, generation, attempts, state, error, started_at, ended_at, node FROM outcomes o \
         WHERE batch = $1 AND {chosen} AND first = last AND attempts > 0 AND NOT EXISTS \
         (SELECT 1 FROM attempts a WHERE a.batch = o.batch AND a.seq = o.first AND a.generation = o.generation \
          AND a.attempt >= o.attempts AND a.outcome <> 'released')"
    );
    let left = format!(
        "FROM files WHERE batch = $1 AND side = 'output' AND seq IN \
         (SELECT first FROM outcomes WHERE batch = $1 AND {chosen})"
    );
    let trash = format!("INSERT INTO trash (\"key\") SELECT \"key\" {left} ON CONFLICT DO NOTHING");
    let files = format!("DELETE {left}");
    let rows = format!("DELETE FROM outcomes WHERE batch = $1 AND {chosen}");
    for text in [&history, &trash, &files, &rows] {
        run(tx, text, values.to_vec()).await?;
    }
    Ok(())
}
