//! Uploads in the browser: drops and inputs. What is sent, and how it goes on after a cut or a reload, is in `sender.js`.
//!
//! The files themselves cannot leave this thread: they are here, and `Upload::entries` lists them in the same number and
//! order. Their bytes are never held: the browser streams them.
//!
//! ```text
//! mod      what is taken in      folders   dropped folders      sending   the way to the script
//! ```

mod folders;
mod sending;

use std::cell::RefCell;

use gloo_timers::future::TimeoutFuture;
use leptos::ev;
use leptos::ev::Event;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{Reflect, Uint8Array};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DragEvent, File, FileList, HtmlFormElement, HtmlInputElement};

use crate::app::upload::{FILES_MAX, QueuedFile, Upload, UploadContent, UploadPhase};

/// Files taken in one turn: between two the page answers.
const TURN_FILES: usize = 500;
/// Bytes of a CSV that are looked at before the start.
const HEAD_BYTES: f64 = 262_144.0;
thread_local! {
    static FILES: RefCell<Vec<(File, String)>> = const { RefCell::new(Vec::new()) };
}

fn listed(files: &FileList) -> Vec<File> {
    (0..files.length()).filter_map(|at| files.get(at)).collect()
}

/// Takes files some at a time.
fn add(upload: Upload, files: Vec<File>) {
    spawn_local(async move {
        for (turn, files) in files.chunks(TURN_FILES).enumerate() {
            if turn > 0 {
                TimeoutFuture::new(0).await;
            }
            take(upload, files.iter().map(|file| (file.clone(), name_of(file))));
        }
        sending::compare(upload);
    });
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
        let files = data.files().filter(|files| files.length() > 0);
        let dropped_in = folders::entries(&data);
        if upload.is_busy() || (files.is_none() && dropped_in.is_empty()) {
            return;
        }
        event.prevent_default();
        if dropped_in.iter().any(folders::is_folder) {
            spawn_local(async move {
                folders::walk(dropped_in, move |found| take(upload, found.into_iter())).await;
                sending::compare(upload);
            });
        } else if let Some(files) = files {
            add(upload, listed(&files));
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
    // With its value, the list of the input is emptied.
    if let Some(files) = input.files() {
        add(upload, listed(&files));
    }
    input.set_value("");
}

/// Takes the file `at` out of the queue.
pub fn remove(upload: Upload, at: usize) {
    FILES.with_borrow_mut(|files| {
        if at < files.len() {
            files.remove(at);
        }
    });
    upload.entries.update(|entries| {
        if at < entries.len() {
            entries.remove(at);
        }
    });
    sending::compare(upload);
}

/// Forgets the queue.
pub fn clear(upload: Upload) {
    FILES.with_borrow_mut(Vec::clear);
    upload.entries.set(Vec::new());
    upload.done.set(0);
    upload.left_out.set(false);
    upload.sent_bytes.set(0);
    upload.equal.set(0);
    upload.phase.set(UploadPhase::Idle);
}

/// The first bytes of the file chosen in an input.
pub fn csv_head(event: &Event, then: impl FnOnce(Vec<u8>) + 'static) {
    let file = input_of(event).and_then(|input| input.files()).and_then(|files| files.get(0));
    let Some(head) = file.and_then(|file| file.slice_with_f64_and_f64(0.0, HEAD_BYTES).ok()) else { return };
    spawn_local(async move {
        if let Ok(bytes) = JsFuture::from(head.array_buffer()).await {
            then(Uint8Array::new(&bytes).to_vec());
        }
    });
}

/// Sends the form; `arrived` is told the batch's id.
pub fn send(
    upload: Upload,
    form: HtmlFormElement,
    content: UploadContent,
    arrived: impl FnOnce(String) + 'static,
) {
    sending::send(upload, &form, content, arrived);
}
