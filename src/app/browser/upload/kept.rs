//! What of an upload is kept over a reload: which large files the server knows, and which batch a queue was filling.
//!
//! Kept in the browser's local storage. Nothing in it is believed: the server is asked before anything is gone on with.
//! Entries that nobody came back for go after two days, when the server has forgotten them too.

use leptos::web_sys::js_sys::Date;
use serde::{Deserialize, Serialize};
use web_sys::{File, FormData, Storage};

use super::bytes_of;

/// What the names of large files begin with.
const FILE_PREFIX: &str = "milepost-upload:";
/// Name of the batch that is being filled.
const BATCH_NAME: &str = "milepost-filling";
/// For so long something is kept, in ms.
const KEPT_MS: f64 = 48.0 * 3_600.0 * 1_000.0;

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

/// A large file, by its name, size and time of change.
fn file_key(file: &File, name: &str) -> String {
    format!("{FILE_PREFIX}{}:{}:{name}", bytes_of(file), file.last_modified())
}

#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    /// Milliseconds since 1970.
    at: f64,
    /// What the batch is made of.
    #[serde(default)]
    queue: String,
}

fn read(name: &str) -> Option<Kept> {
    let text = storage()?.get_item(name).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

fn write(name: &str, id: &str, queue: &str) {
    let kept = Kept { id: id.to_owned(), at: Date::now(), queue: queue.to_owned() };
    if let (Some(storage), Ok(text)) = (storage(), serde_json::to_string(&kept)) {
        // Without room a reload begins anew, nothing worse.
        let _unkept = storage.set_item(name, &text);
    }
}

fn remove(name: &str) {
    if let Some(storage) = storage() {
        let _unkept = storage.remove_item(name);
    }
}

/// The upload of a file that was begun before, by its id.
pub fn upload_of(file: &File, name: &str) -> Option<String> {
    read(&file_key(file, name)).map(|kept| kept.id)
}

/// The file is being sent as this upload.
pub fn keep_upload(file: &File, name: &str, id: &str) {
    write(&file_key(file, name), id, "");
}

/// The upload was used, or is not there any more.
pub fn forget_upload(file: &File, name: &str) {
    remove(&file_key(file, name));
}

/// The batch that the same queue was filling.
pub fn batch_of(queue: &str) -> Option<String> {
    read(BATCH_NAME).filter(|kept| kept.queue == queue).map(|kept| kept.id)
}

/// The queue fills this batch.
pub fn keep_batch(queue: &str, id: &str) {
    write(BATCH_NAME, id, queue);
}

/// The batch is whole, or given up.
pub fn forget_batch() {
    remove(BATCH_NAME);
}

/// Removes what nobody came back for.
pub fn sweep() {
    let Some(storage) = storage() else { return };
    let names: Vec<String> = (0..storage.length().unwrap_or(0))
        .filter_map(|at| storage.key(at).ok().flatten())
        .filter(|name| name.starts_with(FILE_PREFIX))
        .collect();
    for name in names {
        if read(&name).is_none_or(|kept| Date::now() - kept.at > KEPT_MS) {
            remove(&name);
        }
    }
}

/// What a queue is: the fields of its form, and its files by name, size and time of change. Equal texts are the same queue.
pub fn queue_text(form: &FormData, files: &[(File, String)]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    // FNV-1a: nobody is to be kept from making two that are equal.
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for entry in form.entries().into_iter().flatten() {
        let entry: leptos::web_sys::js_sys::Array = entry.into();
        for part in [entry.get(0), entry.get(1)] {
            add(&part.as_string().unwrap_or_default());
        }
    }
    for (file, name) in files {
        add(&file_key(file, name));
    }
    format!("{hash:016x}-{}", files.len())
}
