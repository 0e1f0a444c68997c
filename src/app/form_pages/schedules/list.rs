//! The list of schedules.
//!
//! Read once, and anew after each act. Without scripts every act is a plain form.

use leptos::prelude::*;

use super::{entry, form};
use crate::app::actions::{ActOnSchedule, SaveSchedule, load_schedules};
use crate::app::components::{flash, once_loaded, panel};
use crate::app::current_user::me;
use crate::app::pages::titled;
use crate::app::router::use_address;
use crate::protocol::{Me, PersonRole, SchedulePage};

/// The page.
#[component]
pub fn SchedulesPage() -> impl IntoView {
    let url = use_address();
    let asked = Memo::new(move |_| url.with(|url| (url.asked("cursor"), url.asked("id"))));
    let (act, save) = (ServerAction::<ActOnSchedule>::new(), ServerAction::<SaveSchedule>::new());
    let schedules = Resource::new(move || asked.get(), |(cursor, id)| load_schedules(cursor, id));
    Effect::new(move |_| {
        if matches!(act.value().get(), Some(Ok(()))) {
            schedules.refetch();
        }
    });
    // What was typed stays where it was refused.
    let saved = RwSignal::new(0_u32);
    Effect::new(move |_| {
        if matches!(save.value().get(), Some(Ok(()))) {
            schedules.refetch();
            saved.update(|saved| *saved += 1);
        }
    });
    let add = move || {
        saved.track();
        me().filter(|me| me.role != PersonRole::Viewer).map(|_me| form::form(save))
    };
    titled(|| "Schedules".into());
    view! {
        <section class="page">
            <header class="head">
                <h1>"Schedules"</h1>
                <Show when=move || asked.with(|(_cursor, id)| id.is_some())>
                    <a class="button" href="/schedules">"All schedules"</a>
                </Show>
            </header>
            {move || flash(act.value().get().and_then(Result::err))}
            {move || flash(save.value().get().and_then(Result::err))}
            {panel(schedules, move |page| list(page, me(), act))}
            {once_loaded(|| ().into_any(), || drop(me()), add)}
        </section>
    }
}

fn list(page: SchedulePage, me: Option<Me>, act: ServerAction<ActOnSchedule>) -> AnyView {
    let empty = page.schedules.is_empty();
    let older = page.next.map(|cursor| {
        view! { <nav class="pager"><a class="button" href=format!("/schedules?cursor={cursor}")>"Older"</a></nav> }
    });
    let entries: Vec<_> =
        page.schedules.into_iter().map(|schedule| entry::entry(schedule, me.as_ref(), act)).collect();
    view! {
        {empty.then(|| view! { <p class="panel panel-empty">"Nothing is scheduled."</p> })}
        <div class="schedules">{entries}</div>
        {older}
    }
    .into_any()
}
