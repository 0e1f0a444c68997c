//! What to ask of the server: topics that are wanted against those that are subscribed.
//!
//! Every subscribe names the revision that is shown, so that the server answers with nothing, with what changed or with
//! a snapshot, as it must. [`Subscriptions`] knows one connection; [`Subscriptions::reset`] forgets it for the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::protocol::{ClientFrame, Rev, Topic};

/// Updates a second of a client that wants as many as the server gives. What a connection begins with.
pub const UNLIMITED_HZ: f64 = 60.0;

/// What a client wants to be told of.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedTopics {
    /// Topics, each with the revision that is shown of it, where one is. At most `subscriptions_max` of the welcome.
    pub topics: BTreeMap<Topic, Option<Rev>>,
    /// Updates a second; 0: none.
    pub hz: f64,
}

impl WantedTopics {
    /// As many updates of `topics` as the server gives.
    pub fn all(topics: impl IntoIterator<Item = (Topic, Option<Rev>)>) -> Self {
        Self { topics: topics.into_iter().collect(), hz: UNLIMITED_HZ }
    }
}

/// What one connection is subscribed to.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    subscribed: BTreeSet<Topic>,
    /// Topics to subscribe to again although they are: what is shown of them is not what the server takes it for.
    stale: BTreeSet<Topic>,
    hz: f64,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self { subscribed: BTreeSet::new(), stale: BTreeSet::new(), hz: UNLIMITED_HZ }
    }
}

