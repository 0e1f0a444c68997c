//! An instant: absolute from the server, relative once the page is alive.
//!
//! Owns the look of times. Called everywhere a time is shown. Invariant: what hydrates is the absolute text.
//! Deliberately knows no time zone: absolute times are UTC and say so.

use leptos::prelude::*;

use crate::app::clock;
use crate::app::format;
use crate::protocol::Timestamp;

/// A time, with the other form in its title.
#[component]
pub fn When(
    /// The instant.
    #[prop(into)]
    at: Signal<Timestamp>,
) -> impl IntoView {
    let now = clock::use_clock();
    let text = move || match now.get() {
        Some(now) => format::relative(at.get(), now),
        None => format::absolute(at.get()),
    };
    view! {
        <time class="when" datetime=move || at.get().to_string() title=move || format::absolute(at.get())>
            {text}
        </time>
    }
}
