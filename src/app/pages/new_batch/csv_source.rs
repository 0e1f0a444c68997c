//! Over the rows of a CSV: the file or its text, how it is written, and its first rows before anything runs.
//!
//! The preview is read by the server as the submit will be. What it finds, the encoding and whether there is a header,
//! is put into the fields of the form, so that it is what runs; whoever knows better changes them and sees the rows anew.

use std::collections::BTreeMap;

use leptos::ev::Event;
use leptos::prelude::*;

use super::Over;
use crate::app::actions::{Preview, PreviewCsv};
use crate::app::components::flash;
use crate::app::upload;
use crate::client::words;
use crate::protocol::ApiError;

/// How the file is written, as the form's fields say it; empty: as the bytes say it.
#[derive(Clone, Copy)]
struct Written {
    head: RwSignal<Vec<u8>>,
    delimiter: RwSignal<String>,
    encoding: RwSignal<String>,
    header: RwSignal<String>,
    /// What becomes of columns, as JSON: new names, and null for those that are left out.
    columns: RwSignal<String>,
}

impl Written {
    fn unknown() -> Self {
        Self {
            head: RwSignal::new(Vec::new()),
            delimiter: RwSignal::new(String::new()),
            encoding: RwSignal::new(String::new()),
            header: RwSignal::new(String::new()),
            columns: RwSignal::new(String::new()),
        }
    }

    /// The column `from` is to be called `to`; left out where that is empty.
    fn map(self, from: &str, to: &str) {
        let text = self.columns.get_untracked();
        let mut columns: BTreeMap<String, Option<String>> = serde_json::from_str(&text).unwrap_or_default();
        if from == to {
            columns.remove(from);
        } else {
            columns.insert(from.to_owned(), Some(to.to_owned()).filter(|to| !to.is_empty()));
        }
        let text = if columns.is_empty() { None } else { serde_json::to_string(&columns).ok() };
        self.columns.set(text.unwrap_or_default());
    }

    /// Asks for the first rows, where a file was chosen.
    fn look(self, preview: ServerAction<PreviewCsv>) {
        // The file is read for a while: the page may have gone.
        let Some(head) = self.head.try_get_untracked().filter(|head| !head.is_empty()) else { return };
        preview.dispatch(PreviewCsv {
            head,
            delimiter: self.delimiter.get_untracked(),
            encoding: self.encoding.get_untracked(),
            header: self.header.get_untracked(),
        });
    }
}

/// The fields.
pub fn csv(over: Over) -> AnyView {
    let preview = ServerAction::<PreviewCsv>::new();
    let written = Written::unknown();
    let chosen = move |event: Event| {
        over.0.set(Some("the rows of a file".into()));
        upload::csv_head(&event, move |head| {
            if written.head.try_set(head).is_none() {
                // What was found in another file is not what this one says.
                written.encoding.set(String::new());
                written.header.set(String::new());
                written.columns.set(String::new());
                written.look(preview);
            }
        });
    };
    let paste = move |event: Event| {
        let text = event_target_value(&event);
        let rows = text.lines().filter(|line| !line.is_empty()).count().saturating_sub(1) as u64;
        over.0.set((rows > 0).then(|| words::counted(rows, "row")));
        // What is typed here is UTF-8, whatever a file was.
        written.encoding.set(String::new());
    };
    Effect::new(move |_| {
        if let Some(Ok(seen)) = preview.value().get() {
            written.encoding.set(seen.encoding);
            written.header.set(if seen.header { "true" } else { "false" }.to_owned());
        }
    });
    view! {
        <input type="hidden" name="kind" value="csv" />
        {how_written(written, preview)}
        <div class="field">
            <label for="csv">"A CSV file"</label>
            <input id="csv" type="file" name="csv" accept=".csv,.tsv,.txt,text/csv" on:change=chosen />
        </div>
        {move || preview.value().get().map(|seen| shown(seen, written))}
        <div class="field">
            <label for="csv-text">"or its text"</label>
            <textarea id="csv-text" name="csv" rows="6" spellcheck="false" on:input=paste></textarea>
        </div>
    }
    .into_any()
}

