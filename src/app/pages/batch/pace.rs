//! How many slots a running batch may take, changed while it runs.
//!
//! It shows what the settings say, and is read anew after a change. Without scripts it is a form with a button.

use leptos::ev::Event;
use leptos::form::ActionForm;
use leptos::prelude::*;

use super::{Scene, settings};
use crate::app::actions::{PatchBatch, load_settings};
use crate::app::components::panel;
use crate::client::words;
use crate::protocol::BatchSettings;

/// The slider, where there is something to change.
pub fn pace(scene: Scene) -> impl IntoView {
    let runs = Memo::new(move |_| scene.batch.with(|batch| !batch.state.is_finished()));
    let may = settings::may_change(scene);
    // Of a batch that ends while it is looked at, the place stays.
    let place = if may && runs.get_untracked() { "pace-place" } else { "" };
    view! {
        <div class=place>
        <Show when=move || runs.get() && may>
            {
                let settings = Resource::new(move || scene.patch.version().get(), move |_| load_settings(scene.id));
                panel(settings, move |settings| slider(scene, &settings))
            }
        </Show>
        </div>
    }
}

fn slider(scene: Scene, settings: &BatchSettings) -> AnyView {
    let slots = settings.slots.max(1);
    let held = settings.options.concurrency.unwrap_or(slots).clamp(1, slots);
    let shown = RwSignal::new(held);
    let moved = move |event: Event| {
        if let Ok(slots) = event_target_value(&event).parse() {
            shown.set(slots);
        }
    };
    let chosen = move |event: Event| {
        let concurrency = Some(event_target_value(&event));
        scene.patch.dispatch(PatchBatch { batch: scene.id, name: None, concurrency, priority: None });
    };
    let words = move || format!("{} of {}", shown.get(), words::counted(slots.into(), "slot"));
    view! {
        <ActionForm action=scene.patch attr:class="pace-form">
            <input type="hidden" name="batch" value=scene.id.to_string() />
            <label class="hint" for="concurrency">"at once"</label>
            <input id="concurrency" type="range" name="concurrency" min="1" max=slots.to_string() value=held.to_string() aria-valuetext=words on:input=moved on:change=chosen />
            <output class="count" for="concurrency">{words}</output>
            <button class="button only-still">"Set"</button>
        </ActionForm>
    }
    .into_any()
}
