//! Rows that have come, handed to who shows them once per animation frame.
//!
//! Observers get deltas in the order in which they came.

use crate::app::live::LiveClient;
use crate::client::fold::Delta;
use crate::protocol::Topic;

/// Deltas that may wait for an animation frame; one more and they are delivered at once.
pub(super) const WAITING_MAX: usize = 256;

/// What waits for the next animation frame. At most [`WAITING_MAX`] and one.
#[derive(Default)]
pub(super) struct Delivery {
    waiting: Vec<(Topic, Delta)>,
}

impl Delivery {
    /// Keeps a delta; how many wait by now.
    pub(super) fn push(&mut self, topic: Topic, delta: Delta) -> usize {
        self.waiting.push((topic, delta));
        self.waiting.len()
    }

    /// Delivers all that waits. Topics of which something did not fit: they are to be subscribed to again.
    pub(super) fn deliver(&mut self, client: &LiveClient) -> Vec<Topic> {
        let mut torn = Vec::new();
        for (topic, delta) in std::mem::take(&mut self.waiting) {
            let mut observers = client.observers().of(topic);
            let last = observers.pop();
            let mut fits = true;
            for observer in observers {
                fits &= observer.receive(delta.clone());
            }
            if let Some(observer) = last {
                fits &= observer.receive(delta);
            }
            if !fits {
                torn.push(topic);
            }
        }
        torn
    }
}
