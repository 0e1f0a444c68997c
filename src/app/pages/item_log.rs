//! The log of an item: its tail, followed while it grows, filtered by words.
//!
//! Following stops where the reader scrolls up, and goes on where the end is seen again.

use leptos::html::Pre;
use leptos::prelude::*;

use crate::app::components::long_text;
use crate::protocol::ItemLive;
use crate::protocol::letter_case::lower_case;

/// The end counts as seen within so many pixels.
const END_PX: i32 = 12;

/// Heading, filter and text.
pub fn item_log(item: Signal<ItemLive>, running: bool) -> AnyView {
    let text = Memo::new(move |_| item.with(|item| item.log.text.clone()));
    let words = RwSignal::new(String::new());
    let follow = RwSignal::new(running);
    let none = Memo::new(move |_| text.with(String::is_empty));
    let place = NodeRef::<Pre>::new();
    Effect::new(move |_| {
        text.track();
        words.track();
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
    let shown = move || text.with(|text| words.with(|words| long_text(&filtered(text, words))));
    view! {
        <div class="log-head">
            <h2>"Log"</h2>
            <Show when=move || !none.get()>
                <input class="only-alive" type="search" placeholder="filter lines" aria-label="Filter lines of the log" prop:value=words on:input=move |event| words.set(event_target_value(&event)) />
                <label class="only-alive log-follow">
                    <input type="checkbox" prop:checked=follow on:change=move |event| follow.set(event_target_checked(&event)) />
                    "follow"
                </label>
            </Show>
        </div>
        <Show when=move || none.get()>
            <p class="hint">"Nothing was logged."</p>
        </Show>
        <pre class="text log" tabindex="0" class:log-none=move || none.get() node_ref=place on:scroll=scrolled>{shown}</pre>
    }
    .into_any()
}

fn to_end(place: NodeRef<Pre>) {
    if let Some(Some(place)) = place.try_get_untracked() {
        place.set_scroll_top(place.scroll_height());
    }
}

/// The lines that hold `words`, in any case of letters; all of them without words.
fn filtered(text: &str, words: &str) -> String {
    let words = lower_case(words.trim());
    if words.is_empty() {
        return text.to_owned();
    }
    let lines: Vec<_> = text.lines().filter(|line| lower_case(line).contains(&words)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filtered_by_words_in_any_case() {
        let text = "info start\nwarn Slow disk\ninfo end\n";
        assert_eq!(filtered(text, "slow"), "warn Slow disk");
        assert_eq!(filtered(text, " INFO "), "info start\ninfo end");
        assert_eq!(filtered(text, ""), text);
    }
}
