//! The row of an act over many, as it is stored and as it leaves.

use sea_orm::{DatabaseTransaction, FromQueryResult};

use crate::protocol::{BatchAct, BulkAct, BulkState, Timestamp};
use crate::store::backend::{count, int, run};
use crate::store::error::StoreError;

/// A row of `bulk_acts`.
#[derive(FromQueryResult)]
pub struct BulkRow {
    pub id: i64,
    pub uuid: String,
    pub act: String,
    pub who: String,
    pub address: String,
    pub state: String,
    pub total: i64,
    /// Place of the batch that it came to last; 0 before the first.
    pub place: i64,
    pub done: i64,
    pub refused: i64,
    /// As JSON.
    pub refusals: String,
    pub failure: Option<String>,
    pub created_at: i64,
    pub ended_at: Option<i64>,
}

impl BulkRow {
    /// As everybody sees it.
    pub fn to_act(&self) -> Result<BulkAct, StoreError> {
        let broken =
            |what: &str| StoreError::Invariant(format!("act {} over many: {what} is not readable", self.id));
        Ok(BulkAct {
            id: self.uuid.parse().map_err(|_form| broken("uuid"))?,
            act: BatchAct::parse(&self.act).ok_or_else(|| broken("act"))?,
            by: self.who.clone(),
            state: BulkState::parse(&self.state).ok_or_else(|| broken("state"))?,
            total: count(self.total)?,
            done: count(self.done)?,
            refused: count(self.refused)?,
            refusals: serde_json::from_str(&self.refusals).map_err(|_form| broken("refusals"))?,
            failure: self.failure.clone(),
            created_at: Timestamp(self.created_at),
            ended_at: self.ended_at.map(Timestamp),
        })
    }
}

/// What was refused, as it is stored.
pub fn print_refusals(act: &BulkAct) -> String {
    serde_json::to_string(&act.refusals).expect("words and counts always print")
}

/// Writes where an act stands; one that has ended needs its batches no more.
pub async fn write(
    tx: &DatabaseTransaction,
    key: i64,
    place: i64,
    act: &BulkAct,
    claim: (Option<&str>, i64),
) -> Result<(), StoreError> {
    let text = "UPDATE bulk_acts SET state = $2, place = $3, done = $4, refused = $5, refusals = $6, failure = $7, \
         ended_at = $8, node = $9, claimed_until = $10 WHERE id = $1";
    let values = vec![
        key.into(),
        act.state.as_str().into(),
        place.into(),
        int(act.done).into(),
        int(act.refused).into(),
        print_refusals(act).into(),
        act.failure.clone().into(),
        act.ended_at.map(|at| at.0).into(),
        claim.0.map(str::to_owned).into(),
        claim.1.into(),
    ];
    run(tx, text, values).await?;
    if act.ended_at.is_some() {
        run(tx, "DELETE FROM bulk_act_batches WHERE act = $1", vec![key.into()]).await?;
    }
    Ok(())
}
