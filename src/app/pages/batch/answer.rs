//! What an act has done, said where it was done, with the way back where there is one; and how far the batch is, for
//! those who hear the page.
//!
//! One polite region for both: it speaks at each quarter and at changes of state, never with the numbers.

use std::time::Duration;

use leptos::prelude::*;

use super::Scene;
use crate::app::actions::{ActOn, PatchBatch};
use crate::client::words;
use crate::protocol::{Batch, BatchAct, BatchState};

/// An answer stays so long, or until the next.
const SHOWN: Duration = Duration::from_secs(12);

/// What takes an act back, as [`undo`] reads it; empty where nothing does.
fn way_back(act: &str) -> &'static str {
    match act {
        "pause" => "resume",
        "resume" => "pause",
        _ => "",
    }
}

/// Before the name that a batch had.
const NAMED: &str = "name:";

/// Takes the last act back.
fn undo(scene: Scene, how: &str) {
    let act = |act| drop(scene.act.dispatch(ActOn { batch: scene.id, act }));
    match how.strip_prefix(NAMED) {
        Some(name) => {
            let name = Some(name.to_owned());
            let patch = PatchBatch { batch: scene.id, name, concurrency: None, priority: None };
            drop(scene.patch.dispatch(patch));
        }
        None if how == "resume" => act(BatchAct::Resume),
        None => act(BatchAct::Pause),
    }
}

/// The region.
pub fn answer(scene: Scene) -> AnyView {
    let (said, back, reached) =
        (RwSignal::new(String::new()), RwSignal::new(String::new()), RwSignal::new(String::new()));
    listen(scene, said, back);
    Effect::new(move |before: Option<String>| {
        let (quarter, state) = scene.batch.with(milestone);
        let now = format!("{quarter} {}", state.as_str());
        if before.is_some_and(|before| before != now) {
            reached.set(scene.batch.with_untracked(spoken));
        }
        now
    });
    let shown = move || said.with(|said| !said.is_empty());
    view! {
        <div role="status" class="toast-place">
            <p class="toast" class:shown=shown>
                <span>{move || said.get()}</span>
                <button type="button" class="button-link" class:act-none=move || back.with(String::is_empty) on:click=move |_| undo(scene, &back.get_untracked())>"Undo"</button>
                <button type="button" class="button-link" aria-label="Close" on:click=move |_| said.set(String::new())>"✕"</button>
            </p>
            <p class="visually-hidden">{move || reached.get()}</p>
        </div>
    }
    .into_any()
}

/// Sets `said` and `back` after each act that was done.
fn listen(scene: Scene, said: RwSignal<String>, back: RwSignal<String>) {
    // What was asked last, and the name before.
    let asked = StoredValue::new(String::new());
    let named = StoredValue::new(String::new());
    Effect::new(move |_| {
        if let Some(input) = scene.act.input().get() {
            asked.set_value(input.act.as_str().to_owned());
        }
    });
    Effect::new(move |_| {
        if let Some(input) = scene.patch.input().get() {
            let old = scene.batch.with_untracked(|batch| format!("{NAMED}{}", batch.name));
            named.set_value(input.name.map(|_new| old).unwrap_or_default());
        }
    });
    let say = move |act: &str, undo: String| {
        let words = words::done(act).unwrap_or_default();
        back.set(undo);
        said.set(words.to_owned());
        set_timeout(
            move || {
                if said.try_get_untracked().is_some_and(|said| said == words) {
                    said.set(String::new());
                }
            },
            SHOWN,
        );
    };
    let (act, retry, patch) = (scene.act, scene.retry, scene.patch);
    after(
        Box::new(move || (act.version().get(), matches!(act.value().get_untracked(), Some(Ok(()))))),
        Box::new(move || asked.with_value(|act| say(act, way_back(act).to_owned()))),
    );
    after(
        Box::new(move || (retry.version().get(), matches!(retry.value().get_untracked(), Some(Ok(_))))),
        Box::new(move || say("retry", String::new())),
    );
    after(
        Box::new(move || (patch.version().get(), matches!(patch.value().get_untracked(), Some(Ok(_))))),
        Box::new(move || say("change", named.get_value())),
    );
}

/// Calls `then` each time the version of what `done` reads grows and it went well.
fn after(done: Box<dyn Fn() -> (usize, bool) + Send + Sync>, then: Box<dyn Fn() + Send + Sync>) {
    Effect::new(move |before: Option<usize>| {
        let (version, well) = done();
        if well && before.is_some_and(|before| before != version) {
            then();
        }
        version
    });
}

/// The quarter that a batch has reached, and its state.
fn milestone(batch: &Batch) -> (u64, BatchState) {
    (words::per_mille(batch.ended(), batch.total).unwrap_or(0) / 250, batch.state)
}

fn spoken(batch: &Batch) -> String {
    let percent = words::percent(batch).map(|percent| format!(", {percent}")).unwrap_or_default();
    let failed =
        if batch.failed > 0 { format!(", {} failed", words::thousands(batch.failed)) } else { String::new() };
    let (ended, total) = (words::thousands(batch.ended()), words::thousands(batch.total));
    let retry = batch.retry.as_ref().map(|retry| format!(" Of the retry: {}.", words::retry_ends(retry)));
    format!("{}{percent}: {ended} of {total}{failed}.{}", batch.state.as_str(), retry.unwrap_or_default())
}
