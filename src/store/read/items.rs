//! Items: rows made from ranges, one per item, only for those that are looked at.
//!
//! All rows of an answer are of one snapshot. It is read in a number of statements that depends neither on how many items
//! there are nor on how far apart they lie; only blocks that are not in memory are read in several, some megabytes each.
//! What is committed nowhere, such as progress, is not known here.

use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::fault::Point;
use crate::protocol::{
    AttemptOutcome, AttemptRow, FamilyId, FileRow, InputKind, ItemRow, ItemState, Json, NodeId, Seq,
    Timestamp, limits,
};
use crate::store::Store;
use crate::store::backend::{all, count, found_for_each, int, list_value, small};
use crate::store::entity::{attempts, files, leases, outcomes, requeue};
use crate::store::error::StoreError;
use crate::store::records::{BatchRecord, ItemList, ItemRecord, SeqRange};
use crate::store::tape::{ENDS_WITHIN, Ranges, meeting_any, meets, to_record};

/// Revision of items that nothing has happened to: the batch's first.
const UNTOUCHED_REV: i64 = 1;

/// Leases of a batch, each with what is left and what has started.
pub type Leases = Vec<(leases::Model, Ranges, Ranges)>;

/// All that is stored about some items of one batch, in order of `first`.
struct Stretch {
    outcomes: Vec<outcomes::Model>,
    requeue: Vec<requeue::Model>,
    leases: Leases,
    files: Vec<files::Model>,
}

impl Stretch {
    async fn read(
        tx: &DatabaseTransaction,
        batch: i64,
        positions: &Ranges,
        leases: Leases,
    ) -> Result<Self, StoreError> {
        let values = || vec![batch.into(), list_value(&positions.pairs())];
        let meeting = |table: &str| meeting_any(tx, "found.*", table, ENDS_WITHIN);
        let mut outcomes: Vec<outcomes::Model> = all(tx, &meeting("outcomes"), values()).await?;
        outcomes.dedup_by_key(|row| row.first);
        let mut requeue: Vec<requeue::Model> = all(tx, &meeting("requeue"), values()).await?;
        requeue.dedup_by_key(|row| row.first);
        let left =
            "found.batch = $1 AND found.seq BETWEEN asked.first AND asked.last AND found.side = 'output'";
        let files =
            format!("SELECT found.* {} ORDER BY found.seq, found.name", found_for_each(tx, "files", left));
        Ok(Self { outcomes, requeue, leases, files: all(tx, &files, values()).await? })
    }

    /// The row of `seq`, without input.
    fn row(&self, seq: Seq) -> Result<ItemRow, StoreError> {
        let at = int(seq);
        let mut row = ItemRow {
            seq,
            state: ItemState::Pending,
            attempts: 0,
            input: Json::default(),
            progress: None,
            result: None,
            error: None,
            family: None,
            ms: None,
            node: None,
            files: Vec::new(),
            rev: count(UNTOUCHED_REV)?,
        };
        let found = self.outcomes.partition_point(|outcome| outcome.last < at);
        if let Some(outcome) = self.outcomes.get(found).filter(|outcome| outcome.first <= at) {
            self.ended(&mut row, outcome)?;
            return Ok(row);
        }
        let found = self.requeue.partition_point(|waiting| waiting.last < at);
        if let Some(waiting) = self.requeue.get(found).filter(|waiting| waiting.first <= at) {
            row.state = waits(waiting.attempt);
            row.attempts = small(waiting.attempt - 1)?;
            row.rev = count(waiting.rev)?;
            return Ok(row);
        }
        let one = SeqRange::one(seq);
        if let Some((lease, _left, started)) = self.leases.iter().find(|(_, left, _)| left.contains(one)) {
            row.state = waits(lease.attempt);
            row.attempts = small(lease.attempt - 1)?;
            row.rev = count(lease.rev)?;
            if started.contains(one) {
                row.state = ItemState::Running;
                row.attempts = small(lease.attempt)?;
                row.node = Some(NodeId(lease.node.clone()));
            }
        }
        Ok(row)
    }

