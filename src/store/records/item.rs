//! Items, their inputs and their files.

use crate::protocol::{AttemptRow, FileRow, ItemCursor, Json, Rev, Seq, Timestamp};

/// Consecutive items, both ends included. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqRange {
    /// First item, at least 1.
    pub first: Seq,
    /// Last item, not below `first`.
    pub last: Seq,
}

impl SeqRange {
    /// The range from `first` to `last`.
    #[must_use]
    pub fn new(first: Seq, last: Seq) -> Self {
        debug_assert!(first >= 1 && first <= last, "a range is never empty");
        Self { first, last }
    }

    /// The range of one item.
    #[must_use]
    pub fn one(seq: Seq) -> Self {
        Self { first: seq, last: seq }
    }

    /// How many items.
    #[must_use]
    pub fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

/// The input of one item, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRecord {
    /// Position.
    pub seq: Seq,
    /// The stored JSON value.
    pub json: Json,
}

/// A file known to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    /// Key in the file store.
    pub key: String,
    /// Item it belongs to.
    pub seq: Seq,
    /// Whether it came in or was left.
    pub side: FileSide,
    /// Name, type, size.
    pub row: FileRow,
    /// BLAKE3 of its content, lower-case hexadecimal.
    pub blake3: String,
}

/// Which side of an item a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSide {
    /// Uploaded: what the item works on.
    Input,
    /// Left by the item.
    Output,
}

/// An item as stored: committed state.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemRecord {
    /// The row as everybody sees it, without progress.
    pub row: crate::protocol::ItemRow,
    /// Attempts; only from [`super::Store::item`].
    pub history: Vec<AttemptRow>,
    /// Log tail; only from [`super::Store::item`].
    pub log: String,
    /// The input as stored: file inputs with their key.
    pub stored_input: Json,
}

/// Items of one batch.
#[derive(Clone, Debug)]
pub struct ItemList {
    /// In order of `seq`, or of what was asked for.
    pub items: Vec<ItemRecord>,
    /// When each of them ended, where they are sorted by that; else empty.
    pub ended_at: Vec<Timestamp>,
    /// The message of the family that was asked for, if there is one.
    pub family_message: Option<String>,
    /// `after` for the next page.
    pub next: Option<ItemCursor>,
    /// How far a search has looked.
    pub searched_to: Option<Seq>,
    /// Revision that these rows show.
    pub rev: Rev,
}
