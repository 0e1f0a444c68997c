//! Events handled one after the other, also those that are raised while one is handled.
//!
//! Callbacks of a browser come from anywhere: a timer, a socket, or a signal that is set while an event is handled. The
//! handler is never entered twice; what is raised meanwhile waits for its turn and is not lost.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

type Handler<E> = Box<dyn FnMut(E)>;

/// Events on their way to one handler, on one thread. Holds what is raised while an event is handled, no more.
pub struct EventQueue<E> {
    waiting: RefCell<VecDeque<E>>,
    handler: RefCell<Option<Handler<E>>>,
    is_handling: Cell<bool>,
}

impl<E> EventQueue<E> {
    /// Nobody handles events yet: they are dropped.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiting: RefCell::new(VecDeque::new()),
            handler: RefCell::new(None),
            is_handling: Cell::new(false),
        }
    }

    /// True once somebody handles events.
    pub fn is_handled(&self) -> bool {
        self.is_handling.get() || self.handler.borrow().is_some()
    }

    /// Hands all later events to `handler`, in the order in which they are raised. The first handler stays.
    pub fn handle_with(&self, handler: impl FnMut(E) + 'static) {
        if !self.is_handled() {
            *self.handler.borrow_mut() = Some(Box::new(handler));
        }
    }

    /// Handles `event` now, or after the one that is being handled.
    pub fn raise(&self, event: E) {
        self.waiting.borrow_mut().push_back(event);
        if self.is_handling.get() {
            return;
        }
        // The handler is out of its cell while it runs: whatever it raises comes to the return above.
        let Some(mut handler) = self.handler.borrow_mut().take() else {
            self.waiting.borrow_mut().clear();
            return;
        };
        self.is_handling.set(true);
        // A statement of its own: the borrow must not last while the event is handled.
        while let Some(next) = self.next() {
            handler(next);
        }
        self.is_handling.set(false);
        *self.handler.borrow_mut() = Some(handler);
    }

    fn next(&self) -> Option<E> {
        self.waiting.borrow_mut().pop_front()
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn what_is_raised_meanwhile_comes_after_and_is_not_lost() {
        let queue = Rc::new(EventQueue::<u32>::new());
        let log = Rc::new(RefCell::new(Vec::new()));
        let (inner, seen) = (Rc::clone(&queue), Rc::clone(&log));
        queue.handle_with(move |event| {
            seen.borrow_mut().push(("begin", event));
            if event < 3 {
                inner.raise(event + 10);
                inner.raise(event + 1);
            }
            seen.borrow_mut().push(("end", event));
        });
        queue.raise(1);
        queue.raise(7);
        let order: Vec<u32> = log.borrow().iter().map(|(_, event)| *event).collect();
        assert_eq!(order, [1, 1, 11, 11, 2, 2, 12, 12, 3, 3, 7, 7], "never one within another");
    }

    #[test]
    fn without_a_handler_nothing_is_kept_and_the_first_one_stays() {
        let queue = EventQueue::new();
        queue.raise(1);
        assert!(!queue.is_handled());
        let log = Rc::new(RefCell::new(Vec::new()));
        for name in ["first", "second"] {
            let seen = Rc::clone(&log);
            queue.handle_with(move |event| seen.borrow_mut().push((name, event)));
        }
        queue.raise(2);
        assert_eq!(*log.borrow(), [("first", 2)]);
    }
}