    fn ended(&self, row: &mut ItemRow, outcome: &outcomes::Model) -> Result<(), StoreError> {
        row.state = ItemState::parse(&outcome.state)
            .ok_or_else(|| StoreError::Invariant(format!("an outcome is {:?}", outcome.state)))?;
        row.attempts = small(outcome.attempts)?;
        row.result = outcome.result.as_deref().map(stored_json).transpose()?;
        row.error.clone_from(&outcome.error);
        row.family = outcome.family.clone().map(FamilyId);
        row.ms = outcome.ms.map(count).transpose()?;
        row.node = outcome.node.clone().map(NodeId);
        row.rev = count(outcome.rev)?;
        let seq = int(row.seq);
        let from = self.files.partition_point(|file| file.seq < seq);
        for file in self.files[from..].iter().take_while(|file| file.seq == seq) {
            row.files.push(FileRow {
                name: file.name.clone(),
                bytes: count(file.bytes)?,
                media_type: file.media_type.clone(),
            });
        }
        Ok(())
    }
}

/// State of an item that waits for attempt `attempt`.
fn waits(attempt: i64) -> ItemState {
    if attempt >= 2 { ItemState::Retrying } else { ItemState::Pending }
}

fn stored_json(text: &str) -> Result<Json, StoreError> {
    Json::parse(text).map_err(|error| StoreError::Invariant(format!("stored JSON: {error}")))
}

/// All leases of a batch with what is left and started: as many as nodes hold, never as many as items.
pub async fn leases_of<C: ConnectionTrait>(connection: &C, batch: i64) -> Result<Leases, StoreError> {
    let rows: Vec<leases::Model> =
        all(connection, "SELECT * FROM leases WHERE batch = $1 ORDER BY first", vec![batch.into()]).await?;
    rows.into_iter()
        .map(|lease| {
            let (left, started) = (Ranges::parse(&lease.left)?, Ranges::parse(&lease.started)?);
            Ok((lease, left, started))
        })
        .collect()
}

/// What everybody sees of a stored input: of a file, neither key nor hash.
fn public_input(kind: InputKind, stored: &Json) -> Json {
    if kind != InputKind::File {
        return stored.clone();
    }
    let serde_json::Value::Object(mut members) = stored.to_value() else { return stored.clone() };
    members.retain(|name, _value| matches!(name.as_str(), "name" | "bytes" | "type"));
    Json::from_value(&members.into())
}

impl Store {
    /// Rows of `from..=to` that exist, with the `rev` they show.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the batch is gone; outages.
    pub async fn window(&self, batch: &BatchRecord, from: Seq, to: Seq) -> Result<ItemList, StoreError> {
        Point::WindowRead.pass()?;
        let tx = self.inner.backend.snapshot().await?;
        let now = to_record(&Self::row_by_key(&tx, batch.key).await?)?;
        let from = from.max(1);
        let to = to.min(now.total).min(from.saturating_add(limits::WINDOW_ITEMS_MAX - 1));
        let positions = Ranges::collect((from <= to).then(|| SeqRange::new(from, to)));
        let items = self.item_rows(&tx, &now, &positions).await?;
        tx.rollback().await?;
        Ok(ItemList {
            items,
            ended_at: Vec::new(),
            family_message: None,
            next: None,
            searched_to: None,
            rev: now.rev,
        })
    }

