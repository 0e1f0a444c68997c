//! The head of a batch: what it is, how far, how fast, when done, and what may be done to it.
//!
//! Destructive buttons repeat their count.

use leptos::form::ActionForm;
use leptos::prelude::*;

use super::{Scene, pace, rest, results};
use crate::app::clock;
use crate::app::components::{Confirm, LocalTime, ProgressBar, When, batch_badge, steady_button};
use crate::app::current_user::may_act;
use crate::client::words;
use crate::protocol::{Batch, BatchAct, BatchState, ItemState, Move, Timestamp};

/// Running without an end for so long is said.
const STALLED_AFTER_MS: u64 = 20_000;

/// The head.
pub fn head(scene: Scene) -> impl IntoView {
    let batch = scene.batch;
    let fixed = batch.get_untracked();
    let href = format!("/batches/{}?state=", scene.id);
    let digits = Memo::new(move |_| batch.with(words::digits));
    view! {
        <div class=move || format!("batch-live {}", digits.get())>
            <header class="head batch-head">
                <h1><span class="row-number">{format!("#{}", fixed.number)}</span> " " {move || batch.with(|batch| words::name(&batch.name))}</h1>
                <div class="acts">{acts(scene)}</div>
                <p class="hint batch-meta">
                    {batch_badge(batch)}
                    <span>{words::shown(&fixed.task)} " · " {words::shown(&fixed.owner)}</span>
                    {stages(batch)}
                </p>
                {results::related(scene)}
            </header>
            <div class="batch-bar">
                <span class="percent">{move || batch.with(|batch| words::percent(batch).unwrap_or_else(|| words::thousands(batch.ended())))}</span>
                <ProgressBar batch=batch filter_href=href.clone() />
            </div>
            <p class="numbers">{numbers(batch, &href)}</p>
            <div class="batch-outlook">
                <p class="outlook">
                    <span class="pace">{move || batch.with(rate)}</span> " " {outlook(batch)}
                </p>
                {rest::rest(scene)}
                {pace::pace(scene)}
            </div>
        </div>
    }
}

/// When it was submitted, started and ended; where there is little room, the last of these.
fn stages(batch: Signal<Batch>) -> impl IntoView {
    let created = batch.with_untracked(|batch| batch.created_at);
    let started = Memo::new(move |_| batch.with(|batch| batch.started_at));
    let finished = Memo::new(move |_| batch.with(|batch| batch.finished_at));
    let stage = |word: &'static str, at: Timestamp| {
        view! { <span class="stage">{word} " " <When at=at /></span> }
    };
    view! {
        {stage("submitted", created)}
        {move || started.get().map(|at| stage("started", at))}
        {move || finished.get().map(|at| stage("ended", at))}
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
    let starts = Memo::new(move |_| batch.with(|batch| batch.start_at));
    let ground = Memo::new(move |_| batch.with(words::ground));
    view! {
        <span class="eta">{move || match starts.get() {
            Some(at) => view! { "starts " <When at=at /> ", " <LocalTime at=at /> }.into_any(),
            None => view! { {move || stalled.get().unwrap_or_else(|| words.get())} }.into_any(),
        }}</span>
        " "
        <span class="hint">{move || ground.get().map(|ground| format!("({ground})"))}</span>
    }
}

/// The acts, each in its place whatever the batch does: what cannot be done now says why.
fn acts(scene: Scene) -> impl IntoView {
    let batch = scene.batch;
    let may = scene.me.with_value(|me| batch.with_untracked(|batch| may_act(me.as_ref(), batch)));
    let finished = Memo::new(move |_| batch.with(|batch| batch.state.is_finished()));
    view! {
        {may.then(|| run_cancelled(scene))}
        {may.then(|| toggle(scene))}
        {may.then(|| retry_failed(scene))}
        {results::menu(scene)}
        {may.then(|| view! {
            <span class="act-end">{move || if finished.get() { delete(scene).into_any() } else { cancel(scene).into_any() }}</span>
        })}
    }
}

/// Pause or resume: one button, so that the focus stays on it.
fn toggle(scene: Scene) -> impl IntoView {
    let state = move || scene.batch.with(|batch| batch.state);
    let resumes = move || state() == BatchState::Paused;
    let act = move || if resumes() { "resume" } else { "pause" };
    let label = Signal::derive(move || if resumes() { "Resume" } else { "Pause" }.to_owned());
    let reason = Signal::derive(move || match state() {
        state if state.is_finished() => "It has ended.".to_owned(),
        state if resumes() || state.on(BatchAct::Pause) == Move::Do => String::new(),
        _ => "It cannot be paused now.".to_owned(),
    });
    view! {
        <ActionForm action=scene.act>
            <input type="hidden" name="batch" value=scene.id.to_string() />
            <input type="hidden" name="act" value=act />
            {steady_button("button act-toggle", reason, label)}
        </ActionForm>
    }
}

fn retry_failed(scene: Scene) -> impl IntoView {
    let reason = Signal::derive(move || {
        let (allowed, failed) =
            scene.batch.with(|batch| (batch.state.on(BatchAct::Retry) == Move::Do, batch.failed));
        match (allowed, failed) {
            (false, _) => "It cannot be retried now.".to_owned(),
            (true, 0) => "Nothing has failed.".to_owned(),
            (true, _) => String::new(),
        }
    });
    let label = Signal::derive(move || {
        scene.batch.with(|batch| format!("Retry {} failed", words::thousands(batch.failed)))
    });
    view! {
        <ActionForm action=scene.retry>
            <input type="hidden" name="batch" value=scene.id.to_string() />
            <input type="hidden" name="state" value="failed" />
            {steady_button("button act-retry", reason, label)}
        </ActionForm>
    }
}

/// First of all, where it grows into free room: it is there only after a cancel.
fn run_cancelled(scene: Scene) -> impl IntoView {
    let cancelled = Memo::new(move |_| {
        scene
            .batch
            .with(|batch| if batch.state.on(BatchAct::Retry) == Move::Do { batch.cancelled } else { 0 })
    });
    move || {
        (cancelled.get() > 0).then(|| {
            view! {
                <ActionForm action=scene.retry attr:class="act-first">
                    <input type="hidden" name="batch" value=scene.id.to_string() />
                    <input type="hidden" name="state" value="cancelled" />
                    <button class="button">{move || format!("Run {} cancelled", words::thousands(cancelled.get()))}</button>
                </ActionForm>
            }
        })
    }
}

fn cancel(scene: Scene) -> impl IntoView {
    let open = Signal::derive(move || {
        scene.batch.with(|batch| format!("Cancel {}", words::counted(batch.total - batch.ended(), "item")))
    });
    question(scene, "cancel", "Cancel", "What runs is stopped. What has ended stays as it is.", open)
}

fn delete(scene: Scene) -> impl IntoView {
    let all = Signal::derive(move || {
        scene.batch.with(|batch| format!("Delete {} and their results", words::counted(batch.total, "item")))
    });
    question(scene, "delete", "Delete", "This cannot be undone.", all)
}

fn question(
    scene: Scene,
    act: &'static str,
    label: &'static str,
    warning: &'static str,
    sure: Signal<String>,
) -> impl IntoView {
    view! {
        <Confirm label=Signal::stored(label.to_owned()) warning=Signal::stored(warning.to_owned()) ask=act>
            <ActionForm action=scene.act>
                <input type="hidden" name="batch" value=scene.id.to_string() />
                <input type="hidden" name="act" value=act />
                <button class="button button-danger">{move || sure.get()}</button>
            </ActionForm>
        </Confirm>
    }
}
