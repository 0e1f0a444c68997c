//! Uploads in the browser: drops, inputs, groups, and going on after a cut.
//!
//! The files themselves cannot leave this thread: they are here, and `Upload::entries` lists them in the same number and
//! order. Their bytes are never held: the browser streams them.

mod folders;
mod request;

use std::cell::RefCell;
use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::ev;
use leptos::ev::Event;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{Reflect, Uint8Array};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DragEvent, File, FileList, FormData, HtmlFormElement, HtmlInputElement};

use self::request::UploadAnswer;
use crate::app::upload::{FILES_MAX, QueuedFile, Upload, UploadContent, UploadPhase};
use crate::backoff::Backoff;

/// Files in one request: a cut costs one group.
const GROUP_FILES_MAX: usize = 64;
/// Bytes in one request, unless a single file has more.
const GROUP_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of a CSV that are looked at before the start.
const HEAD_BYTES: f64 = 262_144.0;
/// Wait before another try after the first failure, and the longest.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// For so long nothing may come of a batch that this tab fills; then it ends. Longer than any wait for another try.
const IDLE_SECONDS: &str = "300";

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
    upload.phase.set(UploadPhase::Sending);
    spawn_local(async move {
        let sent = match content {
            UploadContent::Queue => send_queue(upload, &form).await,
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
    let answer = request::send("POST", "/api/v1/batches", Some(&data), move |sent| {
        upload.sent_bytes.set(whole(sent));
    })
    .await
    .map_err(unexpected)?;
    created(&answer)
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

/// An open batch, filled in groups, then sealed.
async fn send_queue(upload: Upload, form: &HtmlFormElement) -> Result<String, String> {
    let data = FormData::new_with_form(form).map_err(unexpected)?;
    data.delete("file");
    data.append_with_str("option.open", "true").map_err(unexpected)?;
    // Where this tab goes and never comes back, the batch says so instead of waiting for ever.
    data.append_with_str("option.idle_seconds", IDLE_SECONDS).map_err(unexpected)?;
    let answer = request::send("POST", "/api/v1/batches", Some(&data), |_| ()).await.map_err(unexpected)?;
    let batch = created(&answer)?;
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    // Items beyond one a file: those that zips brought.
    let mut extra = 0;
    while upload.done.get_untracked() < FILES.with_borrow(Vec::len) {
        let first = upload.done.get_untracked();
        let (group, count, kind) = next_group(upload, first).map_err(unexpected)?;
        let address = format!("/api/v1/batches/{batch}/items?first_seq={}", first + extra + 1);
        let answer = request::send("POST", &address, Some(&group), move |sent| {
            upload.sent_bytes.set(whole(sent));
        })
        .await
        .map_err(unexpected)?;
        upload.sent_bytes.set(0);
        match answer.status {
            200..=299 => {
                backoff.reset();
                upload.done.set(first + count);
                extra = total(&answer).saturating_sub(first + count);
            }
            409 if answer.body["total"].is_u64() => go_on(upload, kind, first, &mut extra, total(&answer)),
            _ if answer.is_passing() => {
                pause(upload, backoff.next_delay()).await;
                if let Some(total) = ask_total(&batch).await? {
                    go_on(upload, kind, first, &mut extra, total);
                }
            }
            _ => return Err(answer.reason()),
        }
    }
    seal(upload, &batch).await?;
    Ok(batch)
}

fn total(answer: &UploadAnswer) -> usize {
    answer.body["total"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0)
}

/// What a group holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupKind {
    /// Files, one item each.
    Files,
    /// One zip, whose files are items.
    Zip,
}

/// Goes on where the server stands after a cut, by its total.
fn go_on(upload: Upload, kind: GroupKind, first: usize, extra: &mut usize, total: usize) {
    match kind {
        GroupKind::Files => upload.done.set(total.saturating_sub(*extra)),
        // A zip goes alone, and none of it is an item before all of it has come.
        GroupKind::Zip if total > first + *extra => {
            upload.done.set(first + 1);
            *extra = total - (first + 1);
        }
        GroupKind::Zip => upload.done.set(first),
    }
}

/// The files from `first` on that go together, and how many they are.
fn next_group(upload: Upload, first: usize) -> Result<(FormData, usize, GroupKind), JsValue> {
    let group = FormData::new()?;
    let (mut count, mut bytes) = (0, 0);
    let is_unpacked = |at: usize| {
        upload.unpack.get_untracked()
            && upload.entries.with_untracked(|entries| entries.get(at).is_some_and(QueuedFile::is_zip))
    };
    let kind = if is_unpacked(first) { GroupKind::Zip } else { GroupKind::Files };
    if kind == GroupKind::Zip {
        group.append_with_str("unpack", "true")?;
    }
    FILES.with_borrow(|files| {
        for (at, (file, name)) in files.iter().enumerate().skip(first) {
            bytes += bytes_of(file);
            let is_full = count >= GROUP_FILES_MAX || bytes > GROUP_BYTES_MAX;
            if count > 0 && (is_full || kind == GroupKind::Zip || is_unpacked(at)) {
                break;
            }
            group.append_with_blob_and_filename("file", file, name)?;
            count += 1;
        }
        Ok((group, count, kind))
    })
}

/// Waits for `delay`, a number of whole seconds; the page counts down.
async fn pause(upload: Upload, delay: Duration) {
    let seconds = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
    for left in (1..=seconds).rev() {
        upload.phase.set(UploadPhase::Waiting { seconds: left });
        TimeoutFuture::new(1_000).await;
    }
    upload.phase.set(UploadPhase::Sending);
}

/// Where to go on, as the server says it; no answer leaves it to the next try.
async fn ask_total(batch: &str) -> Result<Option<usize>, String> {
    let answer =
        request::send("GET", &format!("/api/v1/batches/{batch}"), None, |_| ()).await.map_err(unexpected)?;
    match answer.status {
        200 => Ok(Some(total(&answer))),
        _ if answer.is_passing() => Ok(None),
        _ => Err(answer.reason()),
    }
}

async fn seal(upload: Upload, batch: &str) -> Result<(), String> {
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    loop {
        let address = format!("/api/v1/batches/{batch}/seal");
        let answer = request::send("POST", &address, None, |_| ()).await.map_err(unexpected)?;
        match answer.status {
            200..=299 => return Ok(()),
            _ if answer.is_passing() => pause(upload, backoff.next_delay()).await,
            _ => return Err(answer.reason()),
        }
    }
}
