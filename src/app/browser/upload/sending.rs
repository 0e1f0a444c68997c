//! The way to `sender.js`, which is loaded when there is something to send: what it is handed, and what it tells.

use std::cell::RefCell;

use leptos::prelude::*;
use leptos::wasm_bindgen::closure::Closure;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{Array, Function, Object, Reflect};
use web_sys::HtmlFormElement;

use super::{FILES, clear};
use crate::app::upload::{Upload, UploadContent, UploadPhase};

/// The function of `bootstrap.js` that loads the script and calls `act` of it.
const ENTRY: &str = "milepostSend";

/// What is told: how far it is, files that the server has, bytes sent (or seconds to wait, or files that are equal), and a text.
type Tell = Closure<dyn Fn(String, f64, f64, String)>;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and below 2^53"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

/// Does `act` of the script with the queue's files.
fn call(act: &str, tell: Tell, members: &[(&str, JsValue)]) {
    let job = Object::new();
    let (files, names) = (Array::new(), Array::new());
    FILES.with_borrow(|held| {
        for (file, name) in held {
            files.push(file);
            names.push(&JsValue::from_str(name));
        }
    });
    let own = [
        ("act", JsValue::from_str(act)),
        ("files", files.into()),
        ("names", names.into()),
        ("tell", tell.into_js_value()),
    ];
    for (name, value) in own.iter().chain(members) {
        let _plain_object = Reflect::set(&job, &JsValue::from_str(name), value);
    }
    let entry = Reflect::get(&window(), &JsValue::from_str(ENTRY)).and_then(JsCast::dyn_into::<Function>);
    if let Ok(entry) = entry {
        let _told_by_itself = entry.call1(&JsValue::NULL, &job);
    }
}

/// Sends the form, or the queue, into a new batch or into `upload.into`; `arrived` is told the batch's id.
pub fn send(
    upload: Upload,
    form: &HtmlFormElement,
    content: UploadContent,
    arrived: impl FnOnce(String) + 'static,
) {
    upload.phase.set(UploadPhase::Sending);
    let arrived = RefCell::new(Some(arrived));
    let tell = Tell::new(move |phase: String, done: f64, sent: f64, words: String| {
        match phase.as_str() {
            "arrived" => {
                clear(upload);
                if let Some(arrived) = arrived.take() {
                    arrived(words);
                }
                return;
            }
            "waiting" => {
                upload
                    .phase
                    .set(UploadPhase::Waiting { seconds: u32::try_from(whole(sent)).unwrap_or(u32::MAX) });
            }
            "refused" => upload.phase.set(UploadPhase::Refused(words)),
            _ => {
                if upload.phase.with_untracked(|phase| *phase != UploadPhase::Sending) {
                    upload.phase.set(UploadPhase::Sending);
                }
                upload.sent_bytes.set(whole(sent));
            }
        }
        upload.done.set(usize::try_from(whole(done)).unwrap_or(usize::MAX));
    });
    let act = match content {
        UploadContent::Queue => "queue",
        UploadContent::Form => "form",
    };
    let members = [
        ("form", form.into()),
        ("unpack", upload.unpack.get_untracked().into()),
        (
            "into",
            upload.into.with_untracked(|batch| batch.as_deref().map_or(JsValue::NULL, JsValue::from_str)),
        ),
    ];
    call(act, tell, &members);
}

/// Has the files compared with each other; how many are equal to one before them is told by and by.
pub fn compare(upload: Upload) {
    let compared = upload.entries.with_untracked(Vec::len);
    let tell = Tell::new(move |_phase: String, equal: f64, _sent: f64, _words: String| {
        if upload.entries.with_untracked(Vec::len) == compared {
            upload.equal.set(whole(equal));
        }
    });
    call("same", tell, &[]);
}
