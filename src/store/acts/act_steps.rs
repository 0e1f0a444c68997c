//! Acts over many items, in steps: each a transaction of bounded size, so that others get their turn in between.
//!
//! While a batch has an act it does not end; every step leaves counters that are true, and takes the batch's row first,
//! so two nodes may step the same act and a process may die between any two.
//!
//! A cancel needs no row: the state `cancelling` with something in the requeue says that there is more to do.

use super::act_rows::{ActRow, RETRY, cancel_waiting};
use super::retry::Rest;
use crate::fault::Point;
use crate::protocol::BatchState;
use crate::store::Store;
use crate::store::backend::{int, one, rows, run};
use crate::store::error::StoreError;
use crate::store::records::{BatchChange, BatchKey};
use crate::store::tape::{Requeue, Tape};

/// Batches with something to step, at most so many at once.
const UNDER_WAY: &str = "SELECT id FROM batches b WHERE finished_at IS NULL AND NOT deleted AND (acts > 0 \
     OR (state = 'cancelling' AND EXISTS (SELECT 1 FROM requeue r WHERE r.batch = b.id))) ORDER BY id LIMIT 64";

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
    let again = Requeue { generation: row.generation, attempt: 1, crashes: 0, not_before: 0 };
    let taken = rest.step(tape, again).await?;
    if rest.is_done() {
        run(tape.tx, "DELETE FROM acts WHERE id = $1", vec![row.id.into()]).await?;
        tape.batch.acts -= 1;
        return Ok(true);
    }
    let text = "UPDATE acts SET request = $2, after = $3, done = $4 WHERE id = $1";
    let done = row.done + int(taken as u64);
    let values = vec![row.id.into(), rest.print().into(), rest.after.into(), done.into()];
    run(tape.tx, text, values).await?;
    Ok(true)
}
