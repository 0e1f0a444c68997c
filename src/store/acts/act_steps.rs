//! Acts over many items, in steps: each a transaction of bounded size, so that others get their turn in between.
//!
//! Owns the rows of `acts` and the steps of a cancel. Called by retry and cancel, which take the first step, and by the
//! engine for all others. Invariant: while a batch has an act it does not end; every step leaves counters that are
//! true, and takes the batch's row first, so two nodes may step the same act and a process may die between any two.
//! Deliberately does not know who steps or when.
//!
//! A cancel needs no row: the state `cancelling` with something in the requeue says that there is more to do.

use sea_orm::FromQueryResult;

use super::retry::Rest;
use crate::fault::Point;
use crate::protocol::BatchState;
use crate::store::Store;
use crate::store::backend::{self, count, int, one, rows, run};
use crate::store::entity::requeue;
use crate::store::error::StoreError;
use crate::store::lease::cancel;
use crate::store::records::{BatchChange, BatchKey, SeqRange};
use crate::store::tape::{Again, Tape};

/// Rows that one step looks at: so few that whoever acts meanwhile is answered well within a second. Fewer still in
/// tests, so that they take steps.
pub const STEP_ROWS: usize = if cfg!(test) { 4 } else { 5_000 };

/// Batches with something to step, at most so many at once.
const UNDER_WAY: &str = "SELECT id FROM batches b WHERE finished_at IS NULL AND NOT deleted AND (acts > 0 \
     OR (state = 'cancelling' AND EXISTS (SELECT 1 FROM requeue r WHERE r.batch = b.id))) ORDER BY id LIMIT 64";

/// A row of `acts`.
#[derive(FromQueryResult)]
struct ActRow {
    id: i64,
    kind: String,
    request: String,
    generation: i64,
    after: i64,
    done: i64,
}

/// The one kind of act so far.
const RETRY: &str = "retry";

/// Writes the row of a retry whose first step was taken.
pub async fn begin(tape: &mut Tape<'_>, rest: &Rest, taken: usize) -> Result<(), StoreError> {
    let text = "INSERT INTO acts (batch, kind, request, generation, after, done, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = vec![
        tape.batch.id.into(),
        RETRY.into(),
        print(rest).into(),
        tape.batch.generation.into(),
        rest.after.into(),
        int(taken as u64).into(),
        tape.now.into(),
    ];
    run(tape.tx, text, values).await?;
    tape.batch.acts += 1;
    Ok(())
}

/// Ends all acts of a batch where they are.
pub async fn end_all(tape: &mut Tape<'_>) -> Result<(), StoreError> {
    if tape.batch.acts > 0 {
        run(tape.tx, "DELETE FROM acts WHERE batch = $1", vec![tape.batch.id.into()]).await?;
        tape.batch.acts = 0;
    }
    Ok(())
}

/// Ends the first of the waiting rows as cancelled. How many.
pub async fn cancel_waiting(tape: &mut Tape<'_>) -> Result<usize, StoreError> {
    let batch = tape.batch.id;
    let text = format!("SELECT * FROM requeue WHERE batch = $1 ORDER BY first LIMIT {STEP_ROWS}");
    let waiting: Vec<requeue::Model> = backend::all(tape.tx, &text, vec![batch.into()]).await?;
    let Some(last) = waiting.last() else { return Ok(0) };
    let text = "DELETE FROM requeue WHERE batch = $1 AND first <= $2";
    run(tape.tx, text, vec![batch.into(), last.first.into()]).await?;
    for row in &waiting {
        let range = SeqRange::new(count(row.first)?, count(row.last)?);
        if row.attempt >= 2 {
            tape.batch.retrying -= row.last - row.first + 1;
        }
        cancel(tape, range, row.generation, row.attempt - 1)?;
    }
    Ok(waiting.len())
}

fn print(rest: &Rest) -> String {
    serde_json::to_string(rest).expect("what is left of a retry always prints")
}

impl Store {
    /// Batches with an act that is not at its end.
    ///
    /// # Errors
    /// Outages.
    pub async fn acts_under_way(&self) -> Result<Vec<BatchKey>, StoreError> {
        let found = rows(self.inner.backend.reader(), UNDER_WAY, vec![]).await?;
        Ok(found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// Takes the next step of an act on a batch; none where there is nothing (more) to do.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] for a row that cannot be; outages.
    pub async fn act_step(&self, batch: BatchKey) -> Result<Option<BatchChange>, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = match Tape::lock(&tx, batch, self.moment()).await {
            Ok(tape) => tape,
            Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stepped = if tape.state()? == BatchState::Cancelling {
            cancel_waiting(&mut tape).await? > 0
        } else {
            step_first(&mut tape).await?
        };
        if !stepped {
            return Ok(None);
        }
        let change = [tape.write().await?];
        self.finish(tx, &change).await?;
        Point::ActBetween.visit();
        let [change] = change;
        Ok(Some(change))
    }
}

/// Takes a step of the oldest act of the batch; false where it has none.
async fn step_first(tape: &mut Tape<'_>) -> Result<bool, StoreError> {
    if tape.batch.acts == 0 {
        return Ok(false);
    }
    let text = "SELECT * FROM acts WHERE batch = $1 ORDER BY id LIMIT 1";
    let row: Option<ActRow> = one(tape.tx, text, vec![tape.batch.id.into()]).await?;
    let Some(row) = row.filter(|row| row.kind == RETRY) else {
        let (batch, acts) = (tape.batch.id, tape.batch.acts);
        return Err(StoreError::Invariant(format!(
            "batch {batch} counts {acts} acts, and none can be stepped"
        )));
    };
    let broken = |error| StoreError::Invariant(format!("act {} is not readable: {error}", row.id));
    let mut rest: Rest = serde_json::from_str(&row.request).map_err(broken)?;
    rest.after = row.after;
    let again = Again { generation: row.generation, attempt: 1, crashes: 0, not_before: 0 };
    let taken = rest.step(tape, again).await?;
    if rest.is_done() {
        run(tape.tx, "DELETE FROM acts WHERE id = $1", vec![row.id.into()]).await?;
        tape.batch.acts -= 1;
        return Ok(true);
    }
    let text = "UPDATE acts SET request = $2, after = $3, done = $4 WHERE id = $1";
    let done = row.done + int(taken as u64);
    let values = vec![row.id.into(), print(&rest).into(), rest.after.into(), done.into()];
    run(tape.tx, text, values).await?;
    Ok(true)
}
