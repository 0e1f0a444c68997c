//! Bytes of answers that live connections have not taken yet.
//!
//! Asked for room before a topic is read; each answer is counted from when its rows were read until the connection
//! has taken its frame. What waits for one caller stays below [`CALLER_BYTES_MAX`] and what waits for all below
//! [`ALL_BYTES_MAX`], up to one answer for each read that is under way. Beyond that an answer waits for room, and the
//! connection that has taken nothing for the longest is cut, once that is [`STALLED_MIN`]: first one of the same
//! caller, where it is their share that is full. So nobody waits long for somebody who reads nothing, and no client
//! that reads is cut.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Bytes that may wait for connections of one caller; beyond, see the head of this file.
const CALLER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that may wait for all connections; beyond, see the head of this file.
const ALL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A connection that has taken nothing for so long is cut where its bytes are needed.
const STALLED_MIN: Duration = Duration::from_secs(2);

/// What waits, and for whom. Cheap to clone.
#[derive(Clone, Default)]
pub struct FrameBudget {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    freed: Notify,
}

#[derive(Default)]
struct Waiting {
    all: usize,
    callers: HashMap<String, usize>,
    /// In the order in which they came. Bounded by the connections and their reads.
    answers: BTreeMap<u64, Answer>,
    next: u64,
}

struct Answer {
    caller: String,
    bytes: usize,
    since: Instant,
    cut: CancellationToken,
}

/// Bytes that wait for a connection, until dropped.
pub struct FrameCharge {
    budget: FrameBudget,
    number: u64,
}

impl Waiting {
    fn of(&self, caller: &str) -> usize {
        self.callers.get(caller).copied().unwrap_or(0)
    }

    /// What has waited for the longest, of `caller` alone where one is named.
    fn oldest(&self, caller: Option<&str>) -> Option<&Answer> {
        let whose = |answer: &&Answer| caller.is_none_or(|caller| answer.caller == caller);
        self.answers.values().filter(|answer| !answer.cut.is_cancelled()).find(whose)
    }
}

impl FrameBudget {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for another answer of `caller`. Cancel-safe.
    pub async fn room(&self, caller: &str) {
        loop {
            let freed = self.inner.freed.notified();
            let Some(look_at) = self.make_room(caller, Instant::now()) else { return };
            // Late or freed: looked at anew either way.
            let _either = timeout_at(look_at, freed).await;
        }
    }

    /// Cuts whoever is to make room for `caller`; answers when to look again, or none where there is room.
    fn make_room(&self, caller: &str, now: Instant) -> Option<Instant> {
        let waiting = self.waiting();
        let own_is_full = waiting.of(caller) >= CALLER_BYTES_MAX;
        if !own_is_full && waiting.all < ALL_BYTES_MAX {
            return None;
        }
        let Some(oldest) = waiting.oldest(own_is_full.then_some(caller)) else {
            // All of them are being cut: their bytes come back when they have ended.
            return Some(now + STALLED_MIN);
        };
        let cut_at = oldest.since + STALLED_MIN;
        if now < cut_at {
            return Some(cut_at);
        }
        tracing::debug!(caller = oldest.caller, "a live connection takes nothing and is cut");
        oldest.cut.cancel();
        Some(now + STALLED_MIN)
    }

    /// Counts `bytes` of `caller` that wait for the connection which `cut` ends. To be asked for after
    /// [`FrameBudget::room`]; how much it is is known only once it was read.
    #[must_use]
    pub fn charge(&self, caller: &str, bytes: usize, cut: &CancellationToken) -> FrameCharge {
        let mut waiting = self.waiting();
        waiting.next += 1;
        let number = waiting.next;
        waiting.all += bytes;
        *waiting.callers.entry(caller.to_owned()).or_default() += bytes;
        let answer = Answer { caller: caller.to_owned(), bytes, since: Instant::now(), cut: cut.clone() };
        waiting.answers.insert(number, answer);
        FrameCharge { budget: self.clone(), number }
    }
}

impl Drop for FrameCharge {
    fn drop(&mut self) {
        let mut waiting = self.budget.waiting();
        if let Some(answer) = waiting.answers.remove(&self.number) {
            waiting.all -= answer.bytes;
            if let Some(bytes) = waiting.callers.get_mut(&answer.caller) {
                *bytes -= answer.bytes;
                if *bytes == 0 {
                    waiting.callers.remove(&answer.caller);
                }
            }
        }
        drop(waiting);
        self.budget.inner.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_nothing_is_cut_where_room_is_needed() {
        let budget = FrameBudget::default();
        let cuts: Vec<CancellationToken> = (0..3).map(|_| CancellationToken::new()).collect();
        let half = CALLER_BYTES_MAX / 2;
        let first = budget.charge("ada", half, &cuts[0]);
        let _second = budget.charge("ada", half, &cuts[1]);
        let _other = budget.charge("bob", half, &cuts[2]);
        let now = Instant::now();
        assert_eq!(budget.make_room("bob", now), None, "another caller waits for nobody");
        let look_at = budget.make_room("ada", now).expect("it is full");
        assert!(look_at <= now + STALLED_MIN && !cuts[0].is_cancelled(), "it may still take them");
        assert!(budget.make_room("ada", now + STALLED_MIN).is_some());
        assert!(cuts[0].is_cancelled() && !cuts[1].is_cancelled() && !cuts[2].is_cancelled());
        drop(first);
        assert_eq!(budget.make_room("ada", now + STALLED_MIN), None);
    }

    #[tokio::test]
    async fn many_callers_together_are_bounded() {
        let budget = FrameBudget::default();
        let cut = CancellationToken::new();
        let callers = ALL_BYTES_MAX / (CALLER_BYTES_MAX / 2);
        let mut held: Vec<FrameCharge> = (0..callers)
            .map(|at| budget.charge(&format!("caller {at}"), CALLER_BYTES_MAX / 2, &cut))
            .collect();
        assert!(budget.make_room("somebody else", Instant::now()).is_some(), "all of it is taken");
        held.pop();
        budget.room("somebody else").await;
    }

    #[test]
    fn what_was_taken_is_given_back() {
        let budget = FrameBudget::default();
        drop(budget.charge("ada", 1, &CancellationToken::new()));
        let waiting = budget.waiting();
        assert_eq!((waiting.all, waiting.callers.len(), waiting.answers.len()), (0, 0, 0));
    }
}
