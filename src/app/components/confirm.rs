//! A destructive button that asks once more, with and without scripts.
//!
//! The form is a plain one.

use leptos::prelude::*;

/// Opens to the button given as children (a form).
#[component]
pub fn Confirm(
    /// What the closed button says.
    #[prop(into)]
    label: Signal<String>,
    /// What will happen, in a sentence.
    #[prop(into)]
    warning: Signal<String>,
    /// The form with its button.
    children: Children,
) -> impl IntoView {
    view! {
        <details class="confirm">
            <summary class="button">{move || label.get()}</summary>
            <div class="confirm-body">
                <p>{move || warning.get()}</p>
                {children()}
            </div>
        </details>
    }
}
