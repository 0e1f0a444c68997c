//! What the server has seen in a CSV, as a part of New batch: how it is written, a grid of its columns, and the rows that would fail.
//!
//! HTML alone: scripts put it into the page (`csv.js`), and without them it comes with the page. Its fields are those that
//! a submit reads, so that what is shown is what runs.

use leptos::prelude::*;

use crate::client::words;
use crate::service::submit::{CsvLook, LookedColumn};

/// Encodings by the name that forms give them.
const ENCODINGS: [(&str, &str); 4] = [
    ("utf-8", "UTF-8"),
    ("utf-16le", "UTF-16 (Excel’s “Unicode text”)"),
    ("utf-16be", "UTF-16, high byte first"),
    ("windows-1252", "Windows-1252 (western European)"),
];
/// Delimiters by the name that forms give them.
const DELIMITERS: [(&str, char, &str); 4] =
    [(",", ',', "comma"), (";", ';', "semicolon"), ("tab", '\t', "tab"), ("|", '|', "bar")];

/// Over what a batch of it would run, as the button says it.
#[must_use]
pub fn over(look: &CsvLook) -> String {
    match (look.is_whole, look.file_name.is_empty()) {
        (true, _) => words::counted(look.rows, "row"),
        (false, true) => "the rows of this text".to_owned(),
        (false, false) => format!("the rows of {}", words::shown(&look.file_name)),
    }
}

/// What the button says where nothing would be done.
#[must_use]
pub fn idle(look: &CsvLook) -> Option<String> {
    look.is_idle.then(|| {
        look.refusal
            .as_deref()
            .and_then(|reason| reason.split(':').next())
            .unwrap_or("Nothing would run")
            .to_owned()
    })
}

/// The part of the page.
#[must_use]
pub fn html(look: &CsvLook) -> String {
    let idle = idle(look).map(|idle| format!("!{idle}"));
    let over = idle.unwrap_or_else(|| over(look));
    view! {
        <div class="csv-look" data-over=over>
            <p class="csv-found" role="status">{found(look)}</p>
            {hints(look)}
            {how_written(look)}
            <div class="preview-table" tabindex="0" role="region" aria-label="Columns and first rows">
                {table(look)}
            </div>
            {verdict(look)}
            <button class="button only-still" formaction="/new/csv">"Look at the rows again"</button>
        </div>
    }
    .to_html()
}

/// `people.csv · 400 rows · 5 columns`
fn found(look: &CsvLook) -> String {
    let name = if look.file_name.is_empty() { "Text" } else { &look.file_name };
    let columns = look.columns.len() + look.more_columns;
    let rows = words::counted(look.rows, "row");
    let rows = if look.is_whole { rows } else { format!("looked at the first {rows}") };
    format!("{} · {rows} · {}", words::shown(name), words::counted(columns as u64, "column"))
}

/// What is to be known before it runs.
fn hints(look: &CsvLook) -> Vec<AnyView> {
    let mut hints = Vec::new();
    if look.encoding == "windows-1252" {
        hints.push("This file is not UTF-8; it looks like windows-1252. Check the letters in these rows before you run it.".to_owned());
    }
    if !look.left_out.is_empty() {
        let names = look.left_out.join(", ");
        hints.push(format!("Columns that an earlier export added are left out: {}.", words::shown(&names)));
    }
    if look.more_columns > 0 {
        let more = words::counted(look.more_columns as u64, "more column");
        hints.push(format!("{more} are not in this grid: what they must hold is said as JSON."));
    }
    let mut hints: Vec<_> =
        hints.into_iter().map(|hint| view! { <p class="hint">{hint}</p> }.into_any()).collect();
    if look.text.is_none() && !look.file_name.is_empty() {
        // No page can give a file back.
        hints.push(
            view! { <p class="hint only-still">"Choose the file once more before you run it."</p> }
                .into_any(),
        );
    }
    hints
}

/// What parts the fields, the encoding, and whether there is a header: as found, to be changed.
fn how_written(look: &CsvLook) -> AnyView {
    let option = |value: &'static str, chosen: bool, words: &'static str| view! { <option value=value selected=chosen>{words}</option> };
    let delimiters =
        DELIMITERS.map(|(value, sign, words)| option(value, sign == look.delimiter, words)).into_iter();
    let other = !DELIMITERS.iter().any(|(_value, sign, _words)| *sign == look.delimiter);
    let other = other.then(|| view! { <option value=look.delimiter.to_string() selected=true>{look.delimiter.to_string()}</option> });
    let encodings = ENCODINGS.map(|(value, words)| option(value, value == look.encoding, words)).into_iter();
    view! {
        <div class="fields csv-written">
            <div class="field">
                <label for="delimiter">"Fields are parted by"</label>
                <select id="delimiter" name="delimiter">{other}{delimiters.collect::<Vec<_>>()}</select>
            </div>
            <div class="field">
                <label for="csv-encoding">"Encoding"</label>
                <select id="csv-encoding" name="encoding">{encodings.collect::<Vec<_>>()}</select>
            </div>
            <div class="field">
                <label for="csv-header">"The first row"</label>
                <select id="csv-header" name="header">
                    {option("true", look.has_header, "names the columns")}
                    {option("false", !look.has_header, "is a row like the others")}
                </select>
            </div>
        </div>
    }
    .into_any()
}

