//! Frames in the compact codec `milepost.v1.bin`: for the project's own page, tied to one build.
//!
//! ```text
//! values  atoms and words in bytes     rows         rows, whole or by the members that changed
//! read    bytes to frames              write        frames to bytes
//! ```
//!
//! It carries what the JSON carries, from the same types: a part of a row, laid over the row that the page shows,
//! equals the whole row.
//!
//! ```text
//! server  1 welcome  server ping_ms build limits    2 ping    7 error  topic code message
//!         3 snapshot topic channel rev rows         answers a subscribe; from here on the channel is the topic
//!         4 current  topic channel rev              so does this: the page shows it all already
//!         5 update   channel rev rows               6 update with keys that left: channel rev rows keys
//! row     0 rev members…                            a whole row
//!         1+which key rev members…                  only these members; no key where the topic has one row only
//! rev     of a row: how far below the frame's; on topics that count by the clock: itself
//! client  1 subscribe topic rev?   2 unsubscribe topic   3 pong   4 pace hz
//! ```

mod read;
mod rows;
#[cfg(test)]
mod tests;
mod values;
mod write;

pub use read::{Channels, client_frame};
pub use rows::{FieldSet, Fields};
pub use values::{Compact, Input, Unreadable};
pub use write::{current, of_client, plain, snapshot, update};

use super::{Key, Rev, Row, ServerFrame, Topic};

/// A row of an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// All of it.
    Whole(Row),
    /// These members of it, with its key and `rev`; the others are as the page shows them.
    Part {
        /// The row; members that are not told are blank.
        row: Row,
        /// Which members are told.
        which: FieldSet,
    },
}

/// What a frame of the server says.
#[derive(Clone, Debug, PartialEq)]
pub enum BinaryFrame {
    /// As in JSON.
    Frame(ServerFrame),
    /// An update.
    Update {
        /// Which topic.
        topic: Topic,
        /// Revision that the rows show.
        rev: Rev,
        /// What changed.
        changes: Vec<Change>,
        /// Keys that are no longer in the topic.
        gone: Vec<Key>,
    },
}

const WELCOME: u8 = 1;
const PING: u8 = 2;
const SNAPSHOT: u8 = 3;
const CURRENT: u8 = 4;
const UPDATE: u8 = 5;
const UPDATE_GONE: u8 = 6;
const ERROR: u8 = 7;

const SUBSCRIBE: u8 = 1;
const UNSUBSCRIBE: u8 = 2;
const PONG: u8 = 3;
const PACE: u8 = 4;

/// Does the same with a row of any kind.
macro_rules! each {
    ($row:expr, $inner:ident => $act:expr) => {
        match $row {
            Row::Batch($inner) => $act,
            Row::Item($inner) => $act,
            Row::ItemLive($inner) => $act,
            Row::Family($inner) => $act,
            Row::Cell($inner) => $act,
            Row::Pulse($inner) => $act,
            Row::Node($inner) => $act,
        }
    };
}

impl Row {
    /// Members in which two rows of one key differ; all where they are of different kinds.
    #[must_use]
    pub fn differing(&self, other: &Self) -> FieldSet {
        match (self, other) {
            (Self::Batch(one), Self::Batch(two)) => one.differing(two),
            (Self::Item(one), Self::Item(two)) => one.differing(two),
            (Self::ItemLive(one), Self::ItemLive(two)) => one.differing(two),
            (Self::Family(one), Self::Family(two)) => one.differing(two),
            (Self::Cell(one), Self::Cell(two)) => one.differing(two),
            (Self::Pulse(one), Self::Pulse(two)) => one.differing(two),
            (Self::Node(one), Self::Node(two)) => one.differing(two),
            _ => FieldSet::MAX,
        }
    }

    /// How many members its kind has.
    #[must_use]
    pub fn members(&self) -> usize {
        each!(self, row => row.members())
    }
}

/// True where the topic has one row, whose key it names.
fn has_one_row(topic: Topic) -> bool {
    matches!(topic, Topic::Batch(_) | Topic::Progress(_) | Topic::Item { .. })
}

/// A row's revision beside that of its frame. The difference is small where both are a batch's.
fn beside(topic: Topic, frame: Rev, row: Rev) -> Rev {
    if topic.batch().is_some() { frame.wrapping_sub(row) } else { row }
}

use each;
