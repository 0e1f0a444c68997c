//! A batch filled from the queue: in groups of files, zips alone, large files in pieces; going on where the server stands after
//! a cut or a reload of the page.

use std::cell::Cell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsValue;
use web_sys::{File, FormData, HtmlFormElement};

use super::request::{self, Body, UploadAnswer};
use super::retry::{WAIT_FIRST, WAIT_MAX, pause};
use super::{FILES, bytes_of, created, kept, pieces, unexpected, whole};
use crate::app::upload::{LARGE_BYTES, QueuedFile, Upload};
use crate::backoff::Backoff;

/// Files in one request: a cut costs one group.
const GROUP_FILES_MAX: usize = 64;
/// Bytes in one request, unless a single file has more.
const GROUP_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// For so long nothing may come of a batch that this tab fills; then it ends. Longer than any wait for another try.
const IDLE_SECONDS: &str = "300";
/// How often a batch is told to wait while a large file is sent, in ms.
const ALIVE_MS: u32 = 60_000;

/// An open batch, filled in the order of the queue, then sealed. It is made with the first that is ready, so that a reload
/// before that leaves none behind; after a reload the same queue goes on with it.
pub async fn send_queue(upload: Upload, form: &HtmlFormElement) -> Result<String, String> {
    let data = FormData::new_with_form(form).map_err(unexpected)?;
    data.delete("file");
    data.append_with_str("option.open", "true").map_err(unexpected)?;
    // Where this tab goes and never comes back, the batch says so instead of waiting for ever.
    data.append_with_str("option.idle_seconds", IDLE_SECONDS).map_err(unexpected)?;
    kept::sweep();
    let queue = FILES.with_borrow(|files| kept::queue_text(&data, files));
    let mut batch = begun_before(upload, &queue).await?;
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    // Items beyond one a file: those that zips brought.
    let mut extra = 0;
    while upload.done.get_untracked() < FILES.with_borrow(Vec::len) {
        let first = upload.done.get_untracked();
        let part = next_part(upload, first).map_err(unexpected)?;
        let uploaded = match part.kind {
            PartKind::Large => Some(large_item(upload, first, batch.as_deref(), extra).await?),
            PartKind::Files | PartKind::Zip => None,
        };
        let id = match &batch {
            Some(id) => id.clone(),
            None => make(upload, &data, &queue).await?,
        };
        batch = Some(id.clone());
        let address = format!("/api/v1/batches/{id}/items?first_seq={}", first + extra + 1);
        let body = uploaded.as_deref().map_or(Body::Form(&part.form), Body::Json);
        let is_large = uploaded.is_some();
        let answer = request::send("POST", &address, body, move |sent| {
            if !is_large {
                upload.sent_bytes.set(whole(sent));
            }
        })
        .await
        .map_err(unexpected)?;
        upload.sent_bytes.set(0);
        match answer.status {
            200..=299 => {
                backoff.reset();
                upload.done.set(first + part.count);
                extra = total(&answer).saturating_sub(first + part.count);
            }
            409 if answer.body["total"].is_u64() => {
                go_on(upload, part.kind, first, &mut extra, total(&answer));
            }
            _ if answer.is_passing() => {
                pause(upload, backoff.next_delay()).await;
                if let Some(total) = ask_total(&id).await? {
                    go_on(upload, part.kind, first, &mut extra, total);
                }
            }
            _ => {
                forget_large(first, part.kind);
                return Err(answer.reason());
            }
        }
        if upload.done.get_untracked() > first {
            forget_large(first, part.kind);
        }
    }
    let Some(batch) = batch else { return Err("There is nothing to send.".to_owned()) };
    seal(upload, &batch).await?;
    kept::forget_batch();
    Ok(batch)
}

/// Makes the open batch.
async fn make(upload: Upload, data: &FormData, queue: &str) -> Result<String, String> {
    let answer =
        request::send("POST", "/api/v1/batches", Body::Form(data), |_| ()).await.map_err(unexpected)?;
    let batch = created(&answer)?;
    // Of what a zip brings nobody knows after a reload how many items it was.
    if !upload.unpack.get_untracked() {
        kept::keep_batch(queue, &batch);
    }
    Ok(batch)
}

/// The batch that the same queue was filling before a reload, where it still waits; what it has is done.
async fn begun_before(upload: Upload, queue: &str) -> Result<Option<String>, String> {
    let Some(batch) = kept::batch_of(queue) else { return Ok(None) };
    let address = format!("/api/v1/batches/{batch}");
    let answer = request::send("GET", &address, Body::None, |_| ()).await.map_err(unexpected)?;
    if answer.status == 200 && answer.body["sealed"] == false {
        upload.done.set(total(&answer).min(FILES.with_borrow(Vec::len)));
        return Ok(Some(batch));
    }
    if answer.status != 0 {
        kept::forget_batch();
    }
    Ok(None)
}

