//! The files of this tab and how far each is.
//!
//! Rows have one height, and only those that are seen are in the document, whatever is queued.

use leptos::html::{Div, Ol};
use leptos::prelude::*;

use crate::app::upload::{self, FILES_MAX, QueuedFile, Upload};
use crate::client::words;

/// Height of a row in CSS pixels: that of `.queue-row`.
const ROW_PX: usize = 32;
/// Rows made: as many as are seen, and some beyond each end.
const ROWS_MADE: usize = 24;
/// Of those, rows before the first that is seen.
const ROWS_BEFORE: usize = 6;

/// The list; empty before anything was chosen.
pub fn queue(held: Upload) -> impl IntoView {
    let count = Memo::new(move |_| held.entries.with(Vec::len));
    let has_zip = Memo::new(move |_| held.entries.with(|entries| entries.iter().any(QueuedFile::is_zip)));
    let has_large = Memo::new(move |_| held.entries.with(|entries| entries.iter().any(QueuedFile::is_large)));
    let equal = move || {
        let equal = held.equal.get();
        (equal > 0).then(|| {
            format!(
                "{} the content of another: each is an item of its own, stored once.",
                match equal {
                    1 => "1 file has".to_owned(),
                    more => format!("{} have", words::counted(more, "file")),
                }
            )
        })
    };
    view! {
        <Show when=move || count.get() != 0>
            <div class="queue">
                {head(held, count)}
                {rows(held, count)}
                <p class="hint queue-equal" role="status">{equal}</p>
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

/// How many files and bytes, how much of them was sent, and the way to begin anew.
fn head(held: Upload, count: Memo<usize>) -> impl IntoView {
    let bytes =
        Memo::new(move |_| held.entries.with(|entries| entries.iter().map(|entry| entry.bytes).sum::<u64>()));
    let total =
        move || format!("{} · {}", words::counted(count.get() as u64, "file"), words::bytes(bytes.get()));
    let sent = move || {
        if held.is_busy() { held.sent_bytes.get().min(bytes.get()).to_string() } else { "0".into() }
    };
    view! {
        <p class="queue-head">
            <span class="count">{total}</span>
            <progress class:act-none=move || !held.is_busy() max=move || bytes.get().max(1).to_string() value=sent aria-label="Bytes sent"></progress>
            <button type="button" class="button button-quiet" disabled=move || held.is_busy() on:click=move |_| upload::clear(held)>"Clear"</button>
        </p>
    }
}

/// The rows that are seen, at their place in a list as high as all would be.
fn rows(held: Upload, count: Memo<usize>) -> impl IntoView {
    let (frame, list) = (NodeRef::<Div>::new(), NodeRef::<Ol>::new());
    let seen = RwSignal::new(0_usize);
    let first =
        Memo::new(move |_| seen.get().saturating_sub(ROWS_BEFORE).min(count.get().saturating_sub(ROWS_MADE)));
    let scroll = move |_| {
        if let Some(frame) = frame.get_untracked() {
            seen.set(usize::try_from(frame.scroll_top()).unwrap_or(0) / ROW_PX);
        }
    };
    // Through the CSSOM: the page forbids inline styles.
    Effect::new(move |_| {
        if let Some(list) = list.get() {
            let (before, height) = (first.get() * ROW_PX, count.get() * ROW_PX);
            let _unchanged = (*list).style().set_property("height", &format!("{height}px"));
            let _unchanged = (*list).style().set_property("padding-top", &format!("{before}px"));
        }
    });
    // Where a file is taken out, those after it are others: rows are by place and name.
    let shown = move || {
        let from = first.get();
        held.entries.with(|entries| {
            let some = entries.iter().enumerate().skip(from).take(ROWS_MADE);
            some.map(|(at, entry)| (at, entry.clone())).collect::<Vec<_>>()
        })
    };
    view! {
        <div class="queue-rows" node_ref=frame on:scroll=scroll tabindex="0" role="group" aria-label="Files to send">
            <ol node_ref=list>
                <For each=shown key=|(at, entry)| (*at, entry.name.clone()) let:one>{row(held, count, one)}</For>
            </ol>
        </div>
    }
}

fn row(held: Upload, count: Memo<usize>, (at, entry): (usize, QueuedFile)) -> impl IntoView {
    let QueuedFile { name, bytes } = entry;
    let sent = Memo::new(move |_| at < held.done.get());
    let label = format!("Leave {} out", words::name(&name));
    view! {
        <li class="queue-row" aria-setsize=move || count.get().to_string() aria-posinset=(at + 1).to_string()>
            <span class="queue-name">{words::name(&name)}</span>
            <span class="hint">{words::bytes(bytes)}</span>
            <span class="queue-mark">{move || if sent.get() { "✓ sent" } else { "" }}</span>
            <button type="button" class="button-icon" aria-label=label disabled=move || held.is_busy() on:click=move |_| upload::remove(held, at)>"✕"</button>
        </li>
    }
}
