//! Deliveries: lists, claims, what came of an attempt, asking for one again, and the end of their keep.

use sea_orm::Value;

use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{
    BatchId, DeliveryAttempt, DeliveryDetail, DeliveryId, DeliveryState, Timestamp, WebhookDelivery,
};
use crate::store::backend::{Durability, all, count, in_keys, list_value, number, one, rows, run};
use crate::store::entity::{deliveries, delivery_attempts};
use crate::store::error::StoreError;
use crate::store::{Store, Viewer};

/// For so long nobody else sends what somebody has claimed: longer than an attempt takes.
const CLAIM_MS: i64 = 60_000;
/// Attempts of one delivery that are shown.
const HISTORY_ROWS_MAX: usize = 100;
/// Deliveries that are deleted in one transaction.
const DELETED_MAX: i64 = 500;

/// Which deliveries to list.
#[derive(Clone, Debug)]
pub struct DeliveryFilter {
    /// Who asks: others' are not found.
    pub viewer: Viewer,
    /// Of this batch only.
    pub batch: Option<BatchId>,
    /// In this state only.
    pub state: Option<DeliveryState>,
    /// Those before this key.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// One page of deliveries.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryList {
    /// Newest first.
    pub deliveries: Vec<WebhookDelivery>,
    /// Key of the last, where there are more.
    pub next: Option<i64>,
}

/// A message that is to be sent now, by whoever claimed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedDelivery {
    key: i64,
    /// Until when nobody else sends it: names this claim.
    until: i64,
    /// Attempts so far.
    attempts: i64,
    /// Its `webhook-id`.
    pub id: DeliveryId,
    /// Who the batch belongs to.
    pub owner: String,
    /// Where it goes.
    pub url: String,
    /// What is sent.
    pub payload: String,
    /// Attempts since it was last asked for, before this one.
    pub tries: u32,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Delivered,
    /// It is given up.
    Failed,
    /// It is given up, and so are all others of the same owner that wait for the same address: nobody is there any more.
    Gone,
    /// It is sent again after so many milliseconds.
    Again(u64),
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub ms: u64,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
    /// Beginning of the answer.
    pub answer: Option<String>,
    /// What becomes of it.
    pub next: Next,
}

/// Those that are due, for one claim. Of two who claim at once, one waits for the other's commit and then finds that they
/// are not due any more.
const CLAIM: &str = "UPDATE deliveries SET due = $2, claimed = TRUE WHERE due <= $1 AND id IN \
     (SELECT id FROM deliveries WHERE due <= $1 ORDER BY due LIMIT $3) RETURNING *";
const ANY_DUE: &str = "SELECT id FROM deliveries WHERE due <= $1 LIMIT 1";
const RECORD: &str = "UPDATE deliveries SET state = $3, attempts = attempts + 1, tries = tries + 1, due = $4, claimed = FALSE, \
     ended_at = $5, status = $6, error = $7 WHERE id = $1 AND due = $2";
const INSERT_ATTEMPT: &str = "INSERT INTO delivery_attempts (delivery, number, started_at, ms, status, error, answer) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (delivery, number) DO NOTHING";
const GIVE_UP_SAME: &str = "UPDATE deliveries SET state = 'failed', due = NULL, claimed = FALSE, ended_at = $3, error = $4 \
     WHERE owner = $1 AND url = $2 AND state = 'waiting'";
const AGAIN: &str = "UPDATE deliveries SET state = 'waiting', tries = 0, due = $2, ended_at = NULL \
     WHERE message = $1 AND (state <> 'waiting' OR (due > $2 AND NOT claimed))";

