//! An instant: how long ago it was, with the absolute time in its title.
//!
//! Called everywhere a time is shown. The server says it by its own clock, and so does hydration; then it ticks.

use leptos::prelude::*;

use crate::app::clock;
use crate::client::words;
use crate::protocol::Timestamp;

/// A time, with the other form in its title.
#[component]
pub fn When(
    /// The instant.
    #[prop(into)]
    at: Signal<Timestamp>,
) -> impl IntoView {
    let now = clock::use_clock();
    // The clock outlives the page: a tick may still reach what is about to be taken out of it.
    let text = move || {
        let at = at.try_get()?;
        let now = now.try_get().flatten();
        Some(now.map_or_else(|| words::absolute(at), |now| words::relative(at, now)))
    };
    let text = move || text().unwrap_or_default();
    let datetime = move || at.try_get().map(|at| at.to_string());
    let title = move || at.try_get().map(words::absolute);
    view! {
        <time class="when" datetime=datetime title=title>
            {text}
        </time>
    }
}

/// A time by the clock of whoever reads: in UTC from the server, in the browser's zone and language once the page is alive.
#[component]
pub fn LocalTime(
    /// The instant.
    at: Timestamp,
) -> impl IntoView {
    let text = RwSignal::new(words::absolute(at));
    Effect::new(move |_| text.set(clock::in_browser_zone(at)));
    view! { <time class="local" datetime=at.to_string()>{move || text.get()}</time> }
}
