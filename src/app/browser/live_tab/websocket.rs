//! The WebSocket of this tab, which it may share with others (`shared_line.js`).
//!
//! The browser's own type, since gloo-net's keeps a queue without bound behind a stream that nobody polls in a hidden
//! tab, and cannot be closed once it is split.

use leptos::prelude::{document, window};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use super::reload;
use crate::app::live::queue::raise_live;
use crate::client::connection::LiveEvent;
use crate::client::decoder::{Encoded, FrameDecoder, encode, read_json};
use crate::protocol::{ClientFrame, Codec};

#[wasm_bindgen(module = "/src/app/browser/live_tab/shared_line.js")]
extern "C" {
    /// What stands for a socket to `url`: one for all tabs with `key`.
    #[wasm_bindgen(js_name = openLine)]
    fn open_line(url: &str, protocols: &js_sys::Array, key: Option<&str>) -> WebSocket;
}

/// The attribute of the document that names the sign-in: tabs with the same one may share a line.
const LINE_KEY: &str = "data-line";

/// A socket and its closures.
pub(super) struct TabSocket {
    socket: WebSocket,
    _open: Closure<dyn FnMut(Event)>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

/// The compact codec is offered with the build of this page; a server of another build chooses the other.
fn url() -> Option<String> {
    let location = window().location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    Some(format!("{scheme}://{}{}?build={}", location.host().ok()?, super::live_path(), reload::page_build()))
}

impl TabSocket {
    /// Begins to connect; none where the browser does not even try.
    pub(super) fn open(attempt: u64) -> Option<Self> {
        let offers = js_sys::Array::new();
        for codec in [Codec::Binary, Codec::Json] {
            offers.push(&codec.subprotocol().into());
        }
        let key = document().document_element().and_then(|root| root.get_attribute(LINE_KEY));
        let socket = open_line(&url()?, &offers, key.as_deref());
        socket.set_binary_type(BinaryType::Arraybuffer);
        let open = Closure::<dyn FnMut(Event)>::new(move |_| raise_live(LiveEvent::SocketOpened { attempt }));
        let mut decoder = FrameDecoder::default();
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data();
            let read = match data.as_string() {
                Some(text) => read_json(&text),
                None => decoder.read(&js_sys::Uint8Array::new(&data).to_vec()),
            };
            match read {
                Ok(frame) => raise_live(LiveEvent::Received { attempt, frame }),
                Err(_form) => warn_unreadable(),
            }
        });
        // `error` says no more than the `close` that always follows it: counting both would try twice.
        let close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            raise_live(LiveEvent::SocketClosed { attempt, code: event.code(), reason: event.reason() });
        });
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        Some(Self { socket, _open: open, _message: message, _close: close })
    }

    /// Closes the socket; nothing of it is heard afterwards.
    pub(super) fn close(&self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closed already, or about to be: either way there is nothing to do about it.
        let _closed = self.socket.close();
    }

    /// Sends a frame in the codec that the server has chosen, if the socket is open.
    pub(super) fn send(&self, frame: &ClientFrame) {
        if self.socket.ready_state() != WebSocket::OPEN {
            return;
        }
        let is_compact = self.socket.protocol() == Codec::Binary.subprotocol();
        let sent = match encode(frame, if is_compact { Codec::Binary } else { Codec::Json }) {
            Encoded::Text(text) => self.socket.send_with_str(&text),
            Encoded::Bytes(bytes) => self.socket.send_with_u8_array(&bytes),
        };
        if sent.is_err() {
            leptos::logging::warn!("a live frame could not be sent");
        }
    }
}

/// A frame could not be read.
pub(super) fn warn_unreadable() {
    leptos::logging::warn!("a live frame could not be read; the page may be older than the server");
}