/// What parts the fields, the encoding, and whether there is a header.
fn how_written(written: Written, preview: ServerAction<PreviewCsv>) -> AnyView {
    let changed = move |field: RwSignal<String>| {
        move |event: Event| {
            field.set(event_target_value(&event));
            written.look(preview);
        }
    };
    view! {
        <div class="field">
            <label for="delimiter">"Fields are parted by"</label>
            <select id="delimiter" name="delimiter" on:change=changed(written.delimiter)>
                <option value="">"whatever the file shows"</option>
                <option value=",">"comma"</option>
                <option value=";">"semicolon"</option>
                <option value="tab">"tab"</option>
                <option value="|">"bar"</option>
            </select>
        </div>
        <div class="field">
            <label for="csv-encoding">"Encoding"</label>
            <select id="csv-encoding" name="encoding" prop:value=written.encoding on:change=changed(written.encoding)>
                <option value="">"UTF-8, or as the file is marked"</option>
                <option value="utf-8">"UTF-8"</option>
                <option value="utf-16le">"UTF-16 (Excel’s “Unicode text”)"</option>
                <option value="utf-16be">"UTF-16, high byte first"</option>
                <option value="windows-1252">"Windows-1252 (western European)"</option>
            </select>
        </div>
        <div class="field">
            <label for="csv-header">"The first row"</label>
            <select id="csv-header" name="header" prop:value=written.header on:change=changed(written.header)>
                <option value="">"names the columns, unless the preview says otherwise"</option>
                <option value="true">"names the columns"</option>
                <option value="false">"is a row like the others"</option>
            </select>
        </div>
        <div class="field">
            <label for="csv-columns">"Columns called otherwise, or left out (JSON)"</label>
            <input id="csv-columns" name="columns" placeholder="{\"from\":\"to\",\"other\":null}" spellcheck="false" prop:value=written.columns on:change=move |event| written.columns.set(event_target_value(&event)) />
        </div>
    }
    .into_any()
}

/// What was found, in words.
fn found(preview: &Preview) -> String {
    let parted = match preview.delimiter {
        '\t' => "tab".to_owned(),
        other => format!("“{other}”"),
    };
    let mut found = format!(
        "{}, parted by {parted}, read as {}; the first {}:",
        words::counted(preview.columns.len() as u64, "column"),
        preview.encoding,
        words::counted(preview.rows.len() as u64, "row")
    );
    if preview.encoding == "windows-1252" {
        found.insert_str(
            0,
            "This file is not UTF-8; it looks like windows-1252. Check the letters in these rows before you run it. ",
        );
    }
    if !preview.left_out.is_empty() {
        let names = preview.left_out.join(", ");
        found.insert_str(0, &format!("Columns that an earlier export added are left out: {names}. "));
    }
    found
}

/// The first rows, or what is wrong with them and where.
fn shown(preview: Result<Preview, ApiError>, written: Written) -> AnyView {
    let preview = match preview {
        Ok(preview) => preview,
        Err(error) => return flash(Some(error)).into_any(),
    };
    let words = found(&preview);
    let called: Vec<_> = preview
        .columns
        .iter()
        .map(|name| {
            let (from, label) = (name.clone(), format!("New name of {}", words::shortened(name)));
            let rename = move |event: Event| written.map(&from, event_target_value(&event).trim());
            view! { <td><input value=name.clone() placeholder="left out" aria-label=label on:change=rename /></td> }
        })
        .collect();
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
        <p class="hint">"Below its name, what each column is to be called; an empty one is left out."</p>
        <div class="preview-table" tabindex="0" role="region" aria-label="First rows">
            <table><thead><tr>{head}</tr><tr>{called}</tr></thead><tbody>{rows}</tbody></table>
        </div>
    }
    .into_any()
}
