//! Who reads which topic on this page.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::client::fold::Delta;
use crate::protocol::{ErrorCode, Rev, Topic};

/// Somebody who shows a topic.
pub trait TopicObserver: Send + Sync {
    /// Revision that is shown, if it is known.
    fn rev(&self) -> Option<Rev>;
    /// True while something shown goes on changing by itself.
    fn is_unfinished(&self) -> bool;
    /// Folds what a frame brought. False where it does not fit what is shown: then the topic is subscribed to again.
    fn receive(&self, delta: Delta) -> bool;
    /// The topic cannot be had.
    fn refuse(&self, code: ErrorCode);
}

/// Ends an observation: see [`TopicObservers::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Of which topic.
    pub topic: Topic,
    number: u64,
}

/// An observer and its number.
type Numbered = (u64, Arc<dyn TopicObserver>);

/// The observers of every topic. A topic is wanted exactly while it has one. Bounded by what the page mounts.
#[derive(Default)]
pub struct TopicObservers {
    by_topic: HashMap<Topic, Vec<Numbered>>,
    next_number: u64,
}

impl TopicObservers {
    /// Adds an observer, until [`TopicObservers::remove`].
    pub fn add(&mut self, topic: Topic, observer: Arc<dyn TopicObserver>) -> Observation {
        self.next_number += 1;
        let number = self.next_number;
        self.by_topic.entry(topic).or_default().push((number, observer));
        Observation { topic, number }
    }

    /// Removes an observer.
    pub fn remove(&mut self, Observation { topic, number }: Observation) {
        if let Some(observers) = self.by_topic.get_mut(&topic) {
            observers.retain(|(held, _)| *held != number);
            if observers.is_empty() {
                self.by_topic.remove(&topic);
            }
        }
    }

    /// Topics that are observed, each with the revision from which all of its observers can go on.
    pub fn wanted(&self) -> BTreeMap<Topic, Option<Rev>> {
        let oldest =
            |observers: &[Numbered]| observers.iter().map(|(_, observer)| observer.rev()).min().flatten();
        self.by_topic.iter().map(|(topic, observers)| (*topic, oldest(observers))).collect()
    }

    /// How many observers there are.
    pub fn count(&self) -> usize {
        self.by_topic.values().map(Vec::len).sum()
    }

    /// The observers of `topic`.
    pub fn of(&self, topic: Topic) -> Vec<Arc<dyn TopicObserver>> {
        self.by_topic.get(&topic).into_iter().flatten().map(|(_, observer)| Arc::clone(observer)).collect()
    }

    /// True while anything shown goes on changing by itself.
    pub fn is_unfinished(&self) -> bool {
        self.by_topic.values().flatten().any(|(_, observer)| observer.is_unfinished())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Option<Rev>);

    impl TopicObserver for Fixed {
        fn rev(&self) -> Option<Rev> {
            self.0
        }
        fn is_unfinished(&self) -> bool {
            self.0.is_none()
        }
        fn receive(&self, _delta: Delta) -> bool {
            true
        }
        fn refuse(&self, _code: ErrorCode) {}
    }

    #[test]
    fn a_topic_is_wanted_from_where_all_of_its_observers_can_go_on() {
        let mut observers = TopicObservers::default();
        let newer = observers.add(Topic::Nodes, Arc::new(Fixed(Some(9))));
        let older = observers.add(Topic::Nodes, Arc::new(Fixed(Some(5))));
        assert_eq!(observers.wanted(), BTreeMap::from([(Topic::Nodes, Some(5))]));
        let blank = observers.add(Topic::Nodes, Arc::new(Fixed(None)));
        assert_eq!(observers.wanted(), BTreeMap::from([(Topic::Nodes, None)]));
        assert!(observers.is_unfinished());
        observers.remove(older);
        observers.remove(blank);
        assert_eq!(observers.wanted(), BTreeMap::from([(Topic::Nodes, Some(9))]));
        observers.remove(newer);
        observers.remove(newer);
        assert_eq!((observers.count(), observers.wanted().len()), (0, 0));
    }
}
