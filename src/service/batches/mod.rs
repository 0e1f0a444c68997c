//! Batches: listing, looking, acting, making. `list` has the page of the list, `bulk_acts` acts over many.
//!
//! As [`super`]. An act on a batch that is already so changes nothing and answers well.

mod bulk_acts;
mod list;

use std::collections::BTreeMap;

use super::may::runs;
use super::webhooks::masked;
use super::{Action, Caller, Service, Target, may};
use crate::protocol::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, RETRY_SEQS_MAX};
use crate::protocol::{
    ApiError, Batch, BatchAct, BatchCounts, BatchId, BatchPage, BatchPatch, BatchQuery, BatchSettings,
    BatchState, CancelRequest, ErrorCode, ItemState, Json, Move, NewBatch, RetryRequest,
};
use crate::store::{BatchFilter, BatchRecord};

/// What a page of one batch may offer, in the order in which it does.
const ACTS: [BatchAct; 5] =
    [BatchAct::Pause, BatchAct::Resume, BatchAct::Cancel, BatchAct::Retry, BatchAct::Delete];

impl Service {
    /// Batches, newest first.
    ///
    /// # Errors
    /// `invalid` for a state that there is not, `malformed` for a cursor that no page gave.
    pub async fn batches(&self, caller: &Caller, query: &BatchQuery) -> Result<BatchPage, ApiError> {
        may(caller, Action::SeeBatches, Target::Installation)?;
        let list = self.inner.store.list(filter(caller, query)?).await?;
        Ok(BatchPage {
            batches: list.batches.iter().map(|batch| self.inner.engine.wire(batch)).collect(),
            next: list.next.map(|key| key.to_string()),
            sparks: Vec::new(),
        })
    }

    /// How many of each kind.
    ///
    /// # Errors
    /// Outages only.
    pub async fn batch_counts(&self, caller: &Caller) -> Result<BatchCounts, ApiError> {
        may(caller, Action::SeeCounts, Target::Installation)?;
        Ok(self.inner.store.counts(&caller.viewer()).await?)
    }

