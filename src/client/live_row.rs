//! The kinds of rows that can be live: key, revision, place in the list.
//!
//! Rows with equal keys are one row, at two moments.

use std::cmp::Ordering;
use std::hash::Hash;

use crate::protocol::binary::Fields;
use crate::protocol::{
    Batch, BatchId, Family, FamilyId, ItemLive, ItemRow, Key, Node, NodeId, PulseBucket, Rev, Row, Seq,
    StripCell,
};

/// A row that can be live.
pub trait LiveRow: Fields + Clone + PartialEq + Send + Sync + 'static {
    /// Its key in its topic.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// Its key.
    fn key(&self) -> Self::Key;
    /// Revision at which it was written.
    fn rev(&self) -> Rev;
    /// The row, if it is of this kind.
    fn from_row(row: Row) -> Option<Self>;
    /// The key, if it is of this kind.
    fn from_key(key: &Key) -> Option<Self::Key>;
    /// Order in the list; equal ones stay in the order in which they came.
    fn place(&self, other: &Self) -> Ordering;
    /// True while it will go on changing by itself: what a hidden tab still wants to hear of.
    fn unfinished(&self) -> bool {
        false
    }
    /// Becomes `newer`, of which an update tells all.
    fn become_newer(&mut self, newer: Self) {
        *self = newer;
    }
}

impl LiveRow for Batch {
    type Key = BatchId;
    fn key(&self) -> BatchId {
        self.id
    }
    fn rev(&self) -> Rev {
        self.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::Batch(batch) = row { Some(*batch) } else { None }
    }
    fn from_key(key: &Key) -> Option<BatchId> {
        if let Key::Text(text) = key { text.parse().ok() } else { None }
    }
    fn place(&self, other: &Self) -> Ordering {
        other.number.cmp(&self.number)
    }
    fn unfinished(&self) -> bool {
        !self.state.is_finished()
    }
}

impl LiveRow for ItemRow {
    type Key = Seq;
    fn key(&self) -> Seq {
        self.seq
    }
    fn rev(&self) -> Rev {
        self.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::Item(item) = row { Some(*item) } else { None }
    }
    fn from_key(key: &Key) -> Option<Seq> {
        if let Key::Number(seq) = key { Some(*seq) } else { None }
    }
    fn place(&self, other: &Self) -> Ordering {
        self.seq.cmp(&other.seq)
    }
}

impl LiveRow for ItemLive {
    type Key = Seq;
    fn key(&self) -> Seq {
        self.row.seq
    }
    fn rev(&self) -> Rev {
        self.row.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::ItemLive(item) = row { Some(*item) } else { None }
    }
    fn from_key(key: &Key) -> Option<Seq> {
        ItemRow::from_key(key)
    }
    fn place(&self, other: &Self) -> Ordering {
        self.row.place(&other.row)
    }
    /// Of the log an update tells only what came since.
    fn become_newer(&mut self, newer: Self) {
        let mut log = std::mem::take(&mut self.log);
        log.go_on(&newer.log);
        *self = Self { log, ..newer };
    }
}

impl LiveRow for Family {
    type Key = FamilyId;
    fn key(&self) -> FamilyId {
        self.id.clone()
    }
    fn rev(&self) -> Rev {
        self.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::Family(family) = row { Some(family) } else { None }
    }
    fn from_key(key: &Key) -> Option<FamilyId> {
        if let Key::Text(text) = key { Some(FamilyId(text.clone())) } else { None }
    }
    /// As they came: rows that overtake each other while somebody reads them are worse than a stale order.
    fn place(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl LiveRow for StripCell {
    type Key = u32;
    fn key(&self) -> u32 {
        self.cell
    }
    fn rev(&self) -> Rev {
        self.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::Cell(cell) = row { Some(cell) } else { None }
    }
    fn from_key(key: &Key) -> Option<u32> {
        if let Key::Number(cell) = key { u32::try_from(*cell).ok() } else { None }
    }
    fn place(&self, other: &Self) -> Ordering {
        self.cell.cmp(&other.cell)
    }
}

impl LiveRow for PulseBucket {
    type Key = u32;
    fn key(&self) -> u32 {
        self.bucket
    }
    fn rev(&self) -> Rev {
        self.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::Pulse(bucket) = row { Some(bucket) } else { None }
    }
    fn from_key(key: &Key) -> Option<u32> {
        StripCell::from_key(key)
    }
    fn place(&self, other: &Self) -> Ordering {
        self.bucket.cmp(&other.bucket)
    }
}

impl LiveRow for Node {
    type Key = NodeId;
    fn key(&self) -> NodeId {
        self.id.clone()
    }
    fn rev(&self) -> Rev {
        self.rev
    }
    fn from_row(row: Row) -> Option<Self> {
        if let Row::Node(node) = row { Some(*node) } else { None }
    }
    fn from_key(key: &Key) -> Option<NodeId> {
        if let Key::Text(text) = key { Some(NodeId(text.clone())) } else { None }
    }
    fn place(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name).then_with(|| self.id.cmp(&other.id))
    }
}