impl Store {
    /// Newest first, at most `limit`.
    ///
    /// # Errors
    /// Outages.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<DeliveryList, StoreError> {
        let limit = filter.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let mut values: Vec<Value> = vec![
            filter.before.unwrap_or(i64::MAX).into(),
            i64::try_from(limit + 1).expect("a page is small").into(),
        ];
        let mut text = "SELECT * FROM deliveries WHERE id < $1".to_owned();
        let mut also = |column: &str, value: Value| {
            values.push(value);
            text.push_str(&format!(" AND {column} = ${}", values.len()));
        };
        if !filter.viewer.sees_all {
            also("owner", filter.viewer.name.clone().into());
        }
        if let Some(batch) = filter.batch {
            also("batch", batch.to_string().into());
        }
        if let Some(state) = filter.state {
            also("state", state.as_str().into());
        }
        text.push_str(" ORDER BY id DESC LIMIT $2");
        let found: Vec<deliveries::Model> = all(self.inner.backend.reader(), &text, values).await?;
        let next = (found.len() > limit).then(|| found[limit - 1].id);
        let deliveries =
            found.iter().take(limit).map(|row| self.to_delivery(row)).collect::<Result<_, _>>()?;
        Ok(DeliveryList { deliveries, next })
    }

    /// One delivery, without its attempts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<WebhookDelivery, StoreError> {
        self.to_delivery(&self.delivery_row(id).await?)
    }

    /// One delivery with what it sends and its last attempts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn delivery_detail(&self, id: &DeliveryId) -> Result<DeliveryDetail, StoreError> {
        let row = self.delivery_row(id).await?;
        let text = format!(
            "SELECT * FROM delivery_attempts WHERE delivery = $1 ORDER BY number DESC LIMIT {HISTORY_ROWS_MAX}"
        );
        let mut attempts: Vec<delivery_attempts::Model> =
            all(self.inner.backend.reader(), &text, vec![row.id.into()]).await?;
        attempts.reverse();
        Ok(DeliveryDetail {
            delivery: self.to_delivery(&row)?,
            history: attempts.into_iter().map(to_attempt).collect::<Result<_, _>>()?,
            payload: row.payload,
        })
    }

    async fn delivery_row(&self, id: &DeliveryId) -> Result<deliveries::Model, StoreError> {
        let text = "SELECT * FROM deliveries WHERE message = $1";
        let row = one(self.inner.backend.reader(), text, vec![id.0.clone().into()]).await?;
        row.ok_or(StoreError::NotFound("delivery"))
    }

    /// Deliveries of `owner` that wait, counted up to `most`.
    ///
    /// # Errors
    /// Outages.
    pub async fn waiting_deliveries(&self, owner: &str, most: u64) -> Result<u64, StoreError> {
        // The rows of those that have ended are not due: the walk reads those that wait, and no more than are counted.
        let text = "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE due IS NOT NULL AND owner = $1 LIMIT $2) AS found";
        let values = vec![owner.into(), i64::try_from(most).unwrap_or(i64::MAX).into()];
        count(number(self.inner.backend.reader(), text, values).await?.unwrap_or(0))
    }

    /// Claims at most `most` messages that are due, the longest due first. What is not recorded in a minute is claimed
    /// again.
    ///
    /// # Errors
    /// Outages.
    pub async fn claim_deliveries(&self, most: usize) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let now = self.steady().0;
        // Nothing is due nearly always: that takes no transaction that writes.
        if number(self.inner.backend.reader(), ANY_DUE, vec![now.into()]).await?.is_none() {
            return Ok(Vec::new());
        }
        let until = now + CLAIM_MS;
        let tx = self.inner.backend.write().await?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let claimed: Vec<deliveries::Model> =
            all(&tx, CLAIM, vec![now.into(), until.into(), most.into()]).await?;
        self.inner.backend.commit(tx, Durability::Process).await?;
        let claimed = claimed.into_iter().map(|row| {
            Ok(ClaimedDelivery {
                key: row.id,
                until,
                attempts: row.attempts,
                id: DeliveryId(row.message),
                owner: row.owner,
                url: row.url,
                payload: row.payload,
                tries: u32::try_from(row.tries).unwrap_or(u32::MAX),
            })
        });
        claimed.collect()
    }

    /// Hands a claimed message back unsent, to be sent after `ms` milliseconds.
    ///
    /// # Errors
    /// Outages.
    pub async fn postpone_delivery(&self, claimed: &ClaimedDelivery, ms: i64) -> Result<(), StoreError> {
        let text = "UPDATE deliveries SET due = $3, claimed = FALSE WHERE id = $1 AND due = $2";
        let due = self.steady().plus_ms(ms).0;
        run(self.inner.backend.writer(), text, vec![claimed.key.into(), claimed.until.into(), due.into()])
            .await?;
        Ok(())
    }

    /// Writes down what came of an attempt. Where the claim has run out and another has taken the message meanwhile, it
    /// stays as the other has it.
    ///
    /// # Errors
    /// Outages.
    pub async fn record_delivery(
        &self,
        claimed: &ClaimedDelivery,
        outcome: &DeliveryOutcome,
    ) -> Result<(), StoreError> {
        let now = self.moment();
        let (state, due) = match outcome.next {
            Next::Delivered => (DeliveryState::Delivered, None),
            Next::Failed | Next::Gone => (DeliveryState::Failed, None),
            Next::Again(ms) => {
                let wait = i64::try_from(ms).unwrap_or(i64::MAX);
                (DeliveryState::Waiting, Some(now.steady.plus_ms(wait).0))
            }
        };
        let ended = (state != DeliveryState::Waiting).then_some(now.wall.0);
        let status = outcome.status.map(i64::from);
        let tx = self.inner.backend.write().await?;
        let values = vec![
            claimed.key.into(),
            claimed.until.into(),
            state.as_str().into(),
            due.into(),
            ended.into(),
            status.into(),
            outcome.error.clone().into(),
        ];
        if run(&tx, RECORD, values).await? == 0 {
            tx.rollback().await?;
            return Ok(());
        }
        let values = vec![
            claimed.key.into(),
            (claimed.attempts + 1).into(),
            outcome.started_at.0.into(),
            i64::try_from(outcome.ms).unwrap_or(i64::MAX).into(),
            status.into(),
            outcome.error.clone().into(),
            outcome.answer.clone().into(),
        ];
        run(&tx, INSERT_ATTEMPT, values).await?;
        if outcome.next == Next::Gone {
            let values = vec![
                claimed.owner.clone().into(),
                claimed.url.clone().into(),
                now.wall.0.into(),
                outcome.error.clone().into(),
            ];
            run(&tx, GIVE_UP_SAME, values).await?;
        }
        self.inner.backend.commit(tx, Durability::Process).await
    }

    /// Has a message sent again, now, whatever became of it; one that is being sent stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; outages.
    pub async fn redeliver(&self, id: &DeliveryId) -> Result<WebhookDelivery, StoreError> {
        let tx = self.inner.backend.write().await?;
        if run(&tx, AGAIN, vec![id.0.clone().into(), self.steady().0.into()]).await? > 0 {
            self.sign(&tx, "webhook.redeliver", &id.0, "").await?;
        }
        self.inner.backend.commit(tx, Durability::PowerCut).await?;
        self.delivery(id).await
    }

    /// Deletes deliveries that ended before `oldest`, some at a time; false where none is left.
    ///
    /// # Errors
    /// Outages.
    pub async fn delete_deliveries(&self, oldest: Timestamp) -> Result<bool, StoreError> {
        let text = "SELECT id FROM deliveries WHERE ended_at < $1 ORDER BY ended_at LIMIT $2";
        let found =
            rows(self.inner.backend.reader(), text, vec![oldest.0.into(), DELETED_MAX.into()]).await?;
        let keys: Vec<i64> = found.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Ok(false);
        }
        let tx = self.inner.backend.write().await?;
        for column in ["delivery_attempts WHERE delivery", "deliveries WHERE id"] {
            let text = format!("DELETE FROM {column} {}", in_keys(&tx, 1));
            run(&tx, &text, vec![list_value(&keys)]).await?;
        }
        self.inner.backend.commit(tx, Durability::Process).await?;
        Ok(true)
    }

    fn to_delivery(&self, row: &deliveries::Model) -> Result<WebhookDelivery, StoreError> {
        let broken =
            |what: &str| StoreError::Invariant(format!("delivery {}: {what} is not readable", row.id));
        let now = self.moment();
        Ok(WebhookDelivery {
            id: DeliveryId(row.message.clone()),
            batch: row.batch.parse().map_err(|_form| broken("batch"))?,
            owner: row.owner.clone(),
            url: row.url.clone(),
            state: DeliveryState::parse(&row.state).ok_or_else(|| broken("state"))?,
            attempts: count(row.attempts)?,
            created_at: Timestamp(row.created_at),
            next_at: row.due.map(|due| now.wall.plus_ms(due - now.steady.0)),
            ended_at: row.ended_at.map(Timestamp),
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            error: row.error.clone(),
        })
    }
}

fn to_attempt(row: delivery_attempts::Model) -> Result<DeliveryAttempt, StoreError> {
    Ok(DeliveryAttempt {
        number: count(row.number)?,
        started_at: Timestamp(row.started_at),
        ms: count(row.ms)?,
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        error: row.error,
        answer: row.answer,
    })
}
