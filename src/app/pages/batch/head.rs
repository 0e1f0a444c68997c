//! The head of a batch: what it is, how far, how fast, when done, and what may be done to it.
//!
//! Destructive buttons repeat their count.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::{Scene, pace, results};
use crate::app::clock;
use crate::app::components::{Confirm, ProgressBar, When, batch_badge};
use crate::app::current_user::offers;
use crate::client::words;
use crate::protocol::{Batch, BatchAct, BatchState, ItemState, Timestamp};

/// Running without an end for so long is said.
const STALLED_AFTER_MS: u64 = 20_000;

/// The head.
pub fn head(scene: Scene) -> impl IntoView {
    let batch = scene.batch;
    let fixed = batch.get_untracked();
    let href = format!("/batches/{}?state=", scene.id);
    let started = Memo::new(move |_| batch.with(|batch| batch.started_at));
    let finished = Memo::new(move |_| batch.with(|batch| batch.finished_at));
    view! {
        <header class="head batch-head">
            <div class="batch-title">
                <h1><span class="row-number">{format!("#{}", fixed.number)}</span> " " {move || batch.with(|batch| words::name(&batch.name))}</h1>
                <p class="hint">
                    {batch_badge(batch)} " " {words::shown(&fixed.task)} " · " {words::shown(&fixed.owner)} " · submitted "
                    <When at=fixed.created_at />
                    {move || started.get().map(|at| view! { " · started " <When at=at /> })}
                    {move || finished.get().map(|at| view! { " · ended " <When at=at /> })}
                </p>
                {results::related(scene)}
            </div>
            <div class="acts">{acts(scene)}</div>
        </header>
        <div class="batch-bar">
            <span class="percent">{move || batch.with(|batch| words::percent(batch).unwrap_or_else(|| words::thousands(batch.ended())))}</span>
            <ProgressBar batch=batch filter_href=href.clone() />
        </div>
        <div class="batch-numbers">
            <p class="numbers">{numbers(batch, &href)}</p>
            <p class="outlook">
                <span class="pace">{move || batch.with(rate)}</span> " " {outlook(batch)}
            </p>
        </div>
        {pace::pace(scene)}
    }
}

/// Each count a link to its items.
fn numbers(batch: Signal<Batch>, href: &str) -> Vec<AnyView> {
    let shown = |state: ItemState| {
        let href = format!("{href}{}", state.as_str());
        let count = move || batch.with(|batch| words::thousands(batch.count(state)));
        let none = move || batch.with(|batch| batch.count(state) == 0);
        view! {
            <a class=format!("number number-{}", state.as_str()) class:number-none=none href=href>
                <span class="badge-mark" aria-hidden="true">{words::item_mark(state)}</span>
                <span class="count">{count}</span> " " {state.as_str()}
            </a>
        }
        .into_any()
    };
    ItemState::ALL.into_iter().map(shown).collect()
}

fn rate(batch: &Batch) -> String {
    match (batch.finished_at, batch.started_at, batch.rate_per_s) {
        (Some(finished), Some(started), _) => {
            let ms = finished.ms_since(started);
            let items = match words::ran(batch) {
                ran if ran == batch.total => words::counted(ran, "item"),
                ran => format!("{} of {}", words::thousands(ran), words::counted(batch.total, "item")),
            };
            format!("{items} in {}", words::duration(ms))
        }
        (None, _, Some(rate)) => words::rate(rate),
        _ => String::new(),
    }
}

/// The outlook in words; in the browser also that nothing has ended for a while.
fn outlook(batch: Signal<Batch>) -> impl IntoView {
    let now = clock::use_clock();
    let last = RwSignal::new(None::<(u64, Timestamp)>);
    Effect::new(move |_| {
        let Some(now) = now.get() else { return };
        let ended = batch.with_untracked(Batch::ended);
        if last.with_untracked(|last| last.is_none_or(|(held, _)| held != ended)) {
            last.set(Some((ended, now)));
        }
    });
    let stalled = Memo::new(move |_| {
        let (_, since) = last.get()?;
        let ms = now.get()?.ms_since(since);
        let runs = batch.with(|batch| batch.state == BatchState::Running && batch.running > 0);
        (runs && ms >= STALLED_AFTER_MS).then(|| format!("stalled {} s", ms / 1_000))
    });
    let words = Memo::new(move |_| batch.with(words::outlook));
    let ground = Memo::new(move |_| {
        batch.with(|batch| {
            (batch.eta_ms.is_some() && batch.running > 0).then(|| format!(" ({} running)", batch.running))
        })
    });
    view! {
        <span class="eta">{move || stalled.get().unwrap_or_else(|| words.get())}</span>
        <span class="hint">{move || ground.get()}</span>
    }
}

fn acts(scene: Scene) -> impl IntoView {
    let offered = Memo::new(move |_| {
        let all = [BatchAct::Pause, BatchAct::Resume, BatchAct::Cancel, BatchAct::Retry, BatchAct::Delete];
        scene.me.with_value(|me| all.map(|one| scene.batch.with(|batch| offers(me.as_ref(), batch, one))))
    });
    let failed = Memo::new(move |_| scene.batch.with(|batch| batch.failed));
    let cancelled = Memo::new(move |_| scene.batch.with(|batch| batch.cancelled));
    let items = |count: u64| words::counted(count, "item");
    let open = move || scene.batch.with(|batch| items(batch.total - batch.ended()));
    let all = move || scene.batch.with(|batch| items(batch.total));
    let to_cancel = Signal::derive(move || format!("Cancel {}", open()));
    let to_delete = Signal::derive(move || format!("Delete {} and their results", all()));
    move || {
        let [pause, resume, cancel, retry, delete] = offered.get();
        view! {
            {pause.then(|| act_form(scene, "pause", "button", Signal::stored("Pause".into())))}
            {resume.then(|| act_form(scene, "resume", "button button-primary", Signal::stored("Resume".into())))}
            {move || (retry && failed.get() > 0).then(|| {
                retry_form(scene, ItemState::Failed, move || format!("Retry {} failed", words::thousands(failed.get())))
            })}
            {move || (retry && cancelled.get() > 0).then(|| {
                retry_form(scene, ItemState::Cancelled, move || format!("Run {} cancelled", words::thousands(cancelled.get())))
            })}
            {results::menu(scene)}
            {cancel.then(|| view! {
                <Confirm label=Signal::stored("Cancel".to_owned()) warning=Signal::stored("What runs is stopped. What has ended stays as it is.".to_owned())>
                    {act_form(scene, "cancel", "button button-danger", to_cancel)}
                </Confirm>
            })}
            {delete.then(|| view! {
                <Confirm label=Signal::stored("Delete".to_owned()) warning=Signal::stored("This cannot be undone.".to_owned())>
                    {act_form(scene, "delete", "button button-danger", to_delete)}
                </Confirm>
            })}
        }
    }
}

fn act_form(scene: Scene, word: &'static str, class: &'static str, label: Signal<String>) -> impl IntoView {
    view! {
        <ActionForm action=scene.act>
            <input type="hidden" name="batch" value=scene.id.to_string() />
            <input type="hidden" name="act" value=word />
            <button class=class>{move || label.get()}</button>
        </ActionForm>
    }
}

fn retry_form(
    scene: Scene,
    state: ItemState,
    label: impl Fn() -> String + Send + Sync + 'static,
) -> impl IntoView {
    view! {
        <ActionForm action=scene.retry>
            <input type="hidden" name="batch" value=scene.id.to_string() />
            <input type="hidden" name="state" value=state.as_str() />
            <button class="button">{label}</button>
        </ActionForm>
    }
}
