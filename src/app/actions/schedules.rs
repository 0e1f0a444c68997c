//! Schedules: read by their page, made and acted on by its forms.
//!
//! Plain posts end with a redirect to where they came from; one that is made ends on the list.

use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::protocol::{ApiError, ScheduleAct, ScheduleId, SchedulePage};

/// Schedules, newest first; or the one that the address names, whole.
#[server(input = Json)]
pub async fn load_schedules(cursor: Option<String>, id: Option<String>) -> Result<SchedulePage, ApiError> {
    let (service, caller) = super::door::open().await?;
    let Some(id) = id else {
        return super::door::page(service.schedules(&caller, cursor.as_deref(), None).await);
    };
    let id = super::door::page(super::door::named("schedule", &id))?;
    let schedule = super::door::page(service.schedule(&caller, id).await)?;
    Ok(SchedulePage { schedules: vec![schedule], next: None })
}

/// Pause, resume, run, delete. After a run its batch is shown.
#[server]
pub async fn act_on_schedule(schedule: ScheduleId, act: ScheduleAct) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    match act {
        ScheduleAct::Pause => service.pause_schedule(&caller, schedule).await.map(drop),
        ScheduleAct::Resume => service.resume_schedule(&caller, schedule).await.map(drop),
        ScheduleAct::Delete => service.delete_schedule(&caller, schedule).await,
        ScheduleAct::Run => {
            let batch = service.run_schedule_now(&caller, schedule, None).await?.into_batch();
            leptos_axum::redirect(&format!("/batches/{}", batch.id));
            Ok(())
        }
    }
}

/// Makes a schedule: of the batch `from_batch` (`12`, `#12` or an id), or of `body`, a batch in JSON. An empty field is as
/// none.
#[server]
pub async fn save_schedule(
    name: Option<String>,
    cron: String,
    time_zone: Option<String>,
    from_batch: Option<String>,
    body: Option<String>,
    window_from: Option<String>,
    window_until: Option<String>,
    overlap: Option<String>,
) -> Result<(), ApiError> {
    let (service, caller) = super::door::open().await?;
    let given =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let new = crate::protocol::NewSchedule {
        name: given(name),
        cron,
        time_zone: given(time_zone),
        batch: given(body).as_deref().map(super::door::batch_body).transpose()?,
        from_batch: match given(from_batch) {
            Some(text) => Some(super::door::batch_called(&service, &caller, &text).await?),
            None => None,
        },
        window: super::door::window(given(window_from), given(window_until))?,
        overlap: super::door::overlap(given(overlap).as_deref())?,
        paused: false,
    };
    service.create_schedule(&caller, new, None).await?;
    leptos_axum::redirect("/schedules");
    Ok(())
}
