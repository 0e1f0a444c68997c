//! When frames leave: one timer for all topics, and how much a session asks for.
//!
//! Owns the task that releases topics that changed again within a tick. Called
//! by the hub. Invariant: each topic has at most one release waiting. Deliberately knows no row.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::RUNG_MAX;
use super::broadcaster::Herald;
use super::channel::{Channel, Listeners, ring};
use crate::fault::Loop;

/// How often a session wants to hear of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At every tick.
    Tick,
    /// No more often than this, which is longer than the tick.
    Every(Duration),
    /// Not at all.
    Never,
}

impl Pace {
    /// From updates a second, held to the tick; none if `hz` is no number of updates.
    pub fn from_hz(hz: f64, tick: Duration) -> Option<Self> {
        if !hz.is_finite() || hz < 0.0 {
            return None;
        }
        if hz == 0.0 {
            return Some(Self::Never);
        }
        let every = Duration::try_from_secs_f64(1.0 / hz).unwrap_or(Duration::MAX);
        Some(if every <= tick { Self::Tick } else { Self::Every(every.min(PACE_SECONDS_MAX)) })
    }
}

/// Pause before a topic is released again that could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest time between updates that can be asked for; slower is held to this.
const PACE_SECONDS_MAX: Duration = Duration::from_secs(3600);

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
pub struct Timer {
    waiting: Arc<Mutex<Waiting>>,
    armed: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
    herald: Option<Arc<Herald>>,
}

impl Timer {
    /// Starts the task on the runtime of the caller.
    pub fn start() -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let armed = Arc::new(Notify::new());
        let herald = Herald::start().map(Arc::new);
        let task = tokio::spawn(run(Arc::clone(&waiting), Arc::clone(&armed), herald.clone()));
        Self { waiting, armed, task, herald }
    }

    /// False once its runtime has gone.
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }

    /// Releases what is due at `now`, as the task does by itself.
    #[cfg(test)]
    pub fn release_due(&self, now: Instant) {
        let _next = release_due(&self.waiting, now, self.herald.as_deref());
    }

    /// Releases `channel` at `at`.
    pub fn release_at(&self, at: Instant, channel: &Arc<Channel>) {
        let release = Release { at, channel: Arc::downgrade(channel) };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).due.push(Reverse(release));
        self.armed.notify_one();
    }

    /// Has `listeners` of `channel` hear what has been released: a few by waking them, many by the herald.
    pub fn wake(&self, channel: &Arc<Channel>, listeners: &Listeners) {
        wake(self.herald.as_deref(), channel, listeners);
    }
}

fn wake(herald: Option<&Herald>, channel: &Arc<Channel>, listeners: &Listeners) {
    match herald.filter(|_| listeners.len() > RUNG_MAX) {
        Some(herald) => herald.serve(channel),
        None => ring(listeners),
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never ends by a panic: what could not be released is tried again.
async fn run(waiting: Arc<Mutex<Waiting>>, armed: Arc<Notify>, herald: Option<Arc<Herald>>) {
    loop {
        match release_due(&waiting, Instant::now(), herald.as_deref()) {
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
fn release_due(waiting: &Mutex<Waiting>, now: Instant, herald: Option<&Herald>) -> Option<Instant> {
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
            Ok(listeners) => released.push((listeners, channel)),
            Err(_panic) => {
                tracing::error!("a topic could not be released at its tick, and is tried again");
                let at = now + AGAIN;
                let release = Release { at, channel: Arc::downgrade(&channel) };
                waiting.lock().unwrap_or_else(PoisonError::into_inner).due.push(Reverse(release));
                again = Some(at);
            }
        }
    }
    for (listeners, channel) in &released {
        // The rows stay: whoever could not be woken now hears them with the next.
        if catch_unwind(AssertUnwindSafe(|| wake(herald, channel, listeners))).is_err() {
            tracing::error!("the listeners of a topic could not be woken");
        }
    }
    next.into_iter().chain(again).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_held_to_the_tick() {
        let tick = Duration::from_millis(100);
        assert_eq!(Pace::from_hz(60.0, tick), Some(Pace::Tick));
        assert_eq!(Pace::from_hz(10.0, tick), Some(Pace::Tick));
        assert_eq!(Pace::from_hz(0.2, tick), Some(Pace::Every(Duration::from_secs(5))));
        assert_eq!(Pace::from_hz(0.0, tick), Some(Pace::Never));
        assert_eq!(Pace::from_hz(1e-300, tick), Some(Pace::Every(PACE_SECONDS_MAX)));
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Pace::from_hz(bad, tick), None);
        }
    }
}