/// The columns, what each must hold and is called, and the first rows.
fn table(look: &CsvLook) -> AnyView {
    let names: Vec<_> = look
        .columns
        .iter()
        .map(|column| view! { <th scope="col">{words::shortened(&column.from)}</th> })
        .collect();
    let grid = look.param.as_deref().map(|param| grid(param, look));
    let called: Vec<_> = look.columns.iter().enumerate().map(|(at, column)| called(at, column)).collect();
    let rows: Vec<_> = look
        .sample
        .iter()
        .map(|row| {
            let cells: Vec<_> = row.iter().map(|cell| view! { <td>{words::shortened(cell)}</td> }).collect();
            view! { <tr><td></td>{cells}</tr> }
        })
        .collect();
    view! {
        <table>
            <thead>
                <tr><td></td>{names}</tr>
                {grid}
                <tr><th scope="row">"Called"</th>{called}</tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// The name of the field for a rule of a column.
fn field(param: &str, column: &LookedColumn, rule: &str) -> String {
    format!("param./{param}/{}/{rule}", words::path_segment(&column.from))
}

fn grid(param: &str, look: &CsvLook) -> AnyView {
    let kinds: Vec<_> = look
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let kind = |kind: &String| view! { <option value=kind.clone() selected=*kind == column.kind>{kind.clone()}</option> };
            let kinds: Vec<_> = look.kinds.iter().map(kind).collect();
            let label = format!("Type of {}", words::shortened(&column.from));
            view! {
                <td>
                    <select id=format!("column-{at}-type") name=field(param, column, "type") aria-label=label>
                        <option value="" selected=column.kind.is_empty()>"not checked"</option>
                        {kinds}
                    </select>
                </td>
            }
        })
        .collect();
    let required: Vec<_> = look
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let name = field(param, column, "required");
            let label = format!("{} must have a value", words::shortened(&column.from));
            // A box that is not checked posts nothing: what stands before it counts then.
            view! {
                <td>
                    <input type="hidden" name=name.clone() value="false" />
                    <input type="checkbox" id=format!("column-{at}-required") name=name value="true" checked=column.required aria-label=label />
                </td>
            }
        })
        .collect();
    view! {
        <tr><th scope="row">"Type"</th>{kinds}</tr>
        <tr><th scope="row">"Required"</th>{required}</tr>
    }
    .into_any()
}

/// What a column is called in the records.
fn called(at: usize, column: &LookedColumn) -> AnyView {
    let name = format!("columns./{}", words::path_segment(&column.from));
    let label = format!("New name of {}", words::shortened(&column.from));
    let to = column.to.clone().unwrap_or_default();
    view! { <td><input id=format!("column-{at}-name") name=name value=to placeholder="left out" aria-label=label spellcheck="false" /></td> }
        .into_any()
}

/// Which rows would fail, or why nothing would run.
fn verdict(look: &CsvLook) -> AnyView {
    let rows = words::counted(look.rows, "row");
    let rows = if look.is_whole { rows } else { format!("the first {rows}") };
    let summary = match (&look.refusal, &look.param, look.failing_count) {
        (Some(refusal), _, _) => refusal.clone(),
        (None, None, 0) => return ().into_any(),
        (None, Some(_), 0) if look.is_whole => format!("All {rows} would pass."),
        (None, Some(_), 0) => format!("All of {rows} would pass."),
        (None, _, failing) => format!("{} of {rows} would fail.", words::thousands(failing)),
    };
    let failing: Vec<_> = look
        .failing
        .iter()
        .map(|row| {
            let words = format!("Line {}: {}", words::thousands(row.line), words::shortened(&row.message));
            view! { <li>{words}</li> }
        })
        .collect();
    let more = look.failing_count.saturating_sub(look.failing.len() as u64);
    let more =
        (more > 0).then(|| view! { <li class="hint">{format!("and {} more", words::thousands(more))}</li> });
    let class = if look.refusal.is_some() { "csv-verdict flash" } else { "csv-verdict" };
    view! {
        <div class=class role="status">
            <p><strong>{words::shown(&summary)}</strong></p>
            <ul class="csv-failing">{failing}{more}</ul>
        </div>
    }
    .into_any()
}
