//! When frames leave: one timer for all topics.
//!
//! Its task releases topics that changed again within a tick. Each topic has at most one release waiting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::RUNG_MAX;
use super::broadcaster::Broadcaster;
use super::channel::{Channel, Subscribers, ring};
use super::tempo::Tempo;
use crate::fault::Loop;

/// Pause before a topic is released again that could not be.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Waiting {
    /// Bounded by the number of topics: each is in it at most once.
    due: BinaryHeap<Reverse<Release>>,
}

struct Release {
    at: Instant,
    channel: Weak<Channel>,
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Release {}
impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Release {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// The task that releases topics when their tick is over. It ends when this is dropped.
pub struct ReleaseTimer {
    waiting: Arc<Mutex<Waiting>>,
    armed: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
    broadcaster: Option<Arc<Broadcaster>>,
}

impl ReleaseTimer {
    /// Starts the task on the runtime of the caller.
    pub fn start(tempo: Arc<Tempo>) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let armed = Arc::new(Notify::new());
        let broadcaster = Broadcaster::start(tempo).map(Arc::new);
        let task = tokio::spawn(run(Arc::clone(&waiting), Arc::clone(&armed), broadcaster.clone()));
        Self { waiting, armed, task, broadcaster }
    }

    /// False once its runtime has gone.
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }

    /// Releases what is due at `now`, as the task does by itself.
    #[cfg(test)]
    pub fn release_due(&self, now: Instant) {
        let _next = release_due(&self.waiting, now, self.broadcaster.as_deref());
    }

    /// Releases `channel` at `at`.
    pub fn release_at(&self, at: Instant, channel: &Arc<Channel>) {
        let release = Release { at, channel: Arc::downgrade(channel) };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).due.push(Reverse(release));
        self.armed.notify_one();
    }

    /// Has `subscribers` of `channel` receive what has been released: a few by waking them, many by the broadcaster.
    pub fn wake(&self, channel: &Arc<Channel>, subscribers: &Subscribers) {
        wake(self.broadcaster.as_deref(), channel, subscribers);
    }
}

fn wake(broadcaster: Option<&Broadcaster>, channel: &Arc<Channel>, subscribers: &Subscribers) {
    match broadcaster.filter(|_| subscribers.len() > RUNG_MAX) {
        Some(broadcaster) => broadcaster.serve(channel),
        None => ring(subscribers),
    }
}

impl Drop for ReleaseTimer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never ends by a panic: what could not be released is tried again.
async fn run(waiting: Arc<Mutex<Waiting>>, armed: Arc<Notify>, broadcaster: Option<Arc<Broadcaster>>) {
    loop {
        match release_due(&waiting, Instant::now(), broadcaster.as_deref()) {
            None => armed.notified().await,
            Some(at) => {
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = armed.notified() => {}
                }
            }
        }
    }
}

/// Releases all that is due, then has it heard; answers when the next is due. All are released before anybody hears: who
/// listens to several topics gets them in one turn.
fn release_due(waiting: &Mutex<Waiting>, now: Instant, broadcaster: Option<&Broadcaster>) -> Option<Instant> {
    let mut held = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut due = Vec::new();
    while held.due.peek().is_some_and(|Reverse(next)| next.at <= now) {
        due.extend(held.due.pop());
    }
    let next = held.due.peek().map(|Reverse(next)| next.at);
    drop(held);
    let channels = due.into_iter().filter_map(|Reverse(release)| release.channel.upgrade());
    let (mut released, mut again) = (Vec::new(), None);
    for channel in channels {
        let release = || {
            Loop::Timer.turn();
            channel.release(now)
        };
        match catch_unwind(AssertUnwindSafe(release)) {
            Ok(subscribers) => released.push((subscribers, channel)),
            Err(_panic) => {
                tracing::error!("a topic could not be released at its tick, and is tried again");
                let at = now + AGAIN;
                let release = Release { at, channel: Arc::downgrade(&channel) };
                waiting.lock().unwrap_or_else(PoisonError::into_inner).due.push(Reverse(release));
                again = Some(at);
            }
        }
    }
    for (subscribers, channel) in &released {
        // The rows stay: whoever could not be woken now hears them with the next.
        if catch_unwind(AssertUnwindSafe(|| wake(broadcaster, channel, subscribers))).is_err() {
            tracing::error!("the subscribers of a topic could not be woken");
        }
    }
    next.into_iter().chain(again).min()
}
