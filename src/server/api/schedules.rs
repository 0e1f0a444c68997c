//! Schedules: what can be looked at and asked of them.
//!
//! One call of the service each, answered with the schedule as it then is.

use axum::Json;
use axum::extract::{OriginalUri, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::page::page;
use super::submit::idempotency_key;
use crate::protocol::{ApiError, NewSchedule, Schedule, SchedulePatch, SchedulePreview, ScheduleTiming};
use crate::server::AppState;
use crate::server::extract::{JsonBody, JsonBytes, PathParams, QueryParams, Who};
use crate::service::schedules::{SavedSchedule, ScheduleOnce};
use crate::service::submit::Submitted;

type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /schedules`
pub async fn list(
    State(state): State<AppState>,
    Who(caller): Who,
    OriginalUri(uri): OriginalUri,
    params: QueryParams,
) -> Result<Response, ApiError> {
    let list = state.service.schedules(&caller, params.text("cursor"), Some(params.limit()?)).await?;
    let next = list.next.clone();
    Ok(page(list, &uri, "cursor", next.as_deref()))
}

/// `POST /schedules`
pub async fn create(
    State(state): State<AppState>,
    Who(caller): Who,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonBytes(new, body): JsonBytes<NewSchedule>,
) -> Result<Response, ApiError> {
    let new = new.ok_or_else(|| ApiError::malformed("Expected a JSON object with cron and batch."))?;
    let key = idempotency_key(&headers, query.as_deref())?;
    let once = key.map(|key| ScheduleOnce { key, body: &body });
    let (status, schedule) = match state.service.create_schedule(&caller, new, once).await? {
        SavedSchedule::Made(schedule) => (StatusCode::CREATED, schedule),
        SavedSchedule::Before(schedule) => (StatusCode::OK, schedule),
    };
    Ok(at(status, &format!("/api/v1/schedules/{}", schedule.id), Json(schedule)))
}

/// `POST /schedules/preview`
pub async fn preview(
    State(state): State<AppState>,
    Who(caller): Who,
    JsonBody(timing): JsonBody<ScheduleTiming>,
) -> Answer<SchedulePreview> {
    let timing = timing.ok_or_else(|| ApiError::malformed("Expected a JSON object with cron."))?;
    state.service.preview_schedule(&caller, &timing).await.map(Json)
}

/// `GET /schedules/{id}`
pub async fn one(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Schedule> {
    state.service.schedule(&caller, place.schedule()?).await.map(Json)
}

/// `PATCH /schedules/{id}`
pub async fn patch(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    JsonBody(patch): JsonBody<SchedulePatch>,
) -> Answer<Schedule> {
    let id = place.schedule()?;
    let patch = patch.ok_or_else(|| ApiError::malformed("Expected a JSON object with what is to change."))?;
    state.service.patch_schedule(&caller, id, &patch).await.map(Json)
}

/// `DELETE /schedules/{id}`
pub async fn delete(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
) -> Result<StatusCode, ApiError> {
    state.service.delete_schedule(&caller, place.schedule()?).await.map(|()| StatusCode::NO_CONTENT)
}

/// `POST /schedules/{id}/pause`
pub async fn pause(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Schedule> {
    state.service.pause_schedule(&caller, place.schedule()?).await.map(Json)
}

/// `POST /schedules/{id}/resume`
pub async fn resume(State(state): State<AppState>, Who(caller): Who, place: PathParams) -> Answer<Schedule> {
    state.service.resume_schedule(&caller, place.schedule()?).await.map(Json)
}

/// `POST /schedules/{id}/run`: answered with the batch.
pub async fn run(
    State(state): State<AppState>,
    Who(caller): Who,
    place: PathParams,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = place.schedule()?;
    let key = idempotency_key(&headers, Some(&format!("/schedules/{id}/run")))?;
    let (status, batch) = match state.service.run_schedule_now(&caller, id, key).await? {
        Submitted::Created(batch) => (StatusCode::CREATED, batch),
        Submitted::Replayed(batch) => (StatusCode::OK, batch),
    };
    Ok(at(status, &format!("/api/v1/batches/{}", batch.id), Json(batch)))
}

/// What was made, with its address.
fn at<T: serde::Serialize>(status: StatusCode, location: &str, made: Json<T>) -> Response {
    let location = HeaderValue::try_from(location).expect("an id is plain ASCII");
    (status, [(header::LOCATION, location)], made).into_response()
}
