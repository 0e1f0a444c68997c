//! The events of this tab: raised by pages, timers and transports, handled by the tab's driver.
//!
//! While the server renders nobody handles them, and they are dropped.

use crate::client::connection::LiveEvent;
use crate::client::event_queue::EventQueue;

/// What happens in this tab.
pub enum TabEvent {
    /// For the state machine.
    Live(LiveEvent),
    /// The browser is about to draw: what has come is shown.
    DeliveryDue,
    /// Somebody wants the page reloaded.
    ReloadWanted,
}

thread_local! {
    // A tab is one thread.
    static QUEUE: EventQueue<TabEvent> = const { EventQueue::new() };
}

/// Hands all events to `handler`; false where another one already has them.
pub fn handle_with(handler: impl FnMut(TabEvent) + 'static) -> bool {
    QUEUE.with(|queue| {
        let is_first = !queue.is_handled();
        queue.handle_with(handler);
        is_first
    })
}

/// Has an event handled: now, or after the one that is being handled. Before the start it does nothing.
pub fn raise(event: TabEvent) {
    QUEUE.with(|queue| queue.raise(event));
}

/// As [`raise`], for the state machine.
pub fn raise_live(event: LiveEvent) {
    raise(TabEvent::Live(event));
}
