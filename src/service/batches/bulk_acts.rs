//! Acts over many batches: asked for, looked at, ended.
//!
//! Whether each batch may be acted on is asked when the act is: what is not is refused there, and counted.

use std::collections::HashSet;

use crate::protocol::limits::{
    BULK_ACTS_MAX, BULK_ACTS_PER_PERSON_MAX, BULK_BATCHES_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX,
};
use crate::protocol::{
    ApiError, BatchAct, BatchId, BulkAct, BulkActId, BulkActPage, BulkQuery, BulkReason, BulkState,
    ErrorCode, NewBulkAct,
};
use crate::service::may::runs;
use crate::service::{Action, Caller, Service, Target, may};
use crate::store::{BulkAdded, BulkFilter, CreateBulkAct, NamedBatch};

/// Seconds after which a refused act may find room.
const FULL_RETRY_SECONDS: u64 = 5;
/// For so long after its end a page shows an act, in ms.
const SHOWN_MS: i64 = 10 * 60 * 1_000;
/// Acts that a page shows at most; older ones are left out.
const SHOWN_MAX: u32 = 5;

/// Who may see an act over many, and end it.
fn target(by: &str) -> Target<'_> {
    Target::Own { what: "act", owner: by }
}

/// Why `caller` may not have `act` done to a batch; none where they may.
fn refusal(caller: &Caller, act: BatchAct, id: BatchId, batch: &NamedBatch) -> Option<BulkReason> {
    let NamedBatch { task, owner, private, .. } = batch;
    let target = Target::Batch { id, task, owner, private: *private };
    let allowed = may(caller, Action::ActOnBatch, target).and_then(|()| match act {
        BatchAct::Resume | BatchAct::Retry => runs(caller, task),
        BatchAct::Pause | BatchAct::Cancel | BatchAct::Delete => Ok(()),
    });
    match allowed {
        Ok(()) => None,
        Err(error) if error.code == ErrorCode::NotFound => Some(BulkReason::NotFound),
        Err(_not_allowed) => Some(BulkReason::NotAllowed),
    }
}

impl Service {
    /// Has an act carried out on many batches, in the background; answered before it is.
    ///
    /// # Errors
    /// `not_allowed`, `invalid` where no batch is named, `too_large` where more are than may be, `too_many` where as many acts run
    /// as may.
    pub async fn begin_bulk_act(&self, caller: &Caller, new: &NewBulkAct) -> Result<BulkAct, ApiError> {
        may(caller, Action::ActOnMany, Target::Installation)?;
        let mut named = HashSet::new();
        let ids: Vec<_> = new.batches.iter().copied().filter(|id| named.insert(*id)).collect();
        if ids.is_empty() {
            return Err(ApiError::invalid("batches: name at least one."));
        }
        if ids.len() > BULK_BATCHES_MAX {
            let detail = format!("At most {BULK_BATCHES_MAX} batches can be named at once.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let store = &self.inner.store;
        let mut act = BulkAct {
            id: BulkActId::from_u128(uuid::Uuid::now_v7().as_u128()),
            act: new.act,
            by: caller.name.clone(),
            state: BulkState::Running,
            total: ids.len() as u64,
            done: 0,
            refused: 0,
            refusals: Vec::new(),
            failure: None,
            created_at: store.now(),
            ended_at: None,
        };
        let found = store.batches_named(&ids).await?;
        let mut batches = Vec::with_capacity(ids.len());
        for id in ids {
            match found.get(&id) {
                None => act.refuse(BulkReason::NotFound, id),
                Some(batch) => match refusal(caller, new.act, id, batch) {
                    Some(reason) => act.refuse(reason, id),
                    None => batches.push((batch.id, id)),
                },
            }
        }
        let address = caller.address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
        let create = CreateBulkAct { act, address, batches };
        let full = |detail: String| {
            let mut refusal = ApiError::new(ErrorCode::TooMany, detail);
            refusal.retry_after_seconds = Some(FULL_RETRY_SECONDS);
            Err(refusal)
        };
        match caller.signs(store.bulk_add(&create)).await? {
            BulkAdded::Made(act) => {
                self.inner.engine.bulk_act_added();
                tracing::info!(act = %act.id, by = caller.name, what = act.act.as_str(), batches = act.total, "began");
                Ok(act)
            }
            BulkAdded::FullForPerson => full(format!(
                "{BULK_ACTS_PER_PERSON_MAX} acts of yours over many batches run already: wait until one has ended."
            )),
            BulkAdded::Full => {
                full(format!("{BULK_ACTS_MAX} acts over many batches run already: wait until one has ended."))
            }
        }
    }

    /// One act over many.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn bulk_act(&self, caller: &Caller, id: BulkActId) -> Result<BulkAct, ApiError> {
        may(caller, Action::ActOnMany, Target::Installation)?;
        let act = self.inner.store.bulk_act(id).await?;
        may(caller, Action::ActOnMany, target(&act.by))?;
        Ok(act)
    }

    /// The caller's own acts over many, for an admin those of all; newest first.
    ///
    /// # Errors
    /// `not_allowed`, `malformed` for a cursor that no page gave.
    pub async fn bulk_acts(&self, caller: &Caller, query: &BulkQuery) -> Result<BulkActPage, ApiError> {
        may(caller, Action::ActOnMany, Target::Installation)?;
        let cursor = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let before = cursor.map(str::parse).transpose();
        let filter = BulkFilter {
            who: (!caller.viewer().sees_all).then(|| caller.name.clone()),
            state: query.state,
            since: None,
            before: before.map_err(|_form| ApiError::malformed("cursor: expected what next said."))?,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT).clamp(1, PAGE_ROWS_MAX),
        };
        Ok(self.inner.store.bulk_acts(&filter).await?)
    }

    /// Those of the caller's own that a page shows: they run, or have ended a moment ago.
    ///
    /// # Errors
    /// `not_allowed`.
    pub async fn recent_bulk_acts(&self, caller: &Caller) -> Result<Vec<BulkAct>, ApiError> {
        may(caller, Action::ActOnMany, Target::Installation)?;
        let store = &self.inner.store;
        let filter = BulkFilter {
            who: Some(caller.name.clone()),
            since: Some(store.now().plus_ms(-SHOWN_MS)),
            limit: SHOWN_MAX,
            ..BulkFilter::default()
        };
        Ok(store.bulk_acts(&filter).await?.acts)
    }

    /// Ends an act where it is, after the step in hand; one that has ended stays as it is.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn abort_bulk_act(&self, caller: &Caller, id: BulkActId) -> Result<BulkAct, ApiError> {
        self.bulk_act(caller, id).await?;
        let act = caller.signs(self.inner.store.bulk_abort(id)).await?;
        tracing::info!(act = %id, by = caller.name, "aborted");
        Ok(act)
    }
}