    /// Rows of positions, in order.
    pub async fn item_rows(
        &self,
        tx: &DatabaseTransaction,
        batch: &BatchRecord,
        positions: &Ranges,
    ) -> Result<Vec<ItemRecord>, StoreError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let leases = leases_of(tx, batch.key).await?;
        let stretch = Stretch::read(tx, batch.key, positions, leases).await?;
        let inputs = self.inputs_by(tx, batch, positions).await?;
        let mut items = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut row = stretch.row(input.seq)?;
            row.input = public_input(batch.input, &input.json);
            items.push(ItemRecord { row, history: Vec::new(), log: String::new(), stored_input: input.json });
        }
        Ok(items)
    }

    /// One item with its attempts and log.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such item; outages.
    pub async fn item(&self, batch: &BatchRecord, seq: Seq) -> Result<ItemRecord, StoreError> {
        let tx = self.inner.backend.snapshot().await?;
        let now = to_record(&Self::row_by_key(&tx, batch.key).await?)?;
        if seq < 1 || seq > now.total {
            return Err(StoreError::NotFound("item"));
        }
        let mut rows = self.item_rows(&tx, &now, &Ranges::one(SeqRange::one(seq))).await?;
        let mut item = rows.pop().ok_or(StoreError::NotFound("item"))?;
        let key = vec![batch.key.into(), int(seq).into()];
        let rows: Vec<attempts::Model> =
            all(&tx, "SELECT * FROM attempts WHERE batch = $1 AND seq = $2 ORDER BY generation, id", key)
                .await?;
        let ended = format!("SELECT * FROM outcomes WHERE {}", meets("outcomes"));
        let ended: Vec<outcomes::Model> =
            all(&tx, &ended, vec![batch.key.into(), int(seq).into(), int(seq).into()]).await?;
        tx.rollback().await?;
        let ended = ended.first();
        // A quick last attempt has no row and no log; the log of an earlier one is not its log.
        let is_last = |attempt: &&attempts::Model| {
            ended.is_none_or(|end| (attempt.generation, attempt.attempt) >= (end.generation, end.attempts))
        };
        let log = rows.last().filter(is_last).and_then(|attempt| attempt.log.clone());
        item.log = log.unwrap_or_default();
        item.history = rows.iter().map(to_attempt).collect::<Result<_, _>>()?;
        if let Some(last) = ended {
            item.history.extend(last_attempt(last, &rows)?);
        }
        Ok(item)
    }
}

fn to_attempt(row: &attempts::Model) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        attempt: small(row.attempt)?,
        generation: small(row.generation)?,
        outcome: AttemptOutcome::parse(&row.outcome)
            .ok_or_else(|| StoreError::Invariant(format!("an attempt is {:?}", row.outcome)))?,
        started_at: row.started_at.map(Timestamp),
        ended_at: row.ended_at.map(Timestamp),
        error: row.error.clone(),
        node: row.node.clone().map(NodeId),
    })
}

/// The attempt that ended the item, where no row of its own was worth it: it is told by the outcome.
fn last_attempt(
    outcome: &outcomes::Model,
    rows: &[attempts::Model],
) -> Result<Option<AttemptRow>, StoreError> {
    let recorded = rows.iter().any(|row| {
        row.generation == outcome.generation && row.attempt >= outcome.attempts && row.outcome != "released"
    });
    let state = ItemState::parse(&outcome.state);
    let told = match state {
        Some(ItemState::Succeeded) => AttemptOutcome::Succeeded,
        Some(ItemState::Failed) => AttemptOutcome::Failed,
        _ => return Ok(None),
    };
    if recorded || outcome.attempts < 1 {
        return Ok(None);
    }
    let (ended_at, ms) =
        (outcome.started_at.zip(outcome.ms).map(|(at, ms)| at.saturating_add(ms)), outcome.ms);
    Ok(Some(AttemptRow {
        attempt: small(outcome.attempts)?,
        generation: small(outcome.generation)?,
        outcome: told,
        started_at: outcome.started_at.map(Timestamp),
        ended_at: ended_at.or(ms.is_none().then_some(outcome.ended_at)).map(Timestamp),
        error: outcome.error.clone(),
        node: outcome.node.clone().map(NodeId),
    }))
}
