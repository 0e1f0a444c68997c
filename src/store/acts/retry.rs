//! Retry: outcomes leave, and their items run again in a new generation.
//!
//! They leave at once or in steps. An outcome that leaves is kept in the history; what it left as files is not seen any
//! more; what failed anew after the act is not taken by it. Chosen items are found and moved some thousand to a
//! statement: the batch's row is locked meanwhile, and whoever records waits for it.

use sea_orm::{DatabaseTransaction, Value};
use serde::{Deserialize, Serialize};

use super::act_rows::{self, STEP_ROWS};
use super::verbs::{allowed, opened};
use crate::protocol::{BatchAct, FamilyId, ItemState, RetryRequest, Seq};
use crate::store::Store;
use crate::store::access::signer;
use crate::store::backend::{
    Durability, LIST_MAX, all, by_index, count, in_keys, int, list_value, rows, run,
};
use crate::store::entity::outcomes;
use crate::store::error::StoreError;
use crate::store::records::{BatchChange, BatchKey, SeqRange};
use crate::store::retry_counts;
use crate::store::tape::{ENDS_WITHIN, Ranges, Requeue, Tape, meeting_any};

/// Columns of outcomes without their results, which leave with them and are not needed.
const LIGHT: &str = "found.batch, found.first, found.last, found.generation, found.state, found.attempts, \
     NULL AS result, found.error, found.family, found.ms, found.started_at, found.ended_at, found.node, found.rev";
