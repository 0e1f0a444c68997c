//! Folders dropped on the page, walked to their files.
//!
//! The walk is bounded and ends; a folder that cannot be read is left out.

use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DataTransfer, File};

/// Files handed on at once, so that the list grows while a large folder is read.
const GROUP_FILES: usize = 256;
/// Files and folders looked at in one drop.
const ENTRIES_MAX: usize = 400_000;

fn get(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

fn method(of: &JsValue, name: &str) -> Option<Function> {
    get(of, name).dyn_into().ok()
}

/// What was dropped; must be read while the event is handled.
pub fn entries(data: &DataTransfer) -> Vec<JsValue> {
    let items = data.items();
    (0..items.length())
        .filter_map(|at| items.get(at))
        .filter_map(|item| method(&item, "webkitGetAsEntry")?.call0(&item).ok())
        .filter(|entry| !entry.is_null() && !entry.is_undefined())
        .collect()
}

/// True for a folder.
pub fn is_folder(entry: &JsValue) -> bool {
    get(entry, "isDirectory").is_truthy()
}

/// Calls a method that takes what to call with its result, and with its fault.
async fn answer(of: &JsValue, name: &str) -> Option<JsValue> {
    let method = method(of, name)?;
    let promise = Promise::new(&mut |resolve, reject| {
        if method.call2(of, &resolve, &reject).is_err() {
            let _nothing = reject.call0(&JsValue::NULL);
        }
    });
    JsFuture::from(promise).await.ok()
}

/// Hands on every file below `entries` with its path, until `take` has no room.
pub async fn walk(entries: Vec<JsValue>, take: impl Fn(Vec<(File, String)>) -> bool) {
    let mut open = entries;
    open.reverse();
    let (mut found, mut seen) = (Vec::new(), 0);
    while let Some(entry) = open.pop() {
        seen += 1;
        if seen > ENTRIES_MAX {
            break;
        }
        if is_folder(&entry) {
            let mut inside = children(&entry).await;
            inside.reverse();
            open.append(&mut inside);
        } else if let Some(file) = answer(&entry, "file").await.and_then(|file| file.dyn_into::<File>().ok())
        {
            let path = get(&entry, "fullPath").as_string().unwrap_or_default();
            let path = path.trim_start_matches('/');
            let name = if path.is_empty() { file.name() } else { path.to_owned() };
            found.push((file, name));
        }
        if found.len() >= GROUP_FILES && !take(std::mem::take(&mut found)) {
            return;
        }
    }
    take(found);
}

/// What a folder holds: it is read in portions, until one is empty.
async fn children(folder: &JsValue) -> Vec<JsValue> {
    let Some(reader) = method(folder, "createReader").and_then(|make| make.call0(folder).ok()) else {
        return Vec::new();
    };
    let mut inside = Vec::new();
    while let Some(portion) = answer(&reader, "readEntries").await {
        let portion = Array::from(&portion);
        if portion.length() == 0 || inside.len() > ENTRIES_MAX {
            break;
        }
        inside.extend(portion.iter());
    }
    inside
}