impl Subscriptions {
    /// Another connection: the server knows of nothing yet.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// How many topics are subscribed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.subscribed.len()
    }

    /// True where `topic` is subscribed.
    #[must_use]
    pub fn contains(&self, topic: Topic) -> bool {
        self.subscribed.contains(&topic)
    }

    /// Has `topic` asked for again with the next request, with the revision that is shown by then: a new reader has come
    /// who shows less, a part of a row did not fit, or it could not be read before.
    pub fn mark_stale(&mut self, topic: Topic) {
        self.stale.insert(topic);
    }

    /// True where a request would change nothing.
    #[must_use]
    pub fn is_current(&self, wanted: &WantedTopics) -> bool {
        self.subscribed.iter().eq(wanted.topics.keys())
            && !self.stale.iter().any(|topic| wanted.topics.contains_key(topic))
            && self.has_pace(wanted.hz)
    }

    #[expect(clippy::float_cmp, reason = "one of few constants")]
    fn has_pace(&self, hz: f64) -> bool {
        self.hz == hz
    }

    /// What to send so that exactly what is wanted is subscribed: the pace, then what is left, then what is new.
    pub fn request(&mut self, wanted: &WantedTopics) -> Vec<ClientFrame> {
        let mut frames = Vec::new();
        if !self.has_pace(wanted.hz) {
            self.hz = wanted.hz;
            frames.push(ClientFrame::Pace { hz: wanted.hz });
        }
        let stale = std::mem::take(&mut self.stale);
        self.subscribed.retain(|topic| {
            let stays = wanted.topics.contains_key(topic);
            if !stays {
                frames.push(ClientFrame::Unsubscribe { topic: topic.to_string() });
            }
            stays
        });
        for (topic, rev) in &wanted.topics {
            if self.subscribed.insert(*topic) || stale.contains(topic) {
                frames.push(ClientFrame::Subscribe { topic: topic.to_string(), rev: *rev });
            }
        }
        frames
    }

    /// The same as the query of `/live/events` and `/live/frames`, which know no earlier request. Nothing wanted: an
    /// empty name, which is skipped.
    pub fn query(&mut self, wanted: &WantedTopics) -> String {
        self.stale.clear();
        self.hz = wanted.hz;
        self.subscribed = wanted.topics.keys().copied().collect();
        let mut query = format!("hz={}", wanted.hz);
        for (topic, rev) in &wanted.topics {
            write!(query, "&topic={topic}").expect("writing to a String cannot fail");
            if let Some(rev) = rev {
                write!(query, "&rev={rev}").expect("writing to a String cannot fail");
            }
        }
        if wanted.topics.is_empty() {
            query.push_str("&topic=");
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::BatchId;

    fn batch(number: u128) -> Topic {
        Topic::Batch(BatchId::from_u128(number))
    }

    fn subscribe(topic: Topic, rev: Option<Rev>) -> ClientFrame {
        ClientFrame::Subscribe { topic: topic.to_string(), rev }
    }

    fn unsubscribe(topic: Topic) -> ClientFrame {
        ClientFrame::Unsubscribe { topic: topic.to_string() }
    }

    #[test]
    fn only_differences_are_sent() {
        let mut subscriptions = Subscriptions::default();
        let first = WantedTopics::all([(Topic::Nodes, None), (batch(1), Some(417))]);
        assert!(!subscriptions.is_current(&first));
        let frames = subscriptions.request(&first);
        assert_eq!(frames, [subscribe(batch(1), Some(417)), subscribe(Topic::Nodes, None)]);
        assert!(subscriptions.is_current(&first) && subscriptions.request(&first).is_empty());
        // A revision alone is news of the server itself: it is not told back.
        let later = WantedTopics::all([(Topic::Nodes, Some(9)), (batch(1), Some(500))]);
        assert!(subscriptions.request(&later).is_empty());
        let other = WantedTopics::all([(Topic::Batches, None), (batch(1), Some(500))]);
        assert_eq!(
            subscriptions.request(&other),
            [unsubscribe(Topic::Nodes), subscribe(Topic::Batches, None)]
        );
    }

    #[test]
    fn the_next_connection_goes_on_from_what_is_shown() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.request(&WantedTopics::all([(batch(1), None)]));
        subscriptions.reset();
        let shown = WantedTopics::all([(batch(1), Some(417))]);
        assert_eq!(subscriptions.request(&shown), [subscribe(batch(1), Some(417))]);
    }

    #[test]
    fn a_stale_topic_is_asked_for_once_more_and_only_while_it_is_wanted() {
        let mut subscriptions = Subscriptions::default();
        let wanted = WantedTopics::all([(batch(1), Some(5)), (batch(2), None)]);
        subscriptions.request(&wanted);
        subscriptions.mark_stale(batch(1));
        subscriptions.mark_stale(batch(3));
        let torn = WantedTopics::all([(batch(1), None), (batch(2), None)]);
        assert!(!subscriptions.is_current(&torn));
        assert_eq!(subscriptions.request(&torn), [subscribe(batch(1), None)]);
        assert!(subscriptions.request(&torn).is_empty());
        subscriptions.mark_stale(batch(2));
        let left = WantedTopics::all([(batch(1), None)]);
        assert_eq!(subscriptions.request(&left), [unsubscribe(batch(2))]);
    }

    #[test]
    fn the_pace_is_told_where_it_changes() {
        let mut subscriptions = Subscriptions::default();
        let mut wanted = WantedTopics::all([]);
        assert!(subscriptions.request(&wanted).is_empty(), "a connection begins with all there is");
        wanted.hz = 0.2;
        assert!(!subscriptions.is_current(&wanted));
        assert_eq!(subscriptions.request(&wanted), [ClientFrame::Pace { hz: 0.2 }]);
        assert!(subscriptions.request(&wanted).is_empty());
        subscriptions.reset();
        assert_eq!(subscriptions.request(&wanted), [ClientFrame::Pace { hz: 0.2 }]);
    }

    #[test]
    fn a_query_names_everything_every_time() {
        let mut subscriptions = Subscriptions::default();
        let wanted = WantedTopics::all([(Topic::Nodes, None), (Topic::Batches, Some(7))]);
        for _ in 0..2 {
            assert_eq!(subscriptions.query(&wanted), "hz=60&topic=batches&rev=7&topic=nodes");
            assert!(subscriptions.is_current(&wanted));
        }
        assert_eq!(subscriptions.query(&WantedTopics::all([])), "hz=60&topic=");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
        /// Whatever is wanted one after the other, over whatever cuts: a server that applies the frames has exactly what
        /// is wanted, and everything that is stale was asked for again.
        #[test]
        fn the_server_has_what_is_wanted(
            steps in prop::collection::vec((prop::collection::btree_set(0u128..6, 0..6), 0u128..6, any::<bool>()), 1..20),
        ) {
            let (mut subscriptions, mut server) = (Subscriptions::default(), BTreeSet::new());
            for (wanted, stale, is_cut) in steps {
                if is_cut {
                    subscriptions.reset();
                    server.clear();
                }
                subscriptions.mark_stale(batch(stale));
                let wanted = WantedTopics::all(wanted.into_iter().map(|number| (batch(number), None)));
                let mut again = BTreeSet::new();
                for frame in subscriptions.request(&wanted) {
                    match frame {
                        ClientFrame::Subscribe { topic, .. } => {
                            server.insert(topic.clone());
                            again.insert(topic);
                        }
                        ClientFrame::Unsubscribe { topic } => prop_assert!(server.remove(&topic)),
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                let names: BTreeSet<String> = wanted.topics.keys().map(Topic::to_string).collect();
                prop_assert_eq!(&server, &names);
                prop_assert!(!wanted.topics.contains_key(&batch(stale)) || again.contains(&batch(stale).to_string()));
                prop_assert!(subscriptions.is_current(&wanted));
            }
        }
    }
}