/// Sends the large file `at`; the body that names it as an item. The batch does not end meanwhile.
async fn large_item(upload: Upload, at: usize, batch: Option<&str>, extra: usize) -> Result<String, String> {
    let Some((file, name)) = FILES.with_borrow(|files| files.get(at).cloned()) else {
        return Err("The file is gone.".to_owned());
    };
    let _alive = batch.map(|batch| KeptAlive::begin(batch, at + extra + 1));
    let id = pieces::send_pieces(upload, &file, &name).await?;
    Ok(serde_json::json!({"items": [{"upload": id}]}).to_string())
}

fn forget_large(at: usize, kind: PartKind) {
    if kind == PartKind::Large {
        FILES.with_borrow(|files| {
            if let Some((file, name)) = files.get(at) {
                kept::forget_upload(file, name);
            }
        });
    }
}

/// Has the open batch wait while a large file is sent: now and then nothing is added to it. Ends when it is dropped.
struct KeptAlive(Rc<Cell<bool>>);

impl KeptAlive {
    fn begin(batch: &str, first_seq: usize) -> Self {
        let address = format!("/api/v1/batches/{batch}/items?first_seq={first_seq}");
        let ended = Rc::new(Cell::new(false));
        let is_ended = Rc::clone(&ended);
        spawn_local(async move {
            loop {
                TimeoutFuture::new(ALIVE_MS).await;
                if is_ended.get() {
                    return;
                }
                // Where it does not get through, the next may.
                let _answer = request::send("POST", &address, Body::Json(r#"{"items":[]}"#), |_| ()).await;
            }
        });
        Self(ended)
    }
}

impl Drop for KeptAlive {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn total(answer: &UploadAnswer) -> usize {
    answer.body["total"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0)
}

/// What a request brings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PartKind {
    /// Files, one item each.
    Files,
    /// One zip, whose files are items.
    Zip,
    /// One large file, which comes in pieces before.
    Large,
}

/// What goes together in one request.
struct QueuePart {
    kind: PartKind,
    /// Files.
    count: usize,
    /// Empty for a large file.
    form: FormData,
}

/// Goes on where the server stands after a cut, by its total.
fn go_on(upload: Upload, kind: PartKind, first: usize, extra: &mut usize, total: usize) {
    match kind {
        PartKind::Files | PartKind::Large => upload.done.set(total.saturating_sub(*extra)),
        // A zip goes alone, and none of it is an item before all of it has come.
        PartKind::Zip if total > first + *extra => {
            upload.done.set(first + 1);
            *extra = total - (first + 1);
        }
        PartKind::Zip => upload.done.set(first),
    }
}

/// The files from `first` on that go together.
fn next_part(upload: Upload, first: usize) -> Result<QueuePart, JsValue> {
    let form = FormData::new()?;
    let is_unpacked = |at: usize| {
        upload.unpack.get_untracked()
            && upload.entries.with_untracked(|entries| entries.get(at).is_some_and(QueuedFile::is_zip))
    };
    FILES.with_borrow(|files| {
        let kind_of = |at: usize, file: &File| {
            if is_unpacked(at) {
                PartKind::Zip
            } else if bytes_of(file) > LARGE_BYTES {
                PartKind::Large
            } else {
                PartKind::Files
            }
        };
        let kind = files.get(first).map_or(PartKind::Files, |(file, _name)| kind_of(first, file));
        if kind == PartKind::Large {
            return Ok(QueuePart { kind, count: 1, form });
        }
        if kind == PartKind::Zip {
            form.append_with_str("unpack", "true")?;
        }
        let (mut count, mut bytes) = (0, 0);
        for (at, (file, name)) in files.iter().enumerate().skip(first) {
            bytes += bytes_of(file);
            let is_full = count >= GROUP_FILES_MAX || bytes > GROUP_BYTES_MAX;
            if count > 0 && (is_full || kind == PartKind::Zip || kind_of(at, file) != kind) {
                break;
            }
            form.append_with_blob_and_filename("file", file, name)?;
            count += 1;
        }
        Ok(QueuePart { kind, count, form })
    })
}

/// Where to go on, as the server says it; no answer leaves it to the next try.
async fn ask_total(batch: &str) -> Result<Option<usize>, String> {
    let answer = request::send("GET", &format!("/api/v1/batches/{batch}"), Body::None, |_| ())
        .await
        .map_err(unexpected)?;
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
        let answer = request::send("POST", &address, Body::None, |_| ()).await.map_err(unexpected)?;
        match answer.status {
            200..=299 => return Ok(()),
            _ if answer.is_passing() => pause(upload, backoff.next_delay()).await,
            _ => return Err(answer.reason()),
        }
    }
}
