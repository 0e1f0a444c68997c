//! Over what: files, lines, numbers, or the rows of a CSV.
//!
//! Each kind works without scripts.

use leptos::attr::custom::custom_attribute;
use leptos::ev::Event;
use leptos::prelude::*;

use super::{Over, queue};
use crate::app::actions::PreviewCsv;
use crate::app::components::flash;
use crate::app::upload::{self, use_upload};
use crate::client::words;
use crate::protocol::InputKind;

/// The fields for items of kind `input`.
pub fn sources(input: InputKind, over: Over) -> AnyView {
    match input {
        InputKind::File => files(),
        InputKind::Line => lines(over),
        InputKind::Record => csv(over),
    }
}

fn files() -> AnyView {
    let held = use_upload();
    let take = move |event: Event| upload::take_input(held, &event);
    view! {
        <input type="hidden" name="kind" value="files" />
        <div class="drop-zone">
            <p><strong>"Drop files here"</strong> " or anywhere on the page"</p>
            <div class="drop-ways">
                <div class="field">
                    <label for="files">"Files"</label>
                    <input id="files" type="file" name="file" multiple on:change=take />
                </div>
                <div class="field only-alive">
                    <label for="folder">"A folder"</label>
                    <input id="folder" type="file" multiple=true {..custom_attribute("webkitdirectory", "")} on:change=take />
                </div>
            </div>
        </div>
        {queue::queue(held)}
    }
    .into_any()
}

fn lines(over: Over) -> AnyView {
    let count = move |event: Event| {
        let lines = event_target_value(&event).lines().filter(|line| !line.is_empty()).count() as u64;
        over.0.set((lines > 0).then(|| words::counted(lines, "line")));
    };
    let numbers = move |event: Event| {
        let count = event_target_value(&event).parse::<u64>().ok();
        over.0.set(count.filter(|count| *count > 0).map(|count| words::counted(count, "item")));
    };
    let choose = move |_: Event| over.0.set(None);
    view! {
        <fieldset class="choice">
            <legend class="visually-hidden">"Kind of input"</legend>
            <div class="field field-check">
                <input type="radio" id="kind-lines" name="kind" value="lines" checked on:change=choose />
                <label for="kind-lines">"Lines of text"</label>
            </div>
            <div class="field field-check">
                <input type="radio" id="kind-count" name="kind" value="count" on:change=choose />
                <label for="kind-count">"Numbers from 1 on"</label>
            </div>
        </fieldset>
        <div class="field by-count">
            <label for="count">"How many numbers"</label>
            <input id="count" type="number" name="count" min="1" step="1" placeholder="1000" on:input=numbers />
        </div>
        <div class="field by-lines">
            <label for="lines">"Lines, one item each"</label>
            <textarea id="lines" name="lines" rows="10" spellcheck="false" on:input=count></textarea>
        </div>
        <div class="field by-lines">
            <label for="lines-file">"or a text file"</label>
            <input id="lines-file" type="file" name="lines" accept=".txt,.csv,.log,text/plain" on:change=move |_| over.0.set(Some("the lines of a file".into())) />
        </div>
    }
    .into_any()
}

fn csv(over: Over) -> AnyView {
    let preview = ServerAction::<PreviewCsv>::new();
    let look = move |event: Event| {
        over.0.set(Some("the rows of a file".into()));
        upload::csv_head(&event, move |text| {
            // The file is read for a while: the page may have gone.
            if over.0.try_get_untracked().is_some() {
                preview.dispatch(PreviewCsv { text });
            }
        });
    };
    let paste = move |event: Event| {
        let text = event_target_value(&event);
        let rows = text.lines().filter(|line| !line.is_empty()).count().saturating_sub(1) as u64;
        over.0.set((rows > 0).then(|| words::counted(rows, "row")));
    };
    view! {
        <input type="hidden" name="kind" value="csv" />
        <div class="field">
            <label for="delimiter">"Fields are parted by"</label>
            <select id="delimiter" name="delimiter">
                <option value="">"whatever the file shows"</option>
                <option value=",">"comma"</option>
                <option value=";">"semicolon"</option>
                <option value="tab">"tab"</option>
                <option value="|">"bar"</option>
            </select>
        </div>
        <div class="field">
            <label for="csv">"A CSV file with a header"</label>
            <input id="csv" type="file" name="csv" accept=".csv,.tsv,.txt,text/csv" on:change=look />
        </div>
        {move || preview.value().get().map(shown)}
        <div class="field">
            <label for="csv-text">"or its text"</label>
            <textarea id="csv-text" name="csv" rows="6" spellcheck="false" on:input=paste></textarea>
        </div>
    }
    .into_any()
}

/// The first rows, or what is wrong with them and where.
fn shown(preview: Result<crate::app::actions::Preview, crate::protocol::ApiError>) -> AnyView {
    let preview = match preview {
        Ok(preview) => preview,
        Err(error) => return flash(Some(error)).into_any(),
    };
    let parted = match preview.delimiter {
        '\t' => "tab".to_owned(),
        other => format!("“{other}”"),
    };
    let words = format!(
        "{}, parted by {parted}; the first {}:",
        words::counted(preview.columns.len() as u64, "column"),
        words::counted(preview.rows.len() as u64, "row")
    );
    let head: Vec<_> = preview
        .columns
        .into_iter()
        .map(|name| view! { <th scope="col">{words::shortened(&name)}</th> })
        .collect();
    let rows: Vec<_> = preview
        .rows
        .into_iter()
        .map(|row| {
            let cells: Vec<_> =
                row.into_iter().map(|cell| view! { <td>{words::shortened(&cell)}</td> }).collect();
            view! { <tr>{cells}</tr> }
        })
        .collect();
    view! {
        <p class="hint">{words}</p>
        <div class="preview-table" tabindex="0" role="region" aria-label="First rows">
            <table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
        </div>
    }
    .into_any()
}
