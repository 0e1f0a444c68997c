//! The text of the hints that nodes send each other: which batches have changed, and how soon to look.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::protocol::{BatchId, NodeId};

/// Bytes of one hint at most; Postgres carries less than 8,000. What does not fit is sent as "all".
const HINT_BYTES_MAX: usize = 7_800;

/// How soon others should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Items have moved.
    Usual,
    /// The batch hands nothing out any more: whoever holds items of it should ask.
    AtOnce,
}

/// What the hints of others said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub batches: BTreeMap<BatchId, Urgency>,
    /// More than fits into a hint.
    pub all: bool,
    /// Anything at all.
    pub any: bool,
}

/// The text of a hint: who sends it, and of which batches.
pub fn print_hint(node: &NodeId, out: &BTreeMap<BatchId, Urgency>) -> String {
    let mut text = node.0.clone();
    for (batch, urgency) in out {
        let mark = if *urgency == Urgency::AtOnce { "!" } else { "" };
        write!(text, " {batch}{mark}").expect("writing to a String cannot fail");
        if text.len() > HINT_BYTES_MAX {
            return format!("{} *", node.0);
        }
    }
    text
}

impl Received {
    /// Adds a hint, unless it is the node's own; true where there is something to read.
    pub fn add(&mut self, own: &NodeId, text: &str) -> bool {
        let mut words = text.split(' ');
        if words.next().is_none_or(|node| node == own.0) {
            return false;
        }
        self.any = true;
        for word in words {
            let (id, urgency) =
                word.strip_suffix('!').map_or((word, Urgency::Usual), |id| (id, Urgency::AtOnce));
            match id.parse() {
                Ok(batch) => {
                    let known = self.batches.entry(batch).or_insert(urgency);
                    *known = urgency.max(*known);
                }
                // More than fits, or the words of a later version: read all.
                Err(_form) => self.all = true,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: u128) -> BatchId {
        BatchId::from_u128(number)
    }

    #[test]
    fn hints_say_which_and_how_soon() {
        let (here, there) = (NodeId("a-1".into()), NodeId("b-2".into()));
        let out = BTreeMap::from([(batch(1), Urgency::Usual), (batch(2), Urgency::AtOnce)]);
        let text = print_hint(&there, &out);
        let mut received = Received::default();
        assert!(received.add(&here, &text) && !received.all);
        assert!(received.add(&here, &print_hint(&there, &BTreeMap::from([(batch(1), Urgency::AtOnce)]))));
        assert_eq!(
            received.batches,
            BTreeMap::from([(batch(1), Urgency::AtOnce), (batch(2), Urgency::AtOnce)])
        );
        assert!(!Received::default().add(&there, &text), "a node needs no hint of its own");
    }

    #[test]
    fn more_than_fits_is_all() {
        let (here, there) = (NodeId("a-1".into()), NodeId("b-2".into()));
        let text = print_hint(&there, &(0..1_000).map(|at| (batch(at), Urgency::Usual)).collect());
        assert!(text.len() < 8_000);
        let mut received = Received::default();
        assert!(received.add(&here, &text) && received.all && received.batches.is_empty());
    }
}