/// Outcomes that leave as a whole: what is counted of them.
const BARE: &str = "SELECT batch, first, last, generation, state, attempts, NULL AS result, NULL AS error, family, \
     NULL AS ms, NULL AS started_at, ended_at, NULL AS node, rev";

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
        let change = self.retry_within(Tape::lock(&tx, batch, self.moment()).await?, request).await?;
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        Ok(change)
    }

    /// As [`Store::retry`], in the transaction of whoever holds the batch.
    pub(super) async fn retry_within(
        &self,
        mut tape: Tape<'_>,
        request: &RetryRequest,
    ) -> Result<BatchChange, StoreError> {
        if !allowed(&tape, BatchAct::Retry)? {
            return tape.unchanged();
        }
        let before = tape.batch.clone();
        retry_counts::begin(&mut tape.batch, signer(), tape.now);
        let again = Requeue { generation: tape.batch.generation, attempt: 1, crashes: 0, not_before: 0 };
        let mut rest = Rest::of(request, tape.batch.rev);
        let taken = match &request.seqs {
            Some(seqs) => {
                rest = Rest { states: Vec::new(), ..rest };
                take_seqs(&mut tape, request, seqs, again).await?
            }
            None => rest.step(&mut tape, again).await?,
        };
        if taken == 0 {
            tape.batch = before;
            return tape.unchanged();
        }
        tape.renew_budget();
        if tape.state()?.is_finished() {
            // A clock that was set back meanwhile adds nothing.
            let rested = tape.batch.finished_at.map_or(0, |at| tape.now.saturating_sub(at).max(0));
            tape.batch.rested_ms += rested;
            tape.batch.finished_at = None;
            tape.batch.finished_steady = None;
            tape.batch.reason = None;
            tape.set_state(opened(&tape));
        }
        if !rest.is_done() {
            act_rows::begin(&mut tape, rest.print(), rest.after, taken).await?;
        }
        let tx = tape.tx;
        let change = tape.write().await?;
        let family = request.family.as_ref().map_or("", |family| family.0.as_str());
        self.sign(tx, "batch.retry", &change.batch.id.to_string(), family).await?;
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
    /// As it is stored.
    pub fn print(&self) -> String {
        serde_json::to_string(self).expect("what is left of a retry always prints")
    }

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
    pub async fn step(&mut self, tape: &mut Tape<'_>, again: Requeue) -> Result<usize, StoreError> {
        let (mut room, mut taken) = (STEP_ROWS, 0);
        while let Some(state) = self.states.first().copied().filter(|_state| room > 0) {
            // Each by its own index; `state <> 'succeeded'` is what the one of states is made for.
            let (index, which, value): (_, _, Value) = match &self.family {
                Some(family) => ("outcomes_family", "family = $2", family.0.clone().into()),
                None => ("outcomes_state", "state = $2 AND state <> 'succeeded'", state.as_str().into()),
            };
            let index = by_index(tape.tx, index);
            let text = format!(
                "{BARE} FROM outcomes{index} WHERE batch = $1 AND {which} AND first > $3 ORDER BY first LIMIT {}",
                room + 1
            );
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
                tape.take_again(row, again)?;
                taken += 1;
            }
            let files = format!("seq IN (SELECT first FROM outcomes{index} WHERE batch = $1 AND {chosen})");
            let leaving = Leaving { index: &index, which: &chosen, files: &files };
            tape.batch.left_bytes -= leaving.forget(tape.tx, &values).await?;
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
    again: Requeue,
) -> Result<usize, StoreError> {
    let chosen = choose(tape.tx, tape.batch.id, request, seqs).await?;
    let taken = chosen.len();
    let keys: Vec<i64> = chosen.iter().map(|(row, _parts)| row.first).collect();
    let named = in_keys(tape.tx, 2);
    let leaving = Leaving { index: "", which: &format!("first {named}"), files: &format!("seq {named}") };
    for keys in keys.chunks(LIST_MAX) {
        let values = [tape.batch.id.into(), list_value(keys)];
        tape.batch.left_bytes -= leaving.forget(tape.tx, &values).await?;
    }
    for (row, parts) in chosen {
        let mut kept_from = row.first;
        for part in parts {
            let (first, last) = (int(part.first), int(part.last));
            if kept_from < first {
                tape.keep(outcomes::Model { first: kept_from, last: first - 1, ..row.clone() });
            }
            tape.take_again(&outcomes::Model { first, last, ..row.clone() }, again)?;
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
    let seqs = Ranges::collect(seqs.iter().filter(|seq| **seq >= 1).map(|seq| SeqRange::one(*seq)));
    let text = meeting_any(tx, LIGHT, "outcomes", ENDS_WITHIN);
    let mut chosen: Vec<(outcomes::Model, Vec<SeqRange>)> = Vec::new();
    for asked in seqs.pairs().chunks(LIST_MAX) {
        let found: Vec<outcomes::Model> = all(tx, &text, vec![batch.into(), list_value(asked)]).await?;
        for row in found.into_iter().filter(takes) {
            // A long run is met by several ranges, of two lists perhaps.
            if chosen.last().is_some_and(|(last, _parts)| last.first == row.first) {
                continue;
            }
            let parts = seqs.within(SeqRange::new(count(row.first)?, count(row.last)?)).iter().collect();
            chosen.push((row, parts));
        }
    }
    Ok(chosen)
}

/// Which outcomes leave.
struct Leaving<'a> {
    /// Names the index by which they are found, where it must be named.
    index: &'a str,
    /// A condition on outcomes.
    which: &'a str,
    /// A condition on the files that they left.
    files: &'a str,
}

impl Leaving<'_> {
    /// Takes the outcomes away: into the history what is not there yet, files to the trash. The first of the values of
    /// the conditions is the batch. Answers the bytes of those files.
    async fn forget(&self, tx: &DatabaseTransaction, values: &[Value]) -> Result<i64, StoreError> {
        let Self { index, which, files } = self;
        let history = format!(
            "INSERT INTO attempts (batch, seq, generation, attempt, outcome, error, started_at, ended_at, node) \
             SELECT batch, first, generation, attempts, state, error, started_at, ended_at, node \
             FROM outcomes AS o{index} WHERE batch = $1 AND {which} AND first = last AND attempts > 0 AND NOT EXISTS \
             (SELECT 1 FROM attempts a WHERE a.batch = o.batch AND a.seq = o.first AND a.generation = o.generation \
              AND a.attempt >= o.attempts AND a.outcome <> 'released')"
        );
        let left = format!("FROM files WHERE batch = $1 AND side = 'output' AND {files}");
        let trash = format!("INSERT INTO trash (\"key\") SELECT \"key\" {left} ON CONFLICT DO NOTHING");
        let files = format!("DELETE {left} RETURNING bytes");
        let outcomes = format!("DELETE FROM outcomes{index} WHERE batch = $1 AND {which}");
        for text in [&history, &trash] {
            run(tx, text, values.to_vec()).await?;
        }
        let mut bytes = 0;
        for file in rows(tx, &files, values.to_vec()).await? {
            bytes += file.try_get_by_index::<i64>(0)?;
        }
        run(tx, &outcomes, values.to_vec()).await?;
        Ok(bytes)
    }
}
