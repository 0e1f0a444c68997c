//! Retry: outcomes leave, and their items run again in a new generation.
//!
//! Owns the choice of outcomes and their removal, at once or in steps. Called by the engine and by the steps of acts.
//! Invariant: an outcome that leaves is kept in the history; what it left as files is not seen any more; what failed
//! anew after the act is not taken by it. Deliberately does not know why somebody retries.

use std::collections::BTreeSet;

use sea_orm::{DatabaseTransaction, Value};
use serde::{Deserialize, Serialize};

use super::act_steps::{self, STEP_ROWS};
use super::verbs::{allowed, opened};
use crate::protocol::{BatchAct, FamilyId, ItemState, RetryRequest, Seq};
use crate::store::Store;
use crate::store::backend::{Durability, KEYS_IN_MAX, all, count, int, keys_filled, keys_in, run};
use crate::store::entity::outcomes;
use crate::store::error::StoreError;
use crate::store::records::{BatchChange, BatchKey, SeqRange};
use crate::store::tape::{Again, Tape};

/// Outcomes without their results, which leave with them and are not needed.
const LIGHT: &str = "SELECT batch, first, last, generation, state, attempts, NULL AS result, error, family, ms, \
     started_at, ended_at, node, rev FROM outcomes WHERE batch = $1";
/// Outcomes that leave as a whole: what is counted of them.
const BARE: &str = "SELECT batch, first, last, generation, state, attempts, NULL AS result, NULL AS error, family, \
     NULL AS ms, NULL AS started_at, ended_at, NULL AS node, rev FROM outcomes WHERE batch = $1";

impl Store {
    /// Failed (or chosen) outcomes leave; their items are requeued in a new generation.
    ///
    /// Of more than one transaction may take, the first are taken here and the rest by [`Store::act_step`]; until all
    /// are, the batch does not end. Without `states`: failed ones; of chosen seqs also cancelled ones. Seqs in another state are left alone.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] while the batch is being cancelled; [`StoreError::NotFound`]; outages.
    pub async fn retry(&self, batch: BatchKey, request: &RetryRequest) -> Result<BatchChange, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = Tape::lock(&tx, batch, self.moment()).await?;
        if !allowed(&tape, BatchAct::Retry)? {
            return tape.unchanged();
        }
        let generation = tape.batch.generation + 1;
        let again = Again { generation, attempt: 1, crashes: 0, not_before: 0 };
        let mut rest = Rest::of(request, tape.batch.rev);
        let taken = match &request.seqs {
            Some(seqs) => {
                rest = Rest { states: Vec::new(), ..rest };
                take_seqs(&mut tape, request, seqs, again).await?
            }
            None => rest.step(&mut tape, again).await?,
        };
        if taken == 0 {
            return tape.unchanged();
        }
        tape.batch.generation = generation;
        tape.renew_budget();
        if tape.state()?.is_finished() {
            tape.batch.finished_at = None;
            tape.batch.finished_steady = None;
            tape.batch.reason = None;
            tape.set_state(opened(&tape));
        }
        if !rest.is_done() {
            act_steps::begin(&mut tape, &rest, taken).await?;
        }
        let change = tape.write().await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }
}

/// What of a retry by state is still to be taken: kept in the row of its act between two steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rest {
    /// In turn; the first is under way.
    states: Vec<ItemState>,
    family: Option<FamilyId>,
    /// Revision of the batch when it was asked for: what ended later has failed anew and is not meant.
    rev: i64,
    /// Position of the last row looked at in the state under way.
    #[serde(skip)]
    pub after: i64,
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

impl Rest {
    fn of(request: &RetryRequest, rev: i64) -> Self {
        let mut states = states(request);
        // Only what failed has a family.
        states.retain(|state| request.family.is_none() || *state == ItemState::Failed);
        Self { states, family: request.family.clone(), rev, after: 0 }
    }

    /// True where nothing is left to be taken.
    pub fn is_done(&self) -> bool {
        self.states.is_empty()
    }

    /// Takes the next outcomes, of at most [`STEP_ROWS`] that are looked at. How many rows.
    pub async fn step(&mut self, tape: &mut Tape<'_>, again: Again) -> Result<usize, StoreError> {
        let (mut room, mut taken) = (STEP_ROWS, 0);
        while let Some(state) = self.states.first().copied().filter(|_state| room > 0) {
            // Each by its own index; `state <> 'succeeded'` is what the one of states is made for.
            let (which, value): (_, Value) = match &self.family {
                Some(family) => ("family = $2", family.0.clone().into()),
                None => ("state = $2 AND state <> 'succeeded'", state.as_str().into()),
            };
            let text = format!("{BARE} AND {which} AND first > $3 ORDER BY first LIMIT {}", room + 1);
            let values = vec![tape.batch.id.into(), value.clone(), self.after.into()];
            let mut rows: Vec<outcomes::Model> = all(tape.tx, &text, values).await?;
            let more = rows.len() > room;
            rows.truncate(room);
            let Some(last) = rows.last().map(|row| row.first) else {
                self.next_state();
                continue;
            };
            let chosen = format!("{which} AND first > $3 AND first <= $4 AND rev <= $5");
            let values = vec![tape.batch.id.into(), value, self.after.into(), last.into(), self.rev.into()];
            room -= rows.len();
            for row in rows.iter().filter(|row| row.rev <= self.rev) {
                tape.leave(row)?;
                tape.again(SeqRange::new(count(row.first)?, count(row.last)?), again);
                taken += 1;
            }
            forget(tape.tx, &chosen, &values).await?;
            self.after = last;
            if !more {
                self.next_state();
            }
        }
        Ok(taken)
    }

    fn next_state(&mut self) {
        self.states.remove(0);
        self.after = 0;
    }
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
            row = crate::store::backend::one(tx, &text, vec![batch.into(), seq.into()]).await?;
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
