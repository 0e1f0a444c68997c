//! A fair share of the database for what live connections read.
//!
//! Called before every read for a socket, a stream of events or a poll. Of one caller, however many connections they
//! hold and however many topics they name, at most [`READS_PER_CALLER_MAX`] reads are under way or wait for their
//! turn; so whoever comes next waits for a few reads of each caller, never for a list of one. One connection to the
//! database is left to everything else, where there is more than one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Reads of one caller at once; more wait for these.
const READS_PER_CALLER_MAX: usize = 2;

/// Who reads how much. Cheap to clone.
#[derive(Clone)]
pub struct ReadShare {
    all: Arc<Semaphore>,
    /// Bounded by the callers that read or wait: what nobody holds is forgotten.
    callers: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// One of the reads of a caller, until dropped: it holds nobody else up yet.
pub struct CallerTurn {
    // Given back before `own` is dropped, so that whoever drops the last `own` forgets the caller.
    _caller: OwnedSemaphorePermit,
    own: Own,
}

/// A caller's share, for as long as somebody holds it.
struct Own {
    share: ReadShare,
    caller: String,
    semaphore: Arc<Semaphore>,
}

impl ReadShare {
    /// Over a database that has `readers` connections to read.
    #[must_use]
    pub fn new(readers: u32) -> Self {
        let all = usize::try_from(readers).unwrap_or(1).saturating_sub(1).max(1);
        Self { all: Arc::new(Semaphore::new(all)), callers: Arc::default() }
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<String, Weak<Semaphore>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self, caller: &str) -> Own {
        let mut callers = self.callers();
        let known = callers.get(caller).and_then(Weak::upgrade);
        let semaphore = known.unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(READS_PER_CALLER_MAX));
            callers.insert(caller.to_owned(), Arc::downgrade(&fresh));
            fresh
        });
        drop(callers);
        Own { share: self.clone(), caller: caller.to_owned(), semaphore }
    }

    /// Waits for the turn among all reads of `caller`. Cancel-safe.
    pub async fn turn_of(&self, caller: &str) -> CallerTurn {
        let own = self.own(caller);
        let permit = Arc::clone(&own.semaphore).acquire_owned().await.expect("the semaphore is never closed");
        CallerTurn { _caller: permit, own }
    }
}

impl CallerTurn {
    /// Waits for the turn among the reads of all callers: what is answered is to be dropped once it was read.
    /// Cancel-safe.
    pub async fn among_all(&self) -> OwnedSemaphorePermit {
        let all = Arc::clone(&self.own.share.all);
        all.acquire_owned().await.expect("the semaphore is never closed")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut callers = self.share.callers();
        // Under the lock nobody else gets hold of it: this one, and permits of others that are about to go.
        if Arc::strong_count(&self.semaphore) == 1 {
            callers.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_caller_holds_nobody_up() {
        let share = ReadShare::new(4);
        let over = tokio_util::sync::CancellationToken::new();
        let greedy: Vec<_> = (0..1_000)
            .map(|_| {
                let (share, over) = (share.clone(), over.clone());
                tokio::spawn(async move {
                    let turn = share.turn_of("greedy").await;
                    let _among_all = turn.among_all().await;
                    over.cancelled().await;
                })
            })
            .collect();
        while share.all.available_permits() > 1 {
            tokio::task::yield_now().await;
        }
        // None of the thousand is over, and still there is a turn.
        let turn = share.turn_of("other").await;
        drop(turn.among_all().await);
        drop(turn);
        over.cancel();
        for read in greedy {
            read.await.unwrap();
        }
        assert!(share.callers().is_empty(), "who reads nothing is forgotten");
    }

    #[tokio::test]
    async fn a_single_reader_is_enough() {
        let share = ReadShare::new(1);
        for caller in ["ada", "bob"] {
            let turn = share.turn_of(caller).await;
            drop(turn.among_all().await);
        }
    }
}
