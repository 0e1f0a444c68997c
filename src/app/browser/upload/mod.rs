//! Uploads in the browser: drops, inputs, groups, large files in pieces, and going on after a cut or a reload.
//!
//! The files themselves cannot leave this thread: they are here, and `Upload::entries` lists them in the same number and
//! order. Their bytes are never held: the browser streams them.
//!
//! ```text
//! mod      what is taken in, and forms      queue     a batch filled from the queue     pieces   a large file
//! folders  dropped folders                  request   one request                       kept     over a reload
//! retry    waiting between tries
//! ```

mod folders;
mod kept;
mod pieces;
mod queue;
mod request;
mod retry;

use std::cell::RefCell;

use leptos::ev;
use leptos::ev::Event;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::Reflect;
use web_sys::{DragEvent, File, FileList, FormData, HtmlFormElement, HtmlInputElement};

use self::request::{Body, UploadAnswer};
use crate::app::upload::{FILES_MAX, QueuedFile, Upload, UploadContent, UploadPhase};

thread_local! {
    static FILES: RefCell<Vec<(File, String)>> = const { RefCell::new(Vec::new()) };
}

fn add(upload: Upload, files: &FileList) {
    let files = (0..files.length()).filter_map(|at| files.get(at));
    take(
        upload,
        files.map(|file| {
            let name = name_of(&file);
            (file, name)
        }),
    );
}

/// Holds files under their names; false once there is no room for more.
fn take(upload: Upload, files: impl Iterator<Item = (File, String)>) -> bool {
    let mut entries = Vec::new();
    let room = FILES.with_borrow_mut(|held| {
        for (file, name) in files {
            if held.len() >= FILES_MAX {
                return false;
            }
            entries.push(QueuedFile { name: name.clone(), bytes: bytes_of(&file) });
            held.push((file, name));
        }
        true
    });
    upload.entries.update(|all| all.append(&mut entries));
    if !room {
        upload.left_out.set(true);
    }
    room
}

/// With its folder, where a folder was chosen.
fn name_of(file: &File) -> String {
    Reflect::get(file, &JsValue::from_str("webkitRelativePath"))
        .ok()
        .and_then(|path| path.as_string())
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| file.name())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are whole and below 2^53")]
fn bytes_of(file: &File) -> u64 {
    file.size() as u64
}

fn carries_files(event: &DragEvent) -> bool {
    event
        .data_transfer()
        .is_some_and(|data| data.types().iter().any(|kind| kind == JsValue::from_str("Files")))
}

/// Files dropped on the page, until the owner goes.
pub fn accept_drops(upload: Upload, over: RwSignal<bool>, dropped: impl Fn() + 'static) {
    let moves = window_event_listener(ev::dragover, move |event| {
        if carries_files(&event) && !upload.is_busy() {
            event.prevent_default();
            over.set(true);
        }
    });
    let leaves = window_event_listener(ev::dragleave, move |event| {
        if event.related_target().is_none() {
            over.set(false);
        }
    });
    let drops = window_event_listener(ev::drop, move |event| {
        let Some(data) = event.data_transfer() else { return };
        over.set(false);
        // Read as the CSV of the open page.
        if event.default_prevented() {
            return;
        }
        let files = data.files().filter(|files| files.length() > 0);
        let dropped_in = folders::entries(&data);
        if upload.is_busy() || (files.is_none() && dropped_in.is_empty()) {
            return;
        }
        event.prevent_default();
        if dropped_in.iter().any(folders::is_folder) {
            spawn_local(folders::walk(dropped_in, move |found| take(upload, found.into_iter())));
        } else if let Some(files) = files {
            add(upload, &files);
        }
        dropped();
    });
    on_cleanup(move || {
        moves.remove();
        leaves.remove();
        drops.remove();
    });
}

/// Has the browser ask before the page is left while something is being sent, until the owner goes.
pub fn ask_before_leaving(upload: Upload) {
    let asks = window_event_listener(ev::beforeunload, move |event| {
        if upload.is_busy() {
            event.prevent_default();
            // Browsers that came before the above look at this.
            event.set_return_value("leave");
        }
    });
    on_cleanup(move || asks.remove());
}

fn input_of(event: &Event) -> Option<HtmlInputElement> {
    event.target()?.dyn_into().ok()
}

/// Files chosen in an input; the input is emptied, so that nothing is sent twice.
pub fn take_input(upload: Upload, event: &Event) {
    let Some(input) = input_of(event) else { return };
    if let Some(files) = input.files() {
        add(upload, &files);
    }
    input.set_value("");
}

/// Forgets the queue.
pub fn clear(upload: Upload) {
    FILES.with_borrow_mut(Vec::clear);
    upload.entries.set(Vec::new());
    upload.done.set(0);
    upload.left_out.set(false);
    upload.sent_bytes.set(0);
    upload.phase.set(UploadPhase::Idle);
}

/// Sends the form; `arrived` is told the batch's id.
pub fn send(
    upload: Upload,
    form: HtmlFormElement,
    content: UploadContent,
    arrived: impl FnOnce(String) + 'static,
) {
    upload.phase.set(UploadPhase::Sending);
    spawn_local(async move {
        let sent = match content {
            UploadContent::Queue => queue::send_queue(upload, &form).await,
            UploadContent::Form => send_form(upload, &form).await,
        };
        match sent {
            Ok(batch) => {
                clear(upload);
                arrived(batch);
            }
            Err(reason) => upload.phase.set(UploadPhase::Refused(reason)),
        }
    });
}

fn unexpected(_fault: JsValue) -> String {
    "The browser could not send this.".to_owned()
}

async fn send_form(upload: Upload, form: &HtmlFormElement) -> Result<String, String> {
    let data = FormData::new_with_form(form).map_err(unexpected)?;
    items_last(&data).map_err(unexpected)?;
    let answer = request::send("POST", "/api/v1/batches", Body::Form(&data), move |sent| {
        upload.sent_bytes.set(whole(sent));
    })
    .await
    .map_err(unexpected)?;
    created(&answer)
}

/// Puts what brings items behind the settings, so that the server reads it as it comes.
fn items_last(data: &FormData) -> Result<(), JsValue> {
    data.delete("file");
    for name in ["lines", "csv"] {
        let parts = data.get_all(name);
        data.delete(name);
        for part in parts.iter() {
            match part.dyn_into::<File>() {
                Ok(file) if file.size() > 0.0 => {
                    data.append_with_blob_and_filename(name, &file, &file.name())?
                }
                Ok(_nothing) => {}
                Err(text) => data.append_with_str(name, &text.as_string().unwrap_or_default())?,
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of bytes are below 2^53")]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

fn created(answer: &UploadAnswer) -> Result<String, String> {
    match (answer.status, answer.body["id"].as_str()) {
        (200 | 201, Some(id)) => Ok(id.to_owned()),
        (0, _) => Err("No contact with the server. Nothing was submitted; try again.".to_owned()),
        _ => Err(answer.reason()),
    }
}
