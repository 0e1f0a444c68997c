//! How a batch is run: parameters, options, and the three that can be changed.
//!
//! An empty field changes nothing.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::Scene;
use super::share_links::share_panel;
use crate::app::actions::load_settings;
use crate::app::components::{acts_list, empty_panel, panel, timing_fields};
use crate::app::current_user::may_act;
use crate::client::words;
use crate::protocol::{BatchSettings, Options, PersonRole};

/// The panel.
pub fn settings_panel(scene: Scene) -> AnyView {
    let settings = Resource::new(move || scene.id, load_settings);
    panel(settings, move |settings| show(scene, &settings))
}

fn show(scene: Scene, settings: &BatchSettings) -> AnyView {
    let params: Vec<_> =
        settings.params.iter().map(|(name, value)| pair(name.clone(), value.clone())).collect();
    let columns = (!settings.columns.is_empty()).then(|| pair("columns".into(), settings.columns.join(", ")));
    let options = options(&settings.options, settings.slots);
    let options: Vec<_> = options.into_iter().map(|(name, value)| pair(name.into(), value)).collect();
    view! {
        <div class="settings">
            <section>
                <h2>{words::shown(&settings.task_title)}</h2>
                <dl class="pairs">{params} {columns}</dl>
            </section>
            <section>
                <h2>"Options"</h2>
                <dl class="pairs">{options}</dl>
            </section>
            {done(scene)}
            {may_change(scene).then(|| change(scene, settings))}
            {may_schedule(scene).then(|| schedule(scene))}
            {may_change(scene).then(|| share_panel(scene.id))}
        </div>
    }
    .into_any()
}

/// What was asked of the batch, by whom and when.
fn done(scene: Scene) -> impl IntoView + use<> {
    let acts = panel(scene.done, |entries| match acts_list(&entries) {
        Some(list) => list,
        None => empty_panel("Nothing, as far back as the log goes."),
    });
    view! {
        <section>
            <h2>"What was done to it"</h2>
            {acts}
        </section>
    }
}

fn pair(name: String, value: String) -> impl IntoView {
    view! { <div class="pair"><dt>{words::shown(&name)}</dt><dd>{words::shown(&value)}</dd></div> }
}

fn options(options: &Options, slots: u32) -> Vec<(&'static str, String)> {
    let given = |value: Option<String>, otherwise: &str| value.unwrap_or_else(|| otherwise.to_owned());
    let mut rows = vec![
        ("priority", options.priority.to_string()),
        ("attempts", given(options.attempts_max.map(|n| format!("at most {n}")), "as the engine is set")),
        (
            "time limit",
            given(options.timeout_seconds.map(|s| format!("{s} s an attempt")), "as the task says"),
        ),
        (
            "slots",
            given(options.concurrency.map(|n| format!("at most {n} of {slots}")), &format!("any of {slots}")),
        ),
        ("rate", given(options.rate_per_s.map(|rate| format!("at most {}", words::rate(rate))), "no limit")),
    ];
    rows.extend(options.try_first.map(|n| ("try first", words::counted(n, "item"))));
    if let Some(budget) = options.budget {
        rows.extend(budget.failed_percent.map(|percent| ("pauses at", format!("{percent} % failed"))));
        rows.extend(budget.failed_in_a_row.map(|n| ("pauses after", format!("{n} failed in a row"))));
    }
    rows.extend(options.start_at.map(|at| ("starts at", words::absolute(at))));
    rows.extend(options.private.then(|| ("seen by", "its owner and admins".to_owned())));
    rows.extend(options.webhook.clone().map(|address| ("tells", address)));
    rows
}

/// True where the person may change how this batch is run.
pub fn may_change(scene: Scene) -> bool {
    scene.me.with_value(|me| scene.batch.with_untracked(|batch| may_act(me.as_ref(), batch)))
}

fn change(scene: Scene, settings: &BatchSettings) -> impl IntoView + use<> {
    let name = scene.batch.with_untracked(|batch| batch.name.clone());
    let concurrency = settings.options.concurrency.map(|n| n.to_string()).unwrap_or_default();
    let priority = settings.options.priority.to_string();
    view! {
        <section>
            <h2>"Change"</h2>
            <ActionForm action=scene.patch>
                <input type="hidden" name="batch" value=scene.id.to_string() />
                <div class="fields">
                    <div class="field">
                        <label for="patch-name">"Name"</label>
                        <input id="patch-name" name="name" maxlength="200" value=name />
                    </div>
                    <div class="field">
                        <label for="patch-concurrency">"Slots at once"</label>
                        <input id="patch-concurrency" type="number" min="1" name="concurrency" value=concurrency />
                    </div>
                    <div class="field">
                        <label for="patch-priority">"Priority"</label>
                        <input id="patch-priority" type="number" name="priority" value=priority />
                    </div>
                </div>
                <button class="button">"Save"</button>
            </ActionForm>
        </section>
    }
}

/// True where the person may make this batch again and again.
fn may_schedule(scene: Scene) -> bool {
    scene.me.with_value(|me| me.as_ref().is_some_and(|me| me.role != PersonRole::Viewer))
}

fn schedule(scene: Scene) -> impl IntoView + use<> {
    let save = scene.save;
    view! {
        <section>
            <h2>"Make it again"</h2>
            <ActionForm action=save>
                <input type="hidden" name="from_batch" value=scene.id.to_string() />
                {timing_fields()}
                <button class="button">"Save as schedule"</button>
            </ActionForm>
        </section>
    }
}
