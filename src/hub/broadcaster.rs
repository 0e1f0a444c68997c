//! The thread that sends updates of topics with many subscribers.
//!
//! Waking thousands of tasks costs as much as the writes they would do, so one thread writes for all of them. It is a thread
//! and no task, since on a machine that is busy with work one task among many would get too small a share for thousands of
//! sockets. A topic waits for it at most once and is sent as it is when its turn comes: where sending takes longer than a
//! tick, ticks are left out and nothing queues. What each pass costs is noted for the tick ([`Tempo`]).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::time::Instant;

use super::channel::{Channel, ring};
use super::tempo::Tempo;
use crate::fault::Loop;

/// Sessions that are served together, in three passes: who has room, what is due, send. What a pass needs of one session
/// is on its way from memory while it looks at the one before; a call of the system in between would wait for it each time.
const SERVED_AT_ONCE: usize = 64;

/// The thread. It ends when this is dropped.
pub struct Broadcaster {
    shared: Arc<Shared>,
}

struct Shared {
    tempo: Arc<Tempo>,
    waiting: Mutex<Waiting>,
    wake_signal: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Bounded by the number of topics: each is in it at most once.
    channels: VecDeque<Arc<Channel>>,
    over: bool,
}

impl Broadcaster {
    /// Starts the thread; none where the system gives none: then sessions are woken to send by themselves.
    pub fn start(tempo: Arc<Tempo>) -> Option<Self> {
        let shared = Arc::new(Shared { tempo, waiting: Mutex::default(), wake_signal: Condvar::new() });
        let served = Arc::clone(&shared);
        let started =
            std::thread::Builder::new().name("milepost-send".to_owned()).spawn(move || served.run());
        match started {
            Ok(_detached) => Some(Self { shared }),
            Err(error) => {
                tracing::warn!(%error, "no thread to send from: every connection sends by itself");
                None
            }
        }
    }

    /// Sends every subscriber of `channel` what it lacks, in the thread's next turn.
    pub fn serve(&self, channel: &Arc<Channel>) {
        if channel.queue() {
            self.shared.waiting().channels.push_back(Arc::clone(channel));
            self.shared.wake_signal.notify_one();
        }
    }
}

impl Drop for Broadcaster {
    fn drop(&mut self) {
        self.shared.waiting().over = true;
        self.shared.wake_signal.notify_one();
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
            let begun = Instant::now();
            for some in channel.subscribers().chunks(SERVED_AT_ONCE) {
                let serve = || {
                    Loop::Broadcaster.turn();
                    let now = Instant::now();
                    ready.clear();
                    ready.extend((0..some.len()).filter(|at| !some[*at].is_full()));
                    ready.retain(|at| some[*at].prepare(now, &mut frames));
                    ready.iter().for_each(|at| some[*at].flush());
                };
                if catch_unwind(AssertUnwindSafe(serve)).is_err() {
                    tracing::error!(
                        "some subscribers of a topic could not be sent to, and wake by themselves"
                    );
                    frames.clear();
                    ring(some);
                }
            }
            self.tempo.spent(begun, Instant::now());
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
            waiting = self.wake_signal.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
