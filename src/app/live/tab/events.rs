//! Server-Sent Events: the same frames, where sockets do not open.
//!
//! Owns the browser's source of events and its closures. Called by the course. Invariant: dropping it closes the stream;
//! it never tries again by itself: the course does, with its delays. Deliberately reads no frame.

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventSource, MessageEvent};

use super::{connection_state, is_now, receive};

pub(super) struct Events {
    source: EventSource,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(Event)>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.source.set_onmessage(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

impl Events {
    /// Begins to listen to what `query` names; none where the browser does not even try.
    pub fn open(query: &str, attempt: u64) -> Option<Self> {
        let source = EventSource::new(&format!("/live/events?{query}")).ok()?;
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if is_now(attempt)
                && let Some(text) = event.data().as_string()
            {
                receive::text(&text);
            }
        });
        let error = Closure::<dyn FnMut(Event)>::new(move |_| {
            if is_now(attempt) {
                connection_state::lost(None);
            }
        });
        source.set_onmessage(Some(message.as_ref().unchecked_ref()));
        source.set_onerror(Some(error.as_ref().unchecked_ref()));
        Some(Self { source, _message: message, _error: error })
    }
}
