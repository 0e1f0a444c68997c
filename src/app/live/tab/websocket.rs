//! The WebSocket of this tab.
//!
//! Owns the browser's socket and its closures. Called by the course (opens) and by what is asked (says). Invariant:
//! dropping it closes the socket and frees its closures, and nothing of it is heard after. The browser's own type, since
//! gloo-net's keeps a queue without bound behind a stream that nobody polls in a hidden tab, and cannot be closed once
//! it is split. Deliberately reads no frame.

use leptos::prelude::window;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use super::{connection_state, is_now, receive, reload, subscribe, with_tab};
use crate::protocol::{ClientFrame, Codec, binary};

pub struct Wire {
    socket: WebSocket,
    _open: Closure<dyn FnMut(Event)>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closed already, or about to be: either way there is nothing to do about it.
        let _closed = self.socket.close();
    }
}

/// The compact codec is offered with the build of this page; a server of another build chooses the other.
fn url() -> Option<String> {
    let location = window().location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    Some(format!("{scheme}://{}/live?build={}", location.host().ok()?, reload::page_build()))
}

impl Wire {
    /// Begins to connect; none where the browser does not even try.
    pub fn open(attempt: u64) -> Option<Self> {
        let offers = js_sys::Array::new();
        for codec in [Codec::Binary, Codec::Json] {
            offers.push(&codec.subprotocol().into());
        }
        let socket = WebSocket::new_with_str_sequence(&url()?, &offers).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let open = Closure::<dyn FnMut(Event)>::new(move |_| {
            if is_now(attempt) {
                with_tab(|tab| tab.codec = tab.spoken());
                subscribe::ask();
            }
        });
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if !is_now(attempt) {
                return;
            }
            let data = event.data();
            if let Some(text) = data.as_string() {
                receive::text(&text);
            } else if let Ok(buffer) = data.dyn_into::<js_sys::ArrayBuffer>() {
                receive::bytes(&js_sys::Uint8Array::new(&buffer).to_vec());
            }
        });
        // `error` says no more than the `close` that always follows it: counting both would try twice.
        let close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            if is_now(attempt) {
                connection_state::closed(event.code(), &event.reason());
            }
        });
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        Some(Self { socket, _open: open, _message: message, _close: close })
    }

    pub fn is_open(&self) -> bool {
        self.socket.ready_state() == WebSocket::OPEN
    }

    /// The codec that the server has chosen.
    pub fn codec(&self) -> Codec {
        if self.socket.protocol() == Codec::Binary.subprotocol() { Codec::Binary } else { Codec::Json }
    }

    /// Says a frame, if the socket is open.
    pub fn say(&self, frame: &ClientFrame, codec: Codec) {
        if !self.is_open() {
            return;
        }
        let said = match codec {
            Codec::Binary => self.socket.send_with_u8_array(&binary::of_client(frame)),
            Codec::Json => match serde_json::to_string(frame) {
                Ok(text) => self.socket.send_with_str(&text),
                Err(_never) => return,
            },
        };
        if said.is_err() {
            leptos::logging::warn!("a live frame could not be sent");
        }
    }
}
