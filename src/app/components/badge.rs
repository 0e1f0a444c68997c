//! States as a mark and a word, never colour alone.
//!
//! The mark is hidden from screen readers, the word is not.

use leptos::prelude::*;

use crate::client::words;
use crate::protocol::{Batch, BatchState, ItemState};

/// The class and mark of a batch's state.
fn batch_look(state: BatchState) -> (&'static str, &'static str) {
    match state {
        BatchState::Scheduled => ("pending", "◷"),
        BatchState::Pending => ("pending", "·"),
        BatchState::Running => ("running", "▸"),
        BatchState::Paused => ("retrying", "‖"),
        BatchState::Cancelling => ("cancelled", "⊘"),
        BatchState::Succeeded => ("succeeded", "✓"),
        BatchState::Failed => ("failed", "✕"),
        BatchState::Cancelled => ("cancelled", "⊘"),
    }
}

/// Where a batch stands.
pub fn batch_badge(batch: Signal<Batch>) -> impl IntoView {
    badge_saying(batch, words::batch_state)
}

/// The same where the number of failures stands beside it.
pub fn short_badge(batch: Signal<Batch>) -> impl IntoView {
    badge_saying(batch, |batch| match batch.state {
        BatchState::Failed if batch.failed < batch.total => "finished".to_owned(),
        _ => words::batch_state(batch),
    })
}

fn badge_saying(batch: Signal<Batch>, words: fn(&Batch) -> String) -> impl IntoView {
    let look = move || batch.with(|batch| batch_look(batch.state));
    view! {
        <span class=move || format!("badge badge-{}", look().0)>
            <span class="badge-mark" aria-hidden="true">{move || look().1}</span>
            <span>{move || batch.with(words)}</span>
        </span>
    }
}

/// Where a batch stood when the page was made.
#[must_use]
pub fn state_badge(state: BatchState) -> impl IntoView {
    let (look, mark) = batch_look(state);
    view! {
        <span class=format!("badge badge-{look}")>
            <span class="badge-mark" aria-hidden="true">{mark}</span>
            <span>{state.as_str()}</span>
        </span>
    }
}

/// Where an item stands.
pub fn item_badge(state: ItemState) -> impl IntoView {
    view! {
        <span class=format!("badge badge-{}", state.as_str())>
            <span class="badge-mark" aria-hidden="true">{words::item_mark(state)}</span>
            <span>{state.as_str()}</span>
        </span>
    }
}
