//! One request with progress, as a future.
//!
//! It always ends; status 0 means that there was no answer.

use leptos::wasm_bindgen::closure::Closure;
use leptos::wasm_bindgen::{JsCast, JsValue};
use leptos::web_sys::js_sys::{Function, Promise};
use serde_json::Value;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, FormData, ProgressEvent, XmlHttpRequest};

/// What came back.
pub struct UploadAnswer {
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// The body, if it is JSON.
    pub body: Value,
}

impl UploadAnswer {
    /// True where trying again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(self.status, 0 | 429 | 502 | 503 | 504)
    }

    /// Why it was refused, in words.
    pub fn reason(&self) -> String {
        match (self.body["detail"].as_str(), self.body["line"].as_u64()) {
            (Some(detail), Some(line)) => format!("{detail} (line {line})"),
            (Some(detail), None) => detail.to_owned(),
            (None, _) => format!("The server answered {}.", self.status),
        }
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// A form.
    Form(&'a FormData),
    /// JSON as text.
    Json(&'a str),
    /// The bytes of a file after the first `offset`.
    Piece {
        /// The bytes.
        bytes: &'a Blob,
        /// Bytes of the file before them.
        offset: u64,
    },
}

/// Sends `body` to `address`; `sent` is told the bytes sent so far.
pub async fn send(
    method: &str,
    address: &str,
    body: Body<'_>,
    sent: impl Fn(f64) + 'static,
) -> Result<UploadAnswer, JsValue> {
    let request = XmlHttpRequest::new()?;
    request.open(method, address)?;
    request.set_request_header("Accept", "application/json")?;
    let progress = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| sent(event.loaded()));
    request.upload()?.set_onprogress(Some(progress.as_ref().unchecked_ref()));
    let ended = Promise::new(&mut |resolve: Function, _reject| {
        let told = Closure::once_into_js(move || {
            let _nothing = resolve.call0(&JsValue::NULL);
        });
        request.set_onloadend(Some(told.unchecked_ref()));
    });
    match body {
        Body::None => request.send()?,
        Body::Form(form) => request.send_with_opt_form_data(Some(form))?,
        Body::Json(text) => {
            request.set_request_header("Content-Type", "application/json")?;
            request.send_with_opt_str(Some(text))?;
        }
        Body::Piece { bytes, offset } => {
            request.set_request_header("Content-Type", "application/octet-stream")?;
            request.set_request_header("Upload-Offset", &offset.to_string())?;
            request.send_with_opt_blob(Some(bytes))?;
        }
    }
    JsFuture::from(ended).await?;
    let text = request.response_text()?.unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(UploadAnswer { status: request.status()?, body })
}
