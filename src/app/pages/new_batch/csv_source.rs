//! Over the rows of a CSV: the file or its text, and what the server has seen in it.
//!
//! What is seen comes as HTML (`app/csv_look`), by `csv.js` or, without scripts, with the page that answers the post: the
//! program knows nothing of it but the count for the button.

use leptos::ev::Event;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::Over;
use crate::app::actions::LookAtCsv;
use crate::client::words;
use crate::protocol::{ApiError, Json};

/// Where the form is posted without scripts while its CSV was not looked at.
pub const LOOK_PATH: &str = "/new/csv";

/// A form whose CSV was looked at, for the page that shows it again; the server provides it in context.
#[derive(Clone, Debug, Default)]
pub struct CsvDraft {
    /// What was seen; empty where there was no CSV, or it was refused.
    pub html: String,
    /// The CSV as a text, where it is short.
    pub text: Option<String>,
    /// Over what it would run.
    pub over: Option<String>,
    /// Why nothing would be done.
    pub idle: Option<String>,
    /// Title of the batch.
    pub name: Option<String>,
    /// Parameters so far.
    pub params: Option<Json>,
    /// Why it could not be looked at.
    pub refused: Option<ApiError>,
}

/// The fields.
pub fn csv(over: Over) -> AnyView {
    let draft = use_context::<CsvDraft>().unwrap_or_default();
    let counted = move |event: Event| {
        let said = event_target_value(&event);
        match said.strip_prefix('!') {
            Some(idle) => over.idle.set(Some(idle.to_owned())),
            None => {
                over.idle.set(None);
                over.items.set(Some(said).filter(|said| !said.is_empty()));
            }
        }
    };
    view! {
        <input type="hidden" name="kind" value="csv" />
        <input type="hidden" data-counted="" on:input=counted />
        <div class="field">
            <label for="csv">"A CSV file"</label>
            <input id="csv" type="file" name="csv" accept=".csv,.tsv,.txt,text/csv" />
        </div>
        <div class="field">
            <label for="csv-text">"or its text"</label>
            <textarea id="csv-text" name="csv" rows="6" spellcheck="false" inner_html=words::escaped(&draft.text.unwrap_or_default())></textarea>
        </div>
        <div class="csv-place" data-look=LookAtCsv::url() inner_html=draft.html></div>
    }
    .into_any()
}
