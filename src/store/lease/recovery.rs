//! Takes back leases that nodes held that are gone.
//!
//! Items in slots spend an attempt, the others do not; two nodes that recover the same lease at once do it once. Who is gone
//! is decided by [`Store::expel`].

use sea_orm::DatabaseTransaction;

use super::record::cancel;
use super::retry_policy::RetryPolicy;
use crate::fault::Point;
use crate::protocol::{AttemptOutcome, BatchState, ItemState, Options, Seq, Timestamp};
use crate::store::Store;
use crate::store::backend::{Durability, all, int, rows, run};
use crate::store::entity::leases;
use crate::store::error::StoreError;
use crate::store::records::{AttemptRecord, BatchChange, BatchKey, SeqRange};
use crate::store::tape::{Ranges, Requeue, Tape};

/// Family of items whose last attempt was lost: its id and its message.
pub const LOST: (&str, &str) = ("lost", "The node or process went away while the item ran");
/// Family of items that were set aside: its id and its message.
pub const POISON: (&str, &str) =
    ("poison", "Set aside: the node or process went away each time the item ran");

/// Whose leases are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReclaimScope {
    /// All: nobody else works on this database.
    All,
    /// Those of nodes that are down or forgotten.
    Gone,
}

impl ReclaimScope {
    /// Which leases `l` that are.
    fn condition(self) -> &'static str {
        match self {
            Self::All => "TRUE",
            Self::Gone => "NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = l.node AND n.state <> 'down')",
        }
    }
}

impl Store {
    /// Takes back leases: items in `started` spend an attempt (`lost`), the rest does not.
    ///
    /// # Errors
    /// Outages; what was committed before one stays.
    pub async fn reclaim(
        &self,
        whose: ReclaimScope,
        policy: RetryPolicy,
    ) -> Result<Vec<BatchChange>, StoreError> {
        let text = format!("SELECT DISTINCT batch FROM leases l WHERE {} ORDER BY batch", whose.condition());
        let found = rows(self.inner.backend.reader(), &text, vec![]).await?;
        let mut changes = Vec::with_capacity(found.len());
        for row in found {
            changes.extend(self.reclaim_batch(row.try_get_by_index(0)?, whose, policy).await?);
        }
        Ok(changes)
    }

    async fn reclaim_batch(
        &self,
        batch: i64,
        whose: ReclaimScope,
        policy: RetryPolicy,
    ) -> Result<Option<BatchChange>, StoreError> {
        let tx = self.inner.backend.write().await?;
        let mut tape = match Tape::lock(&tx, batch, self.moment()).await {
            Ok(tape) => tape,
            Err(StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Read again under the lock: another node may have been quicker.
        let text =
            format!("SELECT * FROM leases l WHERE batch = $1 AND {} ORDER BY first", whose.condition());
        let held: Vec<leases::Model> = all(&tx, &text, vec![batch.into()]).await?;
        if held.is_empty() {
            return Ok(None);
        }
        let policy = policy_of(&tape, policy)?;
        for lease in &held {
            take_back(&mut tape, lease, &policy).await?;
        }
        let change = tape.write().await?;
        self.finish(tx, std::slice::from_ref(&change)).await?;
        Point::ReclaimBetween.pass()?;
        Ok(Some(change))
    }

    /// Batches whose items were coming in through a node that is gone.
    ///
    /// # Errors
    /// Outages.
    pub async fn intakes_of_the_gone(&self) -> Result<Vec<BatchKey>, StoreError> {
        let text = "SELECT id FROM batches b WHERE intake_node IS NOT NULL AND NOT sealed AND NOT deleted AND \
             NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = b.intake_node AND n.state <> 'down') ORDER BY id";
        let found = rows(self.inner.backend.reader(), text, vec![]).await?;
        found.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
    }

    /// Nothing waits longer than the longest delay before its attempt, whatever the clock said when it was recorded: for
    /// a start, before which it may have been set unseen.
    ///
    /// # Errors
    /// Outages.
    pub async fn clamp_due(&self, policy: RetryPolicy) -> Result<(), StoreError> {
        let latest = "SELECT batch, attempt, MAX(not_before) FROM requeue WHERE not_before > $1 GROUP BY batch, attempt \
             ORDER BY batch, attempt";
        let now = self.moment();
        for row in rows(self.inner.backend.reader(), latest, vec![now.steady.0.into()]).await? {
            let (batch, attempt): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let not_before: i64 = row.try_get_by_index(2)?;
            let tx = self.inner.backend.write().await?;
            let tape = match Tape::lock(&tx, batch, now).await {
                Ok(tape) => tape,
                Err(StoreError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let before = u32::try_from(attempt - 1).unwrap_or(0);
            let longest = policy_of(&tape, policy)?.longest_ms(before);
            let bound = now.steady.0.saturating_add(int(longest));
            if not_before > bound {
                clamp(&tx, batch, attempt, bound).await?;
                self.inner.backend.commit(tx, Durability::Process).await?;
            }
        }
        Ok(())
    }
}

async fn clamp(tx: &DatabaseTransaction, batch: i64, attempt: i64, bound: i64) -> Result<(), StoreError> {
    let text = "UPDATE requeue SET not_before = $3 WHERE batch = $1 AND attempt = $2 AND not_before > $3";
    run(tx, text, vec![batch.into(), attempt.into(), bound.into()]).await?;
    Ok(())
}

/// `policy`, and what the batch says beside it.
fn policy_of(tape: &Tape<'_>, policy: RetryPolicy) -> Result<RetryPolicy, StoreError> {
    let options: Options = serde_json::from_str(&tape.batch.options)
        .map_err(|error| StoreError::Invariant(format!("options of batch {}: {error}", tape.batch.id)))?;
    Ok(policy.with(&options))
}

async fn take_back(
    tape: &mut Tape<'_>,
    lease: &leases::Model,
    policy: &RetryPolicy,
) -> Result<(), StoreError> {
    let (left, started) = (Ranges::parse(&lease.left)?, Ranges::parse(&lease.started)?);
    let cancelling = tape.state()? == BatchState::Cancelling;
    run(tape.tx, "DELETE FROM leases WHERE id = $1", vec![lease.id.into()]).await?;
    let running = int(started.count());
    tape.batch.running -= running;
    if lease.attempt >= 2 {
        tape.batch.retrying -= int(left.count()) - running;
    }
    for seq in started.iter().flat_map(|range| range.first..=range.last) {
        lose(tape, lease, seq, policy, cancelling)?;
    }
    for range in left.without(&started).iter() {
        if cancelling {
            cancel(tape, range, lease.generation, lease.attempt - 1)?;
            continue;
        }
        let again = Requeue {
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
    policy: &RetryPolicy,
    cancelling: bool,
) -> Result<(), StoreError> {
    let attempt = crate::store::backend::small(lease.attempt)?;
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
    let end = if policy.is_last(attempt) {
        Some(LOST)
    } else if RetryPolicy::is_poison(attempt, crate::store::backend::small(crashes)?) {
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
    let not_before = policy.not_before(attempt, Timestamp(tape.steady), rand::random()).0;
    tape.again(
        range,
        Requeue { generation: lease.generation, attempt: lease.attempt + 1, crashes, not_before },
    );
    Ok(())
}
