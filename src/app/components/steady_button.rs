//! A button that stays where it is: where it cannot be pressed, it says why.
//!
//! It is not `disabled` but says that it is, so that the focus stays on it when the press has used it up.

use leptos::ev::MouseEvent;
use leptos::prelude::*;

/// A submit button; while `reason` is not empty, it does nothing and gives that.
pub fn steady_button(class: &'static str, reason: Signal<String>, label: Signal<String>) -> AnyView {
    let held = move || reason.with(|reason| !reason.is_empty());
    let press = move |event: MouseEvent| {
        if untrack(held) {
            event.prevent_default();
        }
    };
    view! {
        <button class=class aria-disabled=move || held().then_some("true") title=move || reason.get() on:click=press>
            {move || label.get()}
        </button>
    }
    .into_any()
}