    /// One batch.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn batch(&self, caller: &Caller, id: BatchId) -> Result<Batch, ApiError> {
        let batch = self.visible(caller, id).await?;
        Ok(self.inner.engine.wire(&batch))
    }

    /// What its page needs beside it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn batch_settings(&self, caller: &Caller, id: BatchId) -> Result<BatchSettings, ApiError> {
        let batch = self.visible(caller, id).await?;
        let may_act = may(caller, Action::ActOnBatch, Target::from(&batch)).is_ok();
        let acts = ACTS.into_iter().filter(|act| may_act && is_worth_offering(&batch, *act)).collect();
        let info = self.inner.tasks.info(&batch.task);
        let schema = info.as_ref().map(|info| parse(&info.params));
        Ok(BatchSettings {
            task_title: info.map_or_else(|| batch.task.clone(), |info| info.title.clone()),
            params: titled(&parse(&batch.params), schema.as_ref()),
            options: if may(caller, Action::UseWebhooks, Target::from(&batch)).is_ok() {
                batch.options
            } else {
                masked(batch.options)
            },
            columns: batch.columns,
            acts,
            slots: self.slots().await?,
        })
    }

    /// Pause, resume, cancel, retry all that failed, delete. A deleted batch is answered as it was.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`, `wrong_state`, for delete `not_finished`.
    pub async fn act(&self, caller: &Caller, id: BatchId, act: BatchAct) -> Result<Batch, ApiError> {
        let batch = self.allowed(caller, Action::ActOnBatch, id).await?;
        let engine = &self.inner.engine;
        match batch.state.on(act) {
            Move::Already => return Ok(engine.wire(&batch)),
            Move::Refused => return Err(refused(batch.state, act)),
            Move::Do => {}
        }
        if matches!(act, BatchAct::Resume | BatchAct::Retry) {
            runs(caller, &batch.task)?;
        }
        let after = match act {
            BatchAct::Pause => caller.signs(engine.pause(batch.key)).await?,
            BatchAct::Resume => caller.signs(engine.resume(batch.key)).await?,
            BatchAct::Cancel => caller.signs(engine.cancel(batch.key)).await?,
            BatchAct::Retry => caller.signs(engine.retry(batch.key, &RetryRequest::default())).await?,
            BatchAct::Delete => {
                caller.signs(engine.delete(batch.key)).await?;
                batch
            }
        };
        tracing::info!(batch = %id, by = caller.name, ?act, "acted on a batch");
        Ok(engine.wire(&after))
    }

    /// Cancel, with what becomes of the items that run. One that lets them finish can still be told to stop them.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`, `wrong_state`.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: BatchId,
        request: &CancelRequest,
    ) -> Result<Batch, ApiError> {
        let batch = self.allowed(caller, Action::ActOnBatch, id).await?;
        if batch.state.on(BatchAct::Cancel) == Move::Refused {
            return Err(refused(batch.state, BatchAct::Cancel));
        }
        let after = caller.signs(self.inner.engine.cancel_as(batch.key, request.running)).await?;
        tracing::info!(batch = %id, by = caller.name, running = ?request.running, "cancelled");
        Ok(self.inner.engine.wire(&after))
    }

    /// Retry.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`, `wrong_state`, `invalid` for states that cannot be retried, `too_large` where more items are named than one request may.
    pub async fn retry(
        &self,
        caller: &Caller,
        id: BatchId,
        request: &RetryRequest,
    ) -> Result<Batch, ApiError> {
        let batch = self.allowed(caller, Action::ActOnBatch, id).await?;
        if request.seqs.as_ref().is_some_and(|seqs| seqs.len() > RETRY_SEQS_MAX) {
            let detail = format!("At most {RETRY_SEQS_MAX} items can be named at once.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        let retried = [ItemState::Failed, ItemState::Cancelled];
        if request.states.iter().flatten().any(|state| !retried.contains(state)) {
            return Err(ApiError::invalid("states: expected failed, cancelled or both."));
        }
        if batch.state.on(BatchAct::Retry) == Move::Refused {
            return Err(refused(batch.state, BatchAct::Retry));
        }
        runs(caller, &batch.task)?;
        let after = caller.signs(self.inner.engine.retry(batch.key, request)).await?;
        tracing::info!(batch = %id, by = caller.name, "retried");
        Ok(self.inner.engine.wire(&after))
    }

    /// Name, concurrency, priority.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`, `invalid`.
    pub async fn patch(&self, caller: &Caller, id: BatchId, patch: &BatchPatch) -> Result<Batch, ApiError> {
        let batch = self.allowed(caller, Action::ActOnBatch, id).await?;
        if patch.concurrency == Some(0) {
            return Err(ApiError::invalid("The concurrency is at least 1."));
        }
        let after = caller.signs(self.inner.engine.patch(batch.key, patch)).await?;
        Ok(self.inner.engine.wire(&after))
    }

    /// A batch of numbers.
    ///
    /// # Errors
    /// `not_allowed`, `unknown_task`, `invalid`, `no_items`, `too_large`.
    pub async fn create_generated(
        &self,
        caller: &Caller,
        new: NewBatch,
        count: u64,
    ) -> Result<Batch, ApiError> {
        self.may_run(caller, &new)?;
        let engine = &self.inner.engine;
        let parent = self.parent_of(caller, &new).await?;
        self.room_for_webhook(caller, &new).await?;
        let checked = engine.check(new, caller.name.clone())?.with_parent(parent);
        Ok(engine.wire(&caller.signs(engine.create_generated(checked, count, None)).await?))
    }

    /// Whether the caller may run the task of `new`, and those of all that is to follow it.
    pub(super) fn may_run(&self, caller: &Caller, new: &NewBatch) -> Result<(), ApiError> {
        may(caller, Action::Submit, Target::Task(&new.task))?;
        let mut next = new.options.then.as_ref().map(parse);
        while let Some(body) = next {
            // What is no task is refused where the body is checked.
            if let Some(task) = body["task"].as_str() {
                may(caller, Action::Submit, Target::Task(task))?;
            }
            next = body.get("options").and_then(|options| options.get("then")).cloned();
        }
        Ok(())
    }

    /// No more items can come.
    ///
    /// # Errors
    /// `not_found`, `not_allowed`.
    pub async fn seal(&self, caller: &Caller, id: BatchId) -> Result<Batch, ApiError> {
        let batch = self.allowed(caller, Action::AddToBatch, id).await?;
        let after = caller.signs(self.inner.engine.seal(batch.key)).await?;
        Ok(self.inner.engine.wire(&after))
    }
}

fn refused(state: BatchState, act: BatchAct) -> ApiError {
    match act {
        BatchAct::Delete => ApiError::new(ErrorCode::NotFinished, "The batch has not finished."),
        BatchAct::Pause | BatchAct::Resume | BatchAct::Cancel | BatchAct::Retry => {
            ApiError::new(ErrorCode::WrongState, format!("The batch is {}.", state.as_str()))
        }
    }
}

/// Whether a button for `act` would do anything now.
fn is_worth_offering(batch: &BatchRecord, act: BatchAct) -> bool {
    let does = batch.state.on(act) == Move::Do;
    match act {
        BatchAct::Retry => does && batch.failed > 0,
        BatchAct::Pause | BatchAct::Resume | BatchAct::Cancel | BatchAct::Delete => does,
    }
}

/// What is looked for, with a sign in place of NUL: no name has one, and SQLite would look for what stands before it.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The query as the store takes it.
pub(super) fn filter(caller: &Caller, query: &BatchQuery) -> Result<BatchFilter, ApiError> {
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut filter = BatchFilter {
        viewer: caller.viewer(),
        states: Vec::new(),
        with_failures: false,
        task: named(&query.task),
        owner: named(&query.owner),
        text: named(&query.q).map(|text| without_nul(&text)),
        parent: query.parent,
        number: None,
        before: None,
        limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT).clamp(1, PAGE_ROWS_MAX),
    };
    let all = BatchState::ALL.into_iter();
    match query.state.as_deref() {
        None | Some("" | "all") => {}
        Some("active") => filter.states = all.filter(|state| !state.is_finished()).collect(),
        Some("finished") => filter.states = all.filter(|state| state.is_finished()).collect(),
        Some("failures") => filter.with_failures = true,
        Some(word) => filter.states.push(BatchState::parse(word).ok_or_else(|| {
            ApiError::invalid("state is a batch's state, active, finished, failures or all.")
        })?),
    }
    if let Some(number) = query.q.as_deref().and_then(|q| q.strip_prefix('#')).and_then(|q| q.parse().ok()) {
        (filter.number, filter.text) = (Some(number), None);
    }
    if let Some(cursor) = named(&query.cursor) {
        let before =
            cursor.parse().map_err(|_form| ApiError::malformed("cursor: expected what next said."))?;
        filter.before = Some(before);
    }
    Ok(filter)
}

