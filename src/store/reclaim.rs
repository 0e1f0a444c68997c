//! Reclaim: what nodes held that are gone.
//!
//! Owns the end of leases that nobody will report. Called by the engine at start and when a node stops beating.
//! Invariant: items in slots spend an attempt, the others do not. Deliberately does not decide who is gone.

use super::Store;
use super::backend::{all, int, run};
use super::entity::leases;
use super::error::StoreError;
use super::ranges::Ranges;
use super::record::cancel;
use super::records::{AttemptRecord, BatchChange, RetryPolicy, SeqRange};
use super::tape::{Again, Tape};
use crate::protocol::{AttemptOutcome, BatchState, ItemState, NodeId, Options, Seq, Timestamp};

/// Family of items whose last attempt was lost.
const LOST: (&str, &str) = ("lost", "The node or process went away while the item ran");
/// Family of items that were set aside.
const POISON: (&str, &str) = ("poison", "Set aside: the node or process went away each time the item ran");

/// Bounds of one batch.
struct Bounds {
    attempts_max: i64,
    crashes_max: i64,
    base_ms: u64,
    most_ms: u64,
}

impl Store {
    /// Takes back every lease of nodes that are gone: items in `started` spend an attempt (`lost`), the rest does not.
    /// `alive` are never touched. At start on SQLite: `alive` empty.
    ///
    /// # Errors
    /// Outages; what was committed before one stays.
    pub async fn reclaim(
        &self,
        alive: &[NodeId],
        policy: RetryPolicy,
    ) -> Result<Vec<BatchChange>, StoreError> {
        let gone = |lease: &leases::Model| !alive.iter().any(|node| node.0 == lease.node);
        let held: Vec<leases::Model> =
            all(self.inner.backend.reader(), "SELECT * FROM leases ORDER BY batch", vec![]).await?;
        let mut keys: Vec<i64> = held.iter().filter(|lease| gone(lease)).map(|lease| lease.batch).collect();
        keys.dedup();
        let mut changes = Vec::with_capacity(keys.len());
        for batch in keys {
            let tx = self.inner.backend.write().await?;
            let text = "SELECT * FROM leases WHERE batch = $1 ORDER BY first";
            let held: Vec<leases::Model> = all(&tx, text, vec![batch.into()]).await?;
            let mut tape = Tape::lock(&tx, batch, self.now()).await?;
            let bounds = Bounds::of(&tape, policy)?;
            for lease in held.iter().filter(|lease| gone(lease)) {
                take_back(&mut tape, lease, &bounds).await?;
            }
            let change = [tape.write().await?];
            self.finish(tx, &change).await?;
            changes.extend(change);
        }
        Ok(changes)
    }
}

impl Bounds {
    fn of(tape: &Tape<'_>, policy: RetryPolicy) -> Result<Self, StoreError> {
        let options: Options = serde_json::from_str(&tape.batch.options)
            .map_err(|error| StoreError::Invariant(format!("options of batch {}: {error}", tape.batch.id)))?;
        Ok(Self {
            attempts_max: i64::from(options.attempts_max.unwrap_or(policy.attempts_max)),
            crashes_max: i64::from(policy.crashes_max),
            base_ms: options.retry_base_ms.unwrap_or(policy.base_ms),
            most_ms: options.retry_max_ms.unwrap_or(policy.max_ms),
        })
    }

    /// Between half and all of base × 2^(attempt-1), at most the longest.
    fn delay_ms(&self, attempt: i64) -> i64 {
        let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(40);
        let whole = self.base_ms.saturating_mul(1 << doublings).min(self.most_ms);
        int(rand::random_range(whole / 2..=whole))
    }
}

async fn take_back(tape: &mut Tape<'_>, lease: &leases::Model, bounds: &Bounds) -> Result<(), StoreError> {
    let (left, started) = (Ranges::parse(&lease.left)?, Ranges::parse(&lease.started)?);
    let cancelling = tape.state()? == BatchState::Cancelling;
    run(tape.tx, "DELETE FROM leases WHERE id = $1", vec![lease.id.into()]).await?;
    let running = int(started.count());
    tape.batch.running -= running;
    if lease.attempt >= 2 {
        tape.batch.retrying -= int(left.count()) - running;
    }
    for seq in started.iter().flat_map(|range| range.first..=range.last) {
        lose(tape, lease, seq, bounds, cancelling)?;
    }
    for range in left.without(&started).iter() {
        if cancelling {
            cancel(tape, range, lease.generation, lease.attempt - 1)?;
            continue;
        }
        let again = Again {
            generation: lease.generation,
            attempt: lease.attempt,
            crashes: lease.crashes + 1,
            not_before: 0,
        };
        tape.again(range, again);
    }
    Ok(())
}

/// An item was in a slot: its attempt is lost, and it gets another one or ends.
fn lose(
    tape: &mut Tape<'_>,
    lease: &leases::Model,
    seq: Seq,
    bounds: &Bounds,
    cancelling: bool,
) -> Result<(), StoreError> {
    let attempt = super::backend::small(lease.attempt)?;
    let lost = AttemptRecord {
        seq,
        attempt,
        outcome: AttemptOutcome::Lost,
        error: Some(LOST.1.to_owned()),
        log: None,
        // When it started is known to nobody who is left.
        started_at: Timestamp(tape.now),
        ended_at: Timestamp(tape.now),
    };
    tape.attempt(&lost, lease.generation, Some(&lease.node));
    let range = SeqRange::one(seq);
    if cancelling {
        return cancel(tape, range, lease.generation, lease.attempt);
    }
    let crashes = lease.crashes + 1;
    let end = if lease.attempt >= bounds.attempts_max {
        Some(LOST)
    } else if crashes >= bounds.crashes_max && lease.attempt >= 2 {
        // Crashes count for a whole range: an item that has been in a slot but once is a suspect, not proven.
        Some(POISON)
    } else {
        None
    };
    if let Some((family, message)) = end {
        let mut row = tape.plain(range, lease.generation, ItemState::Failed, lease.attempt);
        row.error = Some(message.to_owned());
        row.family = Some(family.to_owned());
        row.node = Some(lease.node.clone());
        return tape.end(row, Some(message));
    }
    let not_before = tape.now.saturating_add(bounds.delay_ms(lease.attempt));
    tape.again(
        range,
        Again { generation: lease.generation, attempt: lease.attempt + 1, crashes, not_before },
    );
    Ok(())
}
