//! Which batch is next: those that are ready, in the order in which claims choose.
//!
//! Locks nothing: the claim that takes one looks at it again under its lock.

use std::fmt::Write as _;

use sea_orm::ConnectionTrait;

use crate::protocol::Timestamp;
use crate::store::Store;
use crate::store::backend::{by_index, in_texts, list_value, rows};
use crate::store::error::StoreError;
use crate::store::records::BatchKey;

/// Tasks of whose batches a node may take work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnableTasks {
    /// All of them, known here or not.
    Any,
    /// Those of these names.
    Named(Vec<String>),
}

/// Batches `b` that a claim would be granted something of, at the steady time `$1`: the conditions of `grant` and
/// `pick`, so that none is locked in vain but one that has changed since. `$2` is when a clock is too far ahead.
const READY: &str = "b.state IN ('pending', 'running') AND NOT b.deleted \
     AND ((b.next_seq <= b.total AND (b.try_first IS NULL OR b.next_seq <= b.try_first)) \
     OR EXISTS (SELECT 1 FROM requeue r WHERE r.batch = b.id AND r.not_before <= $1)) \
     AND (b.rate_due IS NULL OR b.rate_due <= $1 OR b.rate_at > $2) \
     AND (b.concurrency IS NULL OR b.concurrency > (SELECT COALESCE(SUM(l.slots), 0) FROM leases l WHERE l.batch = b.id))";

/// Batches found by one query of a claim.
pub const CANDIDATES: usize = 16;
/// Steady clocks of two nodes are less than this apart, in ms: both are the database's, seen through an answer's way.
pub const CLOCKS_APART_MS: i64 = 1_000;

/// A batch in the order in which claims choose: priority, when it was last served, key.
pub type TurnPosition = (i64, i64, i64);

/// The first [`CANDIDATES`] batches after a place that are ready and of these tasks.
pub async fn candidates<C: ConnectionTrait>(
    connection: &C,
    now: Timestamp,
    tasks: &RunnableTasks,
    after: TurnPosition,
) -> Result<Vec<TurnPosition>, StoreError> {
    let mut values = vec![
        now.0.into(),
        now.plus_ms(CLOCKS_APART_MS).0.into(),
        after.0.into(),
        after.1.into(),
        after.2.into(),
    ];
    let mut text = format!(
        "SELECT b.priority, b.served, b.id FROM batches AS b{} WHERE {READY} \
         AND (b.priority < $3 OR (b.priority = $3 AND (b.served > $4 OR (b.served = $4 AND b.id > $5))))",
        by_index(connection, "batches_turn")
    );
    if let RunnableTasks::Named(names) = tasks {
        values.push(list_value(names));
        write!(text, " AND b.task {}", in_texts(connection, 6)).expect("writing to a text never fails");
    }
    write!(text, " ORDER BY b.priority DESC, b.served, b.id LIMIT {CANDIDATES}")
        .expect("writing to a text never fails");
    let found = rows(connection, &text, values).await?;
    found
        .iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?)))
        .collect()
}

/// Before all batches.
pub const BEFORE_ALL: TurnPosition = (i64::MAX, -1, 0);

impl Store {
    /// The batch that a claim for these tasks would look at first, if one is ready. Locks nothing: the claim decides.
    ///
    /// # Errors
    /// Outages.
    pub async fn next_batch(&self, tasks: &RunnableTasks) -> Result<Option<BatchKey>, StoreError> {
        let found = candidates(self.inner.backend.reader(), self.steady(), tasks, BEFORE_ALL).await?;
        Ok(found.first().map(|(_priority, _served, batch)| *batch))
    }
}