fn parse(json: &Json) -> serde_json::Value {
    serde_json::from_str(json.as_str()).unwrap_or_default()
}

/// Parameters by the titles that the schema gives them, as text.
fn titled(params: &serde_json::Value, schema: Option<&serde_json::Value>) -> BTreeMap<String, String> {
    let Some(params) = params.as_object() else { return BTreeMap::new() };
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let title = |name: &String| {
        schema.and_then(|schema| schema["properties"][name]["title"].as_str()).unwrap_or(name).to_owned()
    };
    params.iter().map(|(name, value)| (title(name), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(query: BatchQuery) -> Result<BatchFilter, ApiError> {
        filter(&Caller::local(), &query)
    }

    #[test]
    fn queries_become_filters() {
        let plain = filtered(BatchQuery::default()).unwrap();
        assert_eq!((plain.states.len(), plain.limit), (0, PAGE_ROWS_DEFAULT));
        let active = filtered(BatchQuery { state: Some("active".into()), ..Default::default() }).unwrap();
        assert_eq!(active.states.len(), 5);
        let failures = filtered(BatchQuery { state: Some("failures".into()), ..Default::default() }).unwrap();
        assert!(failures.with_failures && failures.states.is_empty());
        let nul = filtered(BatchQuery { q: Some("\0".into()), ..Default::default() }).unwrap();
        assert_eq!(nul.text.as_deref(), Some("\u{fffd}"));
        let number = filtered(BatchQuery { q: Some("#12".into()), ..Default::default() }).unwrap();
        assert_eq!((number.number, number.text), (Some(12), None));
        let clamped = filtered(BatchQuery { limit: Some(9_999), ..Default::default() }).unwrap();
        assert_eq!(clamped.limit, PAGE_ROWS_MAX);
        assert!(filtered(BatchQuery { state: Some("done".into()), ..Default::default() }).is_err());
        assert!(filtered(BatchQuery { cursor: Some("x".into()), ..Default::default() }).is_err());
    }

    #[test]
    fn parameters_get_their_titles() {
        let schema = serde_json::json!({"properties": {"width": {"title": "Width"}}});
        let params = serde_json::json!({"width": 320, "format": "png"});
        let shown = titled(&params, Some(&schema));
        assert_eq!(shown["Width"], "320");
        assert_eq!(shown["format"], "png");
    }
}
