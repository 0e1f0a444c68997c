//! Bytes of the rows that the server keeps because live connections listen to them.
//!
//! Asked when a topic has been read, before it is answered. The rows of the large topics of one connection, one
//! caller and of all stay below the bounds here, as they are when they are answered; a topic beyond is refused with
//! `too_many`, and nothing of it is kept. Small topics are not counted: the number of subscriptions bounds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::{ApiError, ErrorCode, Topic};

/// Bytes of a topic that is too small to be counted.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the topics of one connection; one topic more is refused.
const CONNECTION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the topics of one caller; one topic more is refused.
const CALLER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the topics of all callers; one topic more is refused.
const ALL_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What is kept, and for whom. Cheap to clone.
#[derive(Clone, Default)]
pub struct TopicBudget {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    all: usize,
    callers: HashMap<String, usize>,
}

/// What is kept for one connection, until dropped.
pub struct KeptTopics {
    budget: TopicBudget,
    caller: String,
    bytes: usize,
    /// The large ones. Bounded by the subscriptions.
    topics: HashMap<Topic, usize>,
}

impl TopicBudget {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing yet, for a connection of `caller`.
    #[must_use]
    pub fn connection(&self, caller: &str) -> KeptTopics {
        KeptTopics { budget: self.clone(), caller: caller.to_owned(), bytes: 0, topics: HashMap::new() }
    }
}

impl KeptTopics {
    /// Counts `topic` with `bytes`, in place of what it had before.
    ///
    /// # Errors
    /// `too_many` where that is beyond a bound; then it is not counted at all.
    pub fn keep(&mut self, topic: Topic, bytes: usize) -> Result<(), ApiError> {
        self.drop_topic(topic);
        if bytes <= SMALL_BYTES_MAX {
            return Ok(());
        }
        let mut kept = self.budget.kept();
        let of_caller = kept.callers.get(&self.caller).copied().unwrap_or(0);
        let whose = if self.bytes + bytes > CONNECTION_BYTES_MAX {
            Some("this connection")
        } else if of_caller + bytes > CALLER_BYTES_MAX {
            Some("your connections together")
        } else if kept.all + bytes > ALL_BYTES_MAX {
            Some("all connections together")
        } else {
            None
        };
        if let Some(whose) = whose {
            let detail = format!("The topics of {whose} hold too many bytes; unsubscribe from some first.");
            return Err(ApiError::new(ErrorCode::TooMany, detail));
        }
        kept.all += bytes;
        *kept.callers.entry(self.caller.clone()).or_default() += bytes;
        drop(kept);
        self.bytes += bytes;
        self.topics.insert(topic, bytes);
        Ok(())
    }

    /// `topic` is no longer listened to.
    pub fn drop_topic(&mut self, topic: Topic) {
        if let Some(bytes) = self.topics.remove(&topic) {
            self.bytes -= bytes;
            self.give_back(bytes);
        }
    }

    fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut kept = self.budget.kept();
        kept.all -= bytes;
        if let Some(of_caller) = kept.callers.get_mut(&self.caller) {
            *of_caller -= bytes;
            if *of_caller == 0 {
                kept.callers.remove(&self.caller);
            }
        }
    }
}

impl Drop for KeptTopics {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::BatchId;

    fn topic(number: u128) -> Topic {
        Topic::Strip(BatchId::from_u128(number))
    }

    #[test]
    fn topics_are_bounded_by_connection_and_caller() {
        let budget = TopicBudget::default();
        let part = CONNECTION_BYTES_MAX / 4;
        let mut connections: Vec<KeptTopics> = (0..5).map(|_| budget.connection("ada")).collect();
        for connection in connections.iter_mut().take(4) {
            for number in 0..4 {
                connection.keep(topic(number), part).unwrap();
            }
            assert_eq!(connection.keep(topic(4), part).unwrap_err().code, ErrorCode::TooMany);
            connection.keep(topic(3), part).expect("the same once more takes no more");
            connection.keep(topic(5), SMALL_BYTES_MAX).expect("small ones are not counted");
        }
        assert!(connections[4].keep(topic(0), part).is_err(), "the caller has all they may have");
        assert!(budget.connection("bob").keep(topic(0), part).is_ok());
        connections[0].drop_topic(topic(0));
        connections[4].keep(topic(0), part).unwrap();
        drop(connections);
        let kept = budget.kept();
        assert_eq!((kept.all, kept.callers.len()), (0, 0));
    }
}
