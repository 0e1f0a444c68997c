//! The rows of acts that are under way, and what one step of a cancel takes.

use sea_orm::FromQueryResult;

use crate::store::backend::{self, count, int, run};
use crate::store::entity::requeue;
use crate::store::error::StoreError;
use crate::store::lease::cancel;
use crate::store::records::SeqRange;
use crate::store::tape::Tape;

/// Rows that one step looks at: so few that whoever acts meanwhile is answered well within a second. Fewer still in
/// tests, so that they take steps.
pub const STEP_ROWS: usize = if cfg!(test) { 4 } else { 5_000 };

/// A row of `acts`.
#[derive(FromQueryResult)]
pub struct ActRow {
    pub id: i64,
    pub kind: String,
    pub request: String,
    pub generation: i64,
    pub after: i64,
    pub done: i64,
}

/// The one kind of act so far.
pub const RETRY: &str = "retry";

/// Writes the row of a retry whose first step was taken.
pub async fn begin(tape: &mut Tape<'_>, request: String, after: i64, taken: usize) -> Result<(), StoreError> {
    let text = "INSERT INTO acts (batch, kind, request, generation, after, done, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = vec![
        tape.batch.id.into(),
        RETRY.into(),
        request.into(),
        tape.batch.generation.into(),
        after.into(),
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
