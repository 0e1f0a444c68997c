//! A large file, piece by piece: after a cut, or a reload of the page, it goes on where the server says.

use leptos::prelude::*;
use leptos::wasm_bindgen::JsValue;
use serde_json::json;
use web_sys::File;

use super::request::{self, Body, UploadAnswer};
use super::retry::{WAIT_FIRST, WAIT_MAX, pause};
use super::{Upload, bytes_of, kept, unexpected, whole};
use crate::backoff::Backoff;

/// Bytes of a piece: a cut costs no more than these, mostly less.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;
/// Times that a file is announced anew because the server has forgotten it.
const ANNOUNCED_MAX: u32 = 3;

/// Sends the rest of a file; the id of its upload, which is whole then.
pub async fn send_pieces(upload: Upload, file: &File, name: &str) -> Result<String, String> {
    let mut backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
    let mut announced = 0;
    loop {
        let id = match kept::upload_of(file, name) {
            Some(id) => id,
            None if announced == ANNOUNCED_MAX => return Err("The server forgets this upload.".to_owned()),
            None => {
                announced += 1;
                announce(upload, file, name, &mut backoff).await?
            }
        };
        match offset_of(upload, &id, &mut backoff).await? {
            Some(offset) => {
                if send_from(upload, file, &id, offset, &mut backoff).await? {
                    return Ok(id);
                }
            }
            None => kept::forget_upload(file, name),
        }
    }
}

async fn announce(upload: Upload, file: &File, name: &str, backoff: &mut Backoff) -> Result<String, String> {
    let body = json!({"name": name, "bytes": bytes_of(file)}).to_string();
    loop {
        let sent = request::send("POST", "/api/v1/uploads", Body::Json(&body), |_| ());
        let answer = sent.await.map_err(unexpected)?;
        match (answer.status, answer.body["id"].as_str()) {
            (201, Some(id)) => {
                kept::keep_upload(file, name, id);
                return Ok(id.to_owned());
            }
            // A bound that does not pass by waiting: others must go first.
            (429, _) => return Err(answer.reason()),
            _ if answer.is_passing() => pause(upload, backoff.next_delay()).await,
            _ => return Err(answer.reason()),
        }
    }
}

/// Where to go on; none where the server has no such upload.
async fn offset_of(upload: Upload, id: &str, backoff: &mut Backoff) -> Result<Option<u64>, String> {
    loop {
        let address = format!("/api/v1/uploads/{id}");
        let answer = request::send("GET", &address, Body::None, |_| ()).await.map_err(unexpected)?;
        match answer.status {
            200 => return Ok(answer.body["offset"].as_u64()),
            404 => return Ok(None),
            _ if answer.is_passing() => pause(upload, backoff.next_delay()).await,
            _ => return Err(answer.reason()),
        }
    }
}

/// Sends from `offset` on; false where the upload is not there any more.
async fn send_from(
    upload: Upload,
    file: &File,
    id: &str,
    mut offset: u64,
    backoff: &mut Backoff,
) -> Result<bool, String> {
    let bytes = bytes_of(file);
    while offset < bytes {
        upload.sent_bytes.set(offset);
        let end = bytes.min(offset + PIECE_BYTES);
        let answer = send_piece(upload, file, id, (offset, end)).await.map_err(unexpected)?;
        match answer.status {
            204 => {
                backoff.reset();
                offset = end;
            }
            404 => return Ok(false),
            409 if answer.body["offset"].is_u64() => {
                offset = answer.body["offset"].as_u64().unwrap_or(offset)
            }
            // A body that was cut says how much of it came, if it comes to an answer at all.
            400 if answer.body["offset"].is_u64() => {
                offset = answer.body["offset"].as_u64().unwrap_or(offset)
            }
            _ if answer.is_passing() => {
                pause(upload, backoff.next_delay()).await;
                match offset_of(upload, id, backoff).await? {
                    Some(now) => offset = now,
                    None => return Ok(false),
                }
            }
            _ => return Err(answer.reason()),
        }
    }
    upload.sent_bytes.set(bytes);
    Ok(true)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are below 2^53")]
async fn send_piece(
    upload: Upload,
    file: &File,
    id: &str,
    (start, end): (u64, u64),
) -> Result<UploadAnswer, JsValue> {
    let piece = file.slice_with_f64_and_f64(start as f64, end as f64)?;
    let body = Body::Piece { bytes: &piece, offset: start };
    request::send("PATCH", &format!("/api/v1/uploads/{id}"), body, move |sent| {
        upload.sent_bytes.set(start + whole(sent));
    })
    .await
}
