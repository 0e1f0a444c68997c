//! The thread that sends where many hear the same topic.
//!
//! Owns that thread and what waits for it. Called by the hub and its timer. Invariant: a topic waits at most once, and is
//! served as it then is: when sending takes longer than a tick, ticks are left out, and nothing queues. A thread of its
//! own, since where the machine is busy with work, one task among many would get too small a share of it for thousands of
//! sockets. Deliberately knows no row.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::time::Instant;

use super::channel::{Channel, ring};
use crate::fault::Loop;

/// Sessions that are served together, in three passes: who has room, what is due, send. What a pass needs of one session
/// is on its way from memory while it looks at the one before; a call of the system in between would wait for it each time.
const SERVED_AT_ONCE: usize = 64;

/// The thread. It ends when this is dropped.
pub struct Herald {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Bounded by the number of topics: each is in it at most once.
    channels: VecDeque<Arc<Channel>>,
    over: bool,
}

impl Herald {
    /// Starts the thread; none where the system gives none: then sessions are woken to send by themselves.
    pub fn start() -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        let started =
            std::thread::Builder::new().name("milepost-herald".to_owned()).spawn(move || served.run());
        match started {
            Ok(_detached) => Some(Self { shared }),
            Err(error) => {
                tracing::warn!(%error, "no thread to send from: every connection sends by itself");
                None
            }
        }
    }

    /// Has all who hear `channel` sent what they lack.
    pub fn serve(&self, channel: &Arc<Channel>) {
        if channel.queue() {
            self.shared.waiting().channels.push_back(Arc::clone(channel));
            self.shared.bell.notify_one();
        }
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.shared.waiting().over = true;
        self.shared.bell.notify_one();
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never ends by a panic: the others are served, and this topic once more at its next release.
    fn run(&self) {
        let (mut frames, mut ready) = (Vec::new(), Vec::with_capacity(SERVED_AT_ONCE));
        while let Some(channel) = self.next() {
            // From here on another release has it served once more.
            channel.unqueue();
            for some in channel.listeners().chunks(SERVED_AT_ONCE) {
                let serve = || {
                    Loop::Herald.turn();
                    let now = Instant::now();
                    ready.clear();
                    ready.extend((0..some.len()).filter(|at| !some[*at].is_full()));
                    ready.retain(|at| some[*at].prepare(now, &mut frames));
                    ready.iter().for_each(|at| some[*at].flush());
                };
                if catch_unwind(AssertUnwindSafe(serve)).is_err() {
                    tracing::error!("some who hear a topic could not be served, and wake by themselves");
                    frames.clear();
                    ring(some);
                }
            }
        }
    }

    /// The next to be served; none once it is over.
    fn next(&self) -> Option<Arc<Channel>> {
        let mut waiting = self.waiting();
        loop {
            if waiting.over {
                return None;
            }
            if let Some(channel) = waiting.channels.pop_front() {
                return Some(channel);
            }
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
