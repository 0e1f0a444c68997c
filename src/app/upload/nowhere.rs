//! Uploads where there is no browser: nothing happens.
//!
//! Owns the same names as `browser`. Called while the server renders. Invariant: no effect at all.

use leptos::ev::Event;
use leptos::prelude::RwSignal;
use leptos::web_sys::HtmlFormElement;

use super::Upload;

/// Files dropped on the page.
pub fn accept_drops(_upload: Upload, _over: RwSignal<bool>, _dropped: impl Fn() + 'static) {}

/// Files chosen in an input.
pub fn take_input(_upload: Upload, _event: &Event) {}

/// Forgets the queue.
pub fn clear(_upload: Upload) {}

/// The first bytes of the file chosen in an input, as text.
pub fn csv_head(_event: &Event, _then: impl FnOnce(String) + 'static) {}

/// Sends the form; `arrived` is told the batch's id.
pub fn send(
    _upload: Upload,
    _form: HtmlFormElement,
    _what: super::What,
    _arrived: impl FnOnce(String) + 'static,
) {
}
