//! The acts over many of whoever looks: how far each has come, and what came of it.
//!
//! They lie over the end of the page and push no row. While one runs, they are read each second; without scripts the page
//! reads itself anew.

use std::time::Duration;

use leptos::form::ActionForm;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::title::refreshes;
use crate::app::actions::{AbortAct, ActOnBatches, BulkLine, load_bulk_acts};
use crate::app::components::panel_or;
use crate::client::words;
use crate::protocol::BatchAct;

/// How often they are read while one runs.
const LOOK: Duration = Duration::from_secs(1);

/// The acts, and those that `begins` adds; calls `deleted` when one that deletes has come to its end. What cannot be read is left
/// out: the page is about something else.
pub fn bulk_acts(begins: ServerAction<ActOnBatches>, deleted: Callback<()>) -> AnyView {
    let acts = Resource::new(|| (), |()| load_bulk_acts());
    let abort = ServerAction::<AbortAct>::new();
    let deletes = StoredValue::new(false);
    Effect::new(move |_| {
        if let Some(begun) = begins.input().get() {
            deletes.update_value(|deletes| *deletes |= begun.act == BatchAct::Delete);
        }
    });
    let ended = Callback::new(move |()| {
        if deletes.try_update_value(std::mem::take).unwrap_or_default() {
            deleted.run(());
        }
    });
    let begins = Begins { act: begins, ended };
    panel_or(acts, move |acts| lines(acts, begins, abort), move |_error| lines(Vec::new(), begins, abort))
}

/// What begins acts, and what is called once none runs any more.
#[derive(Clone, Copy)]
struct Begins {
    act: ServerAction<ActOnBatches>,
    ended: Callback<()>,
}

fn run(acts: &[BulkLine]) -> bool {
    acts.iter().any(|(.., runs)| *runs)
}

fn lines(acts: Vec<BulkLine>, begins: Begins, abort: ServerAction<AbortAct>) -> AnyView {
    let refreshes = refreshes(run(&acts));
    let acts = RwSignal::new(acts);
    // As answered: what is begun stands there at once, and what is ended.
    let answered = move |answer: Option<Result<Vec<BulkLine>, _>>| {
        if let Some(Ok(lines)) = answer {
            acts.set(lines);
        }
    };
    Effect::new(move |_| {
        let begun = begins.act.value().get();
        // What asked for it is gone; the list is there with the next frame.
        if matches!(begun, Some(Ok(_))) {
            request_animation_frame(focus_acts);
        }
        answered(begun);
    });
    Effect::new(move |_| answered(abort.value().get()));
    Effect::new(move |_| {
        let begun = begins.act.value().with(Option::is_some);
        if begun && acts.with(|acts| !run(acts)) {
            begins.ended.run(());
        }
    });
    Effect::new(move |_| {
        if acts.with(|acts| run(acts))
            && let Ok(look) = set_timeout_with_handle(move || look_again(acts), LOOK)
        {
            on_cleanup(move || look.clear());
        }
    });
    let dismissed = RwSignal::new(Vec::<String>::new());
    let shown = move || {
        let is_shown = |(id, ..): &BulkLine| dismissed.with(|gone| !gone.contains(id));
        acts.get().into_iter().filter(is_shown).collect::<Vec<_>>()
    };
    // What a screen reader says: the newest, once it has ended.
    let ended = move || {
        let newest =
            acts.with(|acts| acts.first().filter(|(.., runs)| !runs).map(|(_, words, ..)| words.clone()));
        newest.unwrap_or_default()
    };
    view! {
        {refreshes}
        <ul class="bulk" class:shown=move || !shown().is_empty() aria-label="Acts over many batches" id="bulk" tabindex="-1">
            {move || shown().into_iter().map(|line| line_of(line, abort, dismissed)).collect::<Vec<_>>()}
        </ul>
        <p class="visually-hidden" role="status">{ended}</p>
    }
    .into_any()
}

fn focus_acts() {
    use leptos::wasm_bindgen::JsCast as _;
    let acts = document().get_element_by_id("bulk");
    if let Some(acts) = acts.and_then(|acts| acts.dyn_into::<leptos::web_sys::HtmlElement>().ok()) {
        acts.focus().unwrap_or_default();
    }
}

fn look_again(acts: RwSignal<Vec<BulkLine>>) {
    spawn_local(async move {
        let read = load_bulk_acts().await;
        // Told either way: where there was no contact, the next look is due all the same.
        let _gone = acts.try_update(|acts| {
            if let Ok(read) = read {
                *acts = read;
            }
        });
    });
}

/// One act. Its elements are the same to its end, so that what is focused stays.
fn line_of(line: BulkLine, abort: ServerAction<AbortAct>, dismissed: RwSignal<Vec<String>>) -> AnyView {
    let (id, said, looked, total, runs) = line;
    let act = id.clone();
    let dismiss = move |_| dismissed.update(|gone| gone.push(id.clone()));
    view! {
        <li class="bulk-line" class:bulk-runs=runs>
            <span class="bulk-words">{words::shown(&said)}</span>
            <progress aria-label="How far it has come" max=total.to_string() value=looked.to_string()></progress>
            <ActionForm action=abort>
                <input type="hidden" name="act" value=act />
                <button class="button">"Abort"</button>
            </ActionForm>
            <button type="button" class="button button-quiet only-alive" on:click=dismiss>"Dismiss"</button>
        </li>
    }
    .into_any()
}
