//! When frames leave: one timer for all topics, and how much a session asks for.
//!
//! Owns the task that releases topics that changed again within a tick, and that sends where many hear the same. Called
//! by the hub. Invariant: each topic has at most one release waiting. Deliberately knows no row.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::RUNG_MAX;
use super::topics::{Channel, Listeners, ring};

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

/// Longest time between updates that can be asked for; slower is held to this.
const PACE_SECONDS_MAX: Duration = Duration::from_secs(3600);

/// Sessions that are served before others have their turn: some 2 ms. Fewer would starve them where the machine is busy.
const SERVED_AT_ONCE: usize = 512;

#[derive(Default)]
struct Waiting {
    /// Bounded by the number of topics: each is in it at most once.
    due: BinaryHeap<Reverse<Release>>,
    /// Who is to be served now. Bounded by the releases of one turn of the task: each topic has one a tick.
    served: Vec<Listeners>,
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
}

impl Timer {
    /// Starts the task on the runtime of the caller.
    pub fn start() -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let armed = Arc::new(Notify::new());
        let task = tokio::spawn(run(Arc::clone(&waiting), Arc::clone(&armed)));
        Self { waiting, armed, task }
    }

    /// False once its runtime has gone.
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }

    /// Releases what is due at `now`, as the task does by itself.
    #[cfg(test)]
    pub fn release_due(&self, now: Instant) {
        let _nobody = take_due(&self.waiting, now);
    }

    /// Releases `channel` at `at`.
    pub fn release_at(&self, at: Instant, channel: &Arc<Channel>) {
        let release = Release { at, channel: Arc::downgrade(channel) };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).due.push(Reverse(release));
        self.armed.notify_one();
    }

    /// Sends what is due to `listeners` from the task.
    pub fn serve(&self, listeners: Listeners) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).served.push(listeners);
        self.armed.notify_one();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(waiting: Arc<Mutex<Waiting>>, armed: Arc<Notify>) {
    let mut frames = Vec::new();
    loop {
        let (served, next) = take_due(&waiting, Instant::now());
        if !served.is_empty() {
            for listeners in served {
                serve(&listeners, &mut frames).await;
            }
            continue;
        }
        match next {
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

/// Sends to one after the other, and lets others have their turn in between.
async fn serve(listeners: &Listeners, frames: &mut Vec<Bytes>) {
    for some in listeners.chunks(SERVED_AT_ONCE) {
        let now = Instant::now();
        some.iter().for_each(|session| session.push(now, frames));
        tokio::task::yield_now().await;
    }
}

/// Releases all that is due, wakes those who send by themselves, and answers the others, and when the next is due. All are
/// released before anybody is served: who hears several topics gets them in one turn.
fn take_due(waiting: &Mutex<Waiting>, now: Instant) -> (Vec<Listeners>, Option<Instant>) {
    let mut held = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut served = std::mem::take(&mut held.served);
    let mut due = Vec::new();
    while held.due.peek().is_some_and(|Reverse(next)| next.at <= now) {
        due.extend(held.due.pop());
    }
    let next = held.due.peek().map(|Reverse(next)| next.at);
    drop(held);
    for Reverse(release) in due {
        let Some(channel) = release.channel.upgrade() else { continue };
        let listeners = channel.release(now);
        if listeners.len() <= RUNG_MAX {
            ring(&listeners);
        } else {
            served.push(listeners);
        }
    }
    (served, next)
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
