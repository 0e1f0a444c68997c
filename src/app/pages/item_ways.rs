//! From one item to the next: links, and keys.
//!
//! Every key is also a link, and no key is taken from a field.

use leptos::ev;
use leptos::ev::{KeyboardEvent, MouseEvent};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;

use crate::app::actions::load_items;
use crate::app::router::{Router, use_router};
use crate::client::words;
use crate::protocol::{Batch, BatchId, ItemQuery, ItemState, Seq};

/// Where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemStep {
    Previous,
    Next,
    NextFailed,
    Batch,
}

fn way(key: &str) -> Option<ItemStep> {
    match key {
        "k" | "ArrowLeft" => Some(ItemStep::Previous),
        "j" | "ArrowRight" => Some(ItemStep::Next),
        "f" => Some(ItemStep::NextFailed),
        "b" => Some(ItemStep::Batch),
        _ => None,
    }
}

/// True where the key is somebody else's: typed into a field, or with a modifier.
fn is_taken(event: &KeyboardEvent) -> bool {
    let field = event.target().and_then(|target| target.dyn_into::<leptos::web_sys::Element>().ok());
    let typed =
        field.is_some_and(|field| ["INPUT", "TEXTAREA", "SELECT"].contains(&field.tag_name().as_str()));
    typed || event.ctrl_key() || event.alt_key() || event.meta_key() || event.default_prevented()
}

/// The crumbs, and the keys while they are shown.
pub fn ways(batch: &Batch, seq: Seq) -> impl IntoView + use<> {
    let (id, total, any_failed) = (batch.id, batch.total, batch.failed > 0);
    let none_left = RwSignal::new(false);
    let router = use_router();
    let go = move |way: ItemStep| {
        let to = |address: String| router.go(&address);
        match way {
            ItemStep::Previous if seq > 1 => to(item(id, seq - 1)),
            ItemStep::Next if seq < total => to(item(id, seq + 1)),
            ItemStep::Batch => to(format!("/batches/{id}?from={seq}")),
            ItemStep::NextFailed if any_failed => next_failed(id, seq, none_left, router),
            ItemStep::Previous | ItemStep::Next | ItemStep::NextFailed => {}
        }
    };
    Effect::new(move |_| {
        let handle = window_event_listener(ev::keydown, move |event| {
            if let Some(way) = way(&event.key()).filter(|_| !is_taken(&event)) {
                event.prevent_default();
                go(way);
            }
        });
        on_cleanup(move || handle.remove());
    });
    let previous =
        (seq > 1).then(|| view! { <a class="button" rel="prev" href=item(id, seq - 1)>"← Previous"</a> });
    let next =
        (seq < total).then(|| view! { <a class="button" rel="next" href=item(id, seq + 1)>"Next →"</a> });
    let failed = any_failed.then(|| {
        let href = format!("/batches/{id}?state=failed&after={seq}");
        let click = move |event: MouseEvent| {
            event.prevent_default();
            go(ItemStep::NextFailed);
        };
        view! { <a class="button" href=href on:click=click>"Next failed"</a> }
    });
    view! {
        <nav class="crumbs" aria-label="Item">
            <a href=format!("/batches/{id}?from={seq}")>{format!("#{} {}", batch.number, words::name(&batch.name))}</a>
            <span class="acts">
                <span role="status" class="hint">{move || none_left.get().then_some("None has failed after this one.")}</span>
                {previous} {next} {failed}
            </span>
            <p class="hint keys only-alive">
                "Keys: " <kbd>"k"</kbd> " previous · " <kbd>"j"</kbd> " next · " <kbd>"f"</kbd> " next failed · " <kbd>"b"</kbd> " batch"
            </p>
        </nav>
    }
}

fn item(id: BatchId, seq: Seq) -> String {
    format!("/batches/{id}/items/{seq}")
}

fn next_failed(id: BatchId, seq: Seq, none_left: RwSignal<bool>, router: Router) {
    let query = ItemQuery {
        state: Some(ItemState::Failed),
        after: Some(seq.into()),
        limit: Some(1),
        ..ItemQuery::default()
    };
    spawn_local(async move {
        let Ok(page) = load_items(id, query).await else { return };
        // Whoever has left meanwhile is not called back.
        if none_left.try_get_untracked().is_none() {
            return;
        }
        match page.items.first() {
            Some(row) => router.go(&item(id, row.seq)),
            None => none_left.set(true),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_on() {
        assert_eq!(way("j"), Some(ItemStep::Next));
        assert_eq!(way("ArrowLeft"), Some(ItemStep::Previous));
        assert_eq!(way("f"), Some(ItemStep::NextFailed));
        assert_eq!(way("x"), None);
    }
}
