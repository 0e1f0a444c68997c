//! What can be looked at: tasks, batches, items, families, logs, nodes.
//!
//! Owns the handlers that change nothing. Called by the router of the API. Invariant: one call of the service each; the
//! answer is its answer. Deliberately decides nothing.

use axum::Json;
use axum::extract::State;

use super::extract::{Asked, Place, Who};
use crate::protocol::{
    ApiError, Batch, BatchPage, BatchQuery, BatchState, FamilyId, FamilyPage, ItemDetail, ItemPage,
    ItemQuery, ItemState, LogPart, NodePage,
};
use crate::server::AppState;

type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /tasks`
pub async fn tasks(State(state): State<AppState>, Who(caller): Who) -> Answer<crate::protocol::TaskPage> {
    state.service.tasks(&caller).map(Json)
}

/// `GET /batches`
pub async fn batches(State(state): State<AppState>, Who(caller): Who, asked: Asked) -> Answer<BatchPage> {
    let words = "active, finished, failures, scheduled, pending, running, paused, cancelling, succeeded, failed, \
                 cancelled";
    let known = |text: &str| {
        let group = matches!(text, "active" | "finished" | "failures");
        (group || BatchState::parse(text).is_some()).then(|| text.to_owned())
    };
    let query = BatchQuery {
        state: asked.word("state", words, known)?,
        task: asked.owned("task"),
        owner: asked.owned("owner"),
        q: asked.owned("q"),
        cursor: asked.owned("cursor"),
        limit: Some(asked.limit()?),
    };
    state.service.batches(&caller, &query).await.map(Json)
}

/// `GET /batches/{id}`
pub async fn batch(State(state): State<AppState>, Who(caller): Who, place: Place) -> Answer<Batch> {
    state.service.batch(&caller, place.batch()?).await.map(Json)
}

/// `GET /batches/{id}/items`
pub async fn items(
    State(state): State<AppState>,
    Who(caller): Who,
    place: Place,
    asked: Asked,
) -> Answer<ItemPage> {
    let words = "pending, running, retrying, succeeded, failed, cancelled";
    let query = ItemQuery {
        state: asked.word("state", words, ItemState::parse)?,
        family: asked.owned("family").map(FamilyId),
        q: asked.owned("q"),
        after: asked.number("after")?,
        limit: Some(asked.limit()?),
    };
    state.service.items(&caller, place.batch()?, &query).await.map(Json)
}

/// `GET /batches/{id}/items/{seq}`
pub async fn item(State(state): State<AppState>, Who(caller): Who, place: Place) -> Answer<ItemDetail> {
    state.service.item(&caller, place.batch()?, place.seq()?).await.map(Json)
}

/// `GET /batches/{id}/items/{seq}/log?from=`: what came at and after that offset.
pub async fn log(
    State(state): State<AppState>,
    Who(caller): Who,
    place: Place,
    asked: Asked,
) -> Answer<LogPart> {
    let (batch, seq) = (place.batch()?, place.seq()?);
    let from = asked.number("from")?.unwrap_or(0);
    let item = state.service.item(&caller, batch, seq).await?;
    // While the item runs here, offsets count from the start of its whole log, of which the tail is kept.
    let (starts, text) =
        state.service.parts().engine.work_cell(batch, seq).map_or((0, item.log), |cell| cell.log());
    Ok(Json(log_part(starts, &text, from)))
}

/// The part of a log at and after offset `from`; `text` is what is kept, and starts at offset `starts`.
fn log_part(starts: u64, text: &str, from: u64) -> LogPart {
    let skip = usize::try_from(from.saturating_sub(starts)).unwrap_or(usize::MAX).min(text.len());
    let skip = (0..=skip).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    LogPart { from: starts + skip as u64, text: text[skip..].to_owned() }
}

/// `GET /batches/{id}/families`
pub async fn families(State(state): State<AppState>, Who(caller): Who, place: Place) -> Answer<FamilyPage> {
    state.service.families(&caller, place.batch()?).await.map(Json)
}

/// `GET /nodes`
pub async fn nodes(State(state): State<AppState>, Who(caller): Who) -> Answer<NodePage> {
    state.service.nodes(&caller).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_go_on_from_an_offset() {
        let part = |starts, from| {
            let part = log_part(starts, "aé\nb", from);
            (part.from, part.text)
        };
        assert_eq!(part(0, 0), (0, "aé\nb".to_owned()));
        assert_eq!(part(0, 3), (3, "\nb".to_owned()));
        assert_eq!(part(0, 2), (1, "é\nb".to_owned()), "no character is cut");
        assert_eq!(part(100, 7), (100, "aé\nb".to_owned()), "what was dropped cannot be given");
        assert_eq!(part(100, 900), (105, String::new()));
    }
}
