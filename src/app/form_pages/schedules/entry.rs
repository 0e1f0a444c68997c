//! One schedule of the list, with what may be asked of it.

use leptos::form::ActionForm;
use leptos::prelude::*;

use crate::app::actions::ActOnSchedule;
use crate::app::components::{Confirm, LocalTime, When, long_text, state_badge};
use crate::client::words;
use crate::protocol::{Me, Overlap, PersonRole, Schedule, ScheduleAct};

/// The entry.
pub fn entry(schedule: Schedule, me: Option<&Me>, act: ServerAction<ActOnSchedule>) -> impl IntoView {
    let may = me.is_some_and(|me| match me.role {
        PersonRole::Viewer => false,
        PersonRole::Operator => me.name == schedule.owner,
        PersonRole::Admin => true,
    });
    let acts = may.then(|| acts(&schedule, act));
    let facts = format!(
        "{} over {} · {}",
        words::shown(&schedule.task),
        words::counted(schedule.items, "item"),
        words::shown(&schedule.owner)
    );
    view! {
        <article class="card schedule">
            <header class="schedule-head">
                <h2><a href=format!("/schedules?id={}", schedule.id)>{words::name(&schedule.name)}</a></h2>
                {schedule.paused.then(|| view! { <span class="badge badge-retrying"><span class="badge-mark" aria-hidden="true">"‖"</span> <span>"paused"</span></span> })}
            </header>
            <p>{words::shown(&schedule.in_words)} " " <code>{words::shown(&schedule.cron)}</code> " " {words::shown(&schedule.time_zone)}</p>
            <p class="hint">{facts} {rules(&schedule)}</p>
            {next(&schedule)}
            {last(&schedule)}
            {trouble(&schedule)}
            {whole(&schedule)}
            {acts}
        </article>
    }
}

/// Window and overlap, where they say something.
fn rules(schedule: &Schedule) -> String {
    let window = schedule.window.map(|window| format!(" · starts from {} to {}", window.from, window.until));
    let overlap = match schedule.overlap {
        Overlap::Skip => " · left out while the last one runs",
        Overlap::Queue => " · waits while the last one runs",
    };
    format!("{}{overlap}", window.unwrap_or_default())
}

/// When it is due next: by its own clock, by the reader's, and how long that is.
fn next(schedule: &Schedule) -> Option<AnyView> {
    let at = schedule.next_at?;
    let local = schedule.next_local.clone().unwrap_or_default();
    let waits =
        schedule.waiting_for.map(|due| view! { <p>"A run waits that was due " <When at=due /> "."</p> });
    Some(
        view! {
            <p class="schedule-next">
                "Next " <strong>{words::zoned(&local)}</strong> " · here " <LocalTime at=at /> " · " <When at=at />
            </p>
            {waits}
        }
        .into_any(),
    )
}

/// What only one that is looked at alone says: its next times, and what it makes.
fn whole(schedule: &Schedule) -> Option<AnyView> {
    let body = schedule.batch.as_ref()?;
    let times: Vec<_> = schedule.next.iter().map(|at| view! { <li><LocalTime at=*at /></li> }).collect();
    let next =
        (!times.is_empty()).then(|| view! { <h3>"Next times"</h3> <ol class="schedule-times">{times}</ol> });
    let items = schedule.from_batch.map(|batch| {
        view! { <p>"Its items are those of " <a href=format!("/batches/{batch}")>"a batch"</a> ", which may be gone."</p> }
    });
    Some(view! { {next} <h3>"Makes"</h3> {items} <pre class="text" tabindex="0">{long_text(body.as_str())}</pre> }.into_any())
}

fn last(schedule: &Schedule) -> Option<AnyView> {
    let batch = schedule.last_batch.clone()?;
    Some(
        view! {
            <p>
                "Last " <a href=format!("/batches/{}", batch.id)>{format!("#{}", batch.number)}</a> " "
                {state_badge(batch.state)}
            </p>
        }
        .into_any(),
    )
}

fn trouble(schedule: &Schedule) -> Option<AnyView> {
    let reason = schedule.last_error.clone()?;
    let at = schedule.last_error_at.map(|at| view! { " " <When at=at /> });
    Some(view! { <p class="schedule-trouble">{words::shown(&reason)} {at}</p> }.into_any())
}

fn acts(schedule: &Schedule, act: ServerAction<ActOnSchedule>) -> impl IntoView + use<> {
    let id = schedule.id;
    let button = move |which: ScheduleAct, label: &'static str, class: &'static str| {
        let word = match which {
            ScheduleAct::Pause => "pause",
            ScheduleAct::Resume => "resume",
            ScheduleAct::Run => "run",
            ScheduleAct::Delete => "delete",
        };
        view! {
            <ActionForm action=act>
                <input type="hidden" name="schedule" value=id.to_string() />
                <input type="hidden" name="act" value=word />
                <button class=class>{label}</button>
            </ActionForm>
        }
    };
    let toggle = if schedule.paused {
        button(ScheduleAct::Resume, "Resume", "button")
    } else {
        button(ScheduleAct::Pause, "Pause", "button")
    };
    view! {
        <div class="acts">
            {button(ScheduleAct::Run, "Run now", "button")}
            {toggle}
            <Confirm label="Delete" warning="It makes no more batches. Those that it made stay.">
                {button(ScheduleAct::Delete, "Delete the schedule", "button button-danger")}
            </Confirm>
        </div>
    }
}
