//! The files of this tab and how far each is.
//!
//! A bounded number of rows is in the document, whatever is queued.

use leptos::prelude::*;

use crate::app::upload::{self, FILES_MAX, QueuedFile, Upload};
use crate::client::words;

/// Files shown; the rest is counted.
const SHOWN_MAX: usize = 100;

/// The list; empty before anything was chosen.
pub fn queue(held: Upload) -> impl IntoView {
    let count = Memo::new(move |_| held.entries.with(Vec::len));
    let has_zip = Memo::new(move |_| held.entries.with(|entries| entries.iter().any(QueuedFile::is_zip)));
    let has_large = Memo::new(move |_| held.entries.with(|entries| entries.iter().any(QueuedFile::is_large)));
    let first = Memo::new(move |_| {
        // While sending, the list follows what is being sent.
        held.done.get().saturating_sub(3).min(count.get().saturating_sub(SHOWN_MAX))
    });
    let total = move || {
        let bytes = held.entries.with(|entries| entries.iter().map(|entry| entry.bytes).sum());
        format!("{} · {}", words::counted(count.get() as u64, "file"), words::bytes(bytes))
    };
    let shown = move || {
        let from = first.get();
        (from..(from + SHOWN_MAX).min(count.get())).collect::<Vec<_>>()
    };
    let more = move || {
        let left = count.get().saturating_sub(first.get() + SHOWN_MAX);
        (left > 0).then(|| format!("and {} more", words::thousands(left as u64)))
    };
    view! {
        <Show when=move || count.get() != 0>
            <div class="queue">
                <p class="queue-head">
                    <span class="count">{total}</span>
                    <button type="button" class="button button-quiet" disabled=move || held.is_busy() on:click=move |_| upload::clear(held)>"Clear"</button>
                </p>
                <ol class="queue-rows">
                    <For each=shown key=|at| *at let:at>{row(held, at)}</For>
                </ol>
                <p class="hint">{more}</p>
                <Show when=move || has_large.get()>
                    <p class="hint">"Large files are sent in pieces. If the page is closed on the way, choose the same files again: they go on where they stopped."</p>
                </Show>
                <Show when=move || has_zip.get()>
                    <div class="field field-check">
                        <input type="checkbox" id="unpack" prop:checked=held.unpack disabled=move || held.is_busy() on:change=move |event| held.unpack.set(event_target_checked(&event)) />
                        <label for="unpack">"Unpack zip files: each file in them is an item. What macOS adds (__MACOSX, .DS_Store) is left out."</label>
                    </div>
                </Show>
                <Show when=move || held.left_out.get()>
                    <p class="flash" role="alert">{format!("One batch of files takes {} from a page. The rest was left out: send it as another batch.", words::thousands(FILES_MAX as u64))}</p>
                </Show>
            </div>
        </Show>
    }
}

fn row(held: Upload, at: usize) -> impl IntoView {
    let entry = held.entries.with_untracked(|entries| entries.get(at).cloned());
    let QueuedFile { name, bytes } = entry.unwrap_or(QueuedFile { name: String::new(), bytes: 0 });
    let percent = Memo::new(move |_| held.percent_of(at));
    view! {
        <li class="queue-row">
            <span class="queue-name">{words::name(&name)}</span>
            <span class="hint">{words::bytes(bytes)}</span>
            <progress max="100" value=move || percent.get().to_string() aria-label=format!("Upload of {name}")></progress>
        </li>
    }
}
