//! The log of an item: its tail with line numbers, followed while it grows, filtered by words.
//!
//! Following stops where the reader scrolls up, and goes on where the end is seen again. Without scripts all of it stands
//! there.

use leptos::html::Pre;
use leptos::prelude::*;

use crate::app::markup::{LogLines, lines};
use crate::client::words;
use crate::protocol::ItemLive;

/// The end counts as seen within so many pixels.
const END_PX: i32 = 12;

/// Heading, filter and lines.
pub fn item_log(item: Signal<ItemLive>, running: bool) -> AnyView {
    let wanted = RwSignal::new(String::new());
    let follow = RwSignal::new(running);
    let found = Memo::new(move |_| item.with(|item| wanted.with(|wanted| lines(&item.log.text, wanted))));
    let none = Memo::new(move |_| item.with(|item| item.log.text.is_empty()));
    let place = NodeRef::<Pre>::new();
    Effect::new(move |_| {
        found.track();
        if follow.get() {
            request_animation_frame(move || to_end(place));
        }
    });
    // Scrolled by hand: following is what the reader sees the end for.
    let scrolled = move |_| {
        // A scroll is told a frame late: the log may be out of the page by then.
        if let Some(Some(place)) = place.try_get_untracked() {
            let end = place.scroll_top() + place.client_height() >= place.scroll_height() - END_PX;
            if follow.try_get_untracked().is_some_and(|follows| follows != end) {
                follow.set(end);
            }
        }
    };
    let told = move || match (none.get(), item.with(|item| item.log.from)) {
        (true, _) => "Nothing was logged.".to_owned(),
        (false, 0) => found.with(count),
        // Where a running item has said more than is kept.
        (false, bytes) => {
            format!("{}, numbered from after the first {}", found.with(count), words::bytes(bytes))
        }
    };
    view! {
        <div class="log-head">
            <h2>"Log"</h2>
            <span class="hint" role=move || wanted.with(|wanted| (!wanted.is_empty()).then_some("status"))>{told}</span>
            <div class="log-tools only-alive" class:log-none=move || none.get()>
                <input type="search" placeholder="filter lines" aria-label="Filter lines of the log" prop:value=wanted on:input=move |event| wanted.set(event_target_value(&event)) />
                <label class="log-follow">
                    <input type="checkbox" prop:checked=follow on:change=move |event| follow.set(event_target_checked(&event)) />
                    "follow"
                </label>
            </div>
        </div>
        <pre class="text log" tabindex="0" role="region" aria-label="Log" class:log-none=move || none.get() node_ref=place on:scroll=scrolled inner_html=move || found.with(|found| found.html.clone())></pre>
    }
    .into_any()
}

/// `12 of 340 lines`, `340 lines`.
fn count(found: &LogLines) -> String {
    let all = words::counted(found.all, "line");
    if found.shown == found.all { all } else { format!("{} of {all}", words::thousands(found.shown)) }
}

fn to_end(place: NodeRef<Pre>) {
    if let Some(Some(place)) = place.try_get_untracked() {
        place.set_scroll_top(place.scroll_height());
    }
}
