//! Tells the page's bootstrap that the program has panicked.
//!
//! It takes no lock and no signal: whatever panicked may hold them.

use leptos::web_sys::js_sys::Reflect;
use leptos::web_sys::{Event, window};

/// Says `message` in an event `milepost:panic`, which the bootstrap listens to.
pub fn panicked(message: &str) {
    let Some((window, event)) = window().zip(Event::new("milepost:panic").ok()) else { return };
    // Where either is refused the trap that follows is told, without its words.
    let _unsaid = Reflect::set(&event, &"detail".into(), &message.into());
    let _unheard = window.dispatch_event(&event);
}
