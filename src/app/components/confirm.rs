//! A destructive button that asks once more, with and without scripts.
//!
//! The form is a plain one. A page that reads itself anew without scripts would close an open question: there the question has
//! an address (`?ask=…`), whose page stays as it is.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::app::plain_forms::ASK;

/// The address of this page with the question `name` open; tracks the address.
pub fn asking(name: &str) -> impl Fn() -> String + Send + Sync + 'static {
    let (query, name) = (use_query_map(), name.to_owned());
    move || {
        let mut query = query.get();
        query.replace(ASK, name.clone());
        query.to_query_string()
    }
}

/// Opens to the button given as children (a form).
#[component]
pub fn Confirm(
    /// What the closed button says.
    #[prop(into)]
    label: Signal<String>,
    /// What will happen, in a sentence.
    #[prop(into)]
    warning: Signal<String>,
    /// What the closed button is called, where its label is only a mark.
    #[prop(optional, into)]
    name: Option<String>,
    /// What the question is called in the address of a page that reads itself anew.
    #[prop(optional, into)]
    ask: Option<String>,
    /// The form with its button.
    children: Children,
) -> impl IntoView {
    let asked =
        use_query_map().with_untracked(|query| query.get(ASK)).is_some_and(|asked| Some(asked) == ask);
    let link = ask.map(|ask| {
        let href = asking(&ask);
        view! { <a class="button only-moving" href=href aria-label=name.clone()>{move || label.get()}</a> }
    });
    view! {
        {link}
        <details class="confirm" name="menu" open=asked>
            <summary class="button" aria-label=name>{move || label.get()}</summary>
            <div class="confirm-body">
                <p>{move || warning.get()}</p>
                {children()}
            </div>
        </details>
    }
}
