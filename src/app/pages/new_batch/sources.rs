//! Over what: files, lines or numbers; the rows of a CSV are in [`super::csv_source`].
//!
//! Each kind works without scripts.

use leptos::attr::custom::custom_attribute;
use leptos::ev::Event;
use leptos::prelude::*;

use super::{Over, csv_source, queue};
use crate::app::upload::{self, use_upload};
use crate::client::words;
use crate::protocol::{FolderList, InputKind};

/// The fields for items of kind `input`.
pub fn sources(input: InputKind, over: Over, folders: FolderList) -> AnyView {
    match input {
        InputKind::File => files(over, folders),
        InputKind::Line => lines(over),
        InputKind::Record => csv_source::csv(over),
    }
}

fn files(over: Over, folders: FolderList) -> AnyView {
    let held = use_upload();
    let take = move |event: Event| upload::take_input(held, &event);
    let is_queued = move || held.entries.with(|entries| !entries.is_empty());
    let label = move |none: &'static str, some: &'static str| move || if is_queued() { some } else { none };
    view! {
        <input type="hidden" name="kind" value="files" />
        {(!folders.folders.is_empty()).then(|| folder_of_server(over, folders))}
        <div class="drop-zone" class:queued=is_queued>
            <p><strong>"Drop files here"</strong> " or anywhere on the page"</p>
            <div class="drop-ways">
                <div class="field">
                    <label for="files">{label("Files", "More files")}</label>
                    <input id="files" type="file" name="file" multiple on:change=take />
                </div>
                <div class="field only-alive">
                    <label for="folder">{label("A folder", "Another folder")}</label>
                    <input id="folder" type="file" multiple=true {..custom_attribute("webkitdirectory", "")} on:change=take />
                </div>
            </div>
        </div>
        {queue::queue(held)}
    }
    .into_any()
}

/// A folder of the server in place of files: it stands before them, since the server reads settings first.
fn folder_of_server(over: Over, folders: FolderList) -> impl IntoView {
    let choose = move |event: Event| {
        let name = event_target_value(&event);
        over.items.set((!name.is_empty()).then(|| format!("files of {name}")));
    };
    let options: Vec<_> = folders
        .folders
        .into_iter()
        .map(|folder| view! { <option value=folder.name.clone()>{folder.name.clone()}</option> })
        .collect();
    view! {
        <div class="field">
            <label for="server-folder">"A folder of the server"</label>
            <select id="server-folder" name="folder" on:change=choose>
                <option value="">"none: files of mine"</option>
                {options}
            </select>
        </div>
        <div class="field">
            <label for="server-pattern">"Its files by pattern"</label>
            <input id="server-pattern" name="pattern" placeholder="**/*.jpg" maxlength="1024" />
        </div>
    }
}

fn lines(over: Over) -> AnyView {
    // Each kind keeps its own count: whoever looks at the other one and comes back finds it.
    let (lines, numbers) = (RwSignal::new(None), RwSignal::new(None));
    let count = move |event: Event| {
        let count = event_target_value(&event).lines().filter(|line| !line.is_empty()).count() as u64;
        lines.set((count > 0).then(|| words::counted(count, "line")));
        over.items.set(lines.get_untracked());
    };
    let of_file = move |_: Event| {
        lines.set(Some("the lines of a file".into()));
        over.items.set(lines.get_untracked());
    };
    let count_numbers = move |event: Event| {
        let count = event_target_value(&event).parse::<u64>().ok();
        numbers.set(count.filter(|count| *count > 0).map(|count| words::counted(count, "number")));
        over.items.set(numbers.get_untracked());
    };
    let choose = move |kind: RwSignal<Option<String>>| move |_: Event| over.items.set(kind.get_untracked());
    view! {
        <fieldset class="choice">
            <legend class="visually-hidden">"Kind of input"</legend>
            <div class="field field-check">
                <input type="radio" id="kind-lines" name="kind" value="lines" checked on:change=choose(lines) />
                <label for="kind-lines">"Lines of text"</label>
            </div>
            <div class="field field-check">
                <input type="radio" id="kind-count" name="kind" value="count" on:change=choose(numbers) />
                <label for="kind-count">"Numbers from 1 on"</label>
            </div>
        </fieldset>
        <div class="field by-count">
            <label for="count">"How many numbers"</label>
            <input id="count" type="number" name="count" min="1" step="1" placeholder="1000" on:input=count_numbers />
        </div>
        <div class="field by-lines">
            <label for="lines">"Lines, one item each"</label>
            <textarea id="lines" name="lines" rows="10" spellcheck="false" on:input=count></textarea>
        </div>
        <div class="field by-lines">
            <label for="lines-file">"or a text file"</label>
            <input id="lines-file" type="file" name="lines" accept=".txt,.csv,.log,text/plain" on:change=of_file />
        </div>
    }
    .into_any()
}
