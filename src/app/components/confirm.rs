//! A destructive button that asks once more, with and without scripts.
//!
//! The form is a plain one. A page that reads itself anew without scripts would close an open question: there the question has
//! an address (`?ask=…`), whose page stays as it is.

use leptos::prelude::*;

use crate::app::plain_forms::ASK;
use crate::app::router::use_address;

/// The address of this page with the question `name` open; tracks the address.
pub fn asking(name: &str) -> impl Fn() -> String + Send + Sync + 'static {
    let (address, name) = (use_address(), name.to_owned());
    move || {
        let mut query = address.with(|address| address.query.clone());
        query.set(ASK, &name);
        query.to_string()
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
        use_address().with_untracked(|address| ask.is_some() && address.query.get(ASK) == ask.as_deref());
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
