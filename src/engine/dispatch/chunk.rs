//! What a slot is given: the batch made ready, and a piece of its items.
//!
//! Owns the shapes between desk, loader and slots. Invariant: a piece holds its items in order, and what is not
//! run of it can be given back whole. Deliberately knows neither lock nor database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::slot_table::Leash;
use crate::engine::execute::RetryPlan;
use crate::protocol::{BatchId, Json, Seq};
use crate::store::{
    AttemptRecord, BatchKey, BatchRecord, FileRecord, InputRecord, LeaseId, OutcomeRun, RetryItem, SeqRange,
    Source,
};
use crate::tasks::Prepared;

/// Part of a new measurement in the moving mean, in 1/8.
const MEAN_SHARE: u64 = 3;

/// A mean that follows what comes; 0 = nothing known yet.
#[derive(Debug, Default)]
pub struct MovingMean(AtomicU64);

impl MovingMean {
    /// Takes a measurement. Concurrent ones may overwrite each other: it is a mean.
    pub fn note(&self, value: u64) {
        let old = self.0.load(Ordering::Relaxed);
        let new = if old == 0 { value } else { (old * (8 - MEAN_SHARE) + value * MEAN_SHARE) / 8 };
        self.0.store(new.max(1), Ordering::Relaxed);
    }

    /// The mean, if anything was measured.
    pub fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|mean| *mean > 0)
    }
}

/// A batch made ready to run on this node. Kept while the node has work of it.
pub struct BatchWork {
    pub key: BatchKey,
    pub id: BatchId,
    pub task: String,
    pub source: Source,
    pub prepared: Arc<dyn Prepared>,
    /// It has a concurrency of its own, by the last lease of it.
    pub is_limited: AtomicBool,
    pub retry: RetryPlan,
    /// Of one attempt.
    pub time_limit: Duration,
    /// Path of its attempts' folders up to the seq.
    pub out_prefix: Arc<str>,
    /// Nanoseconds that an item takes on this node.
    pub pace_ns: MovingMean,
    /// Bytes of an input.
    pub input_bytes: MovingMean,
    /// Turn at which a slot last took something of it: the least lately served goes first.
    pub served: AtomicU64,
}

impl BatchWork {
    /// Items that one slot does in `span`, if a pace is known; at least 1.
    pub fn items_in(&self, span: Duration) -> Option<u64> {
        let pace = self.pace_ns.get()?;
        Some((u64::try_from(span.as_nanos()).unwrap_or(u64::MAX) / pace).max(1))
    }
}

/// Inputs to read ahead of the slots.
pub struct Load {
    pub lease: LeaseId,
    pub work: Arc<BatchWork>,
    pub record: Arc<BatchRecord>,
    /// In order, never none.
    pub ranges: Vec<SeqRange>,
}

/// Items in order: loaded, or numbers that need no loading.
pub enum Piece {
    /// Of a generated batch.
    Numbers(SeqRange),
    /// Of written inputs; never empty.
    Records(VecDeque<InputRecord>),
}

impl Piece {
    /// The first item.
    pub fn first(&self) -> Option<Seq> {
        match self {
            Self::Numbers(range) => Some(range.first),
            Self::Records(records) => records.front().map(|record| record.seq),
        }
    }

    /// Takes the first item off; `None` as second part where it was the last.
    pub fn split(self) -> Option<(InputRecord, Option<Self>)> {
        match self {
            Self::Numbers(range) => {
                let json = Json::number(range.first);
                let rest = (range.first < range.last)
                    .then(|| Self::Numbers(SeqRange::new(range.first + 1, range.last)));
                Some((InputRecord { seq: range.first, json }, rest))
            }
            Self::Records(mut records) => {
                let first = records.pop_front()?;
                Some((first, (!records.is_empty()).then_some(Self::Records(records))))
            }
        }
    }

    /// Puts `first` back before the rest, as if it had never been split off by a batch of kind `source`.
    pub fn rejoin(source: Source, first: InputRecord, rest: Option<Self>) -> Self {
        match (source, rest) {
            (Source::Generated, Some(Self::Numbers(range))) => {
                Self::Numbers(SeqRange::new(first.seq, range.last))
            }
            (Source::Generated, _) => Self::Numbers(SeqRange::one(first.seq)),
            (Source::Blocks, rest) => {
                let mut records = match rest {
                    Some(Self::Records(records)) => records,
                    Some(Self::Numbers(_)) | None => VecDeque::new(),
                };
                records.push_front(first);
                Self::Records(records)
            }
        }
    }
}

/// A run of items for one slot.
pub struct Chunk {
    pub lease: LeaseId,
    pub work: Arc<BatchWork>,
    pub record: Arc<BatchRecord>,
    pub attempt: u32,
    pub crashes: u32,
    pub leash: Arc<Leash>,
    /// What has not started.
    pub items: Option<Piece>,
}

/// What came of a chunk.
#[derive(Default)]
pub struct Done {
    pub outcomes: Vec<OutcomeRun>,
    pub retries: Vec<RetryItem>,
    pub attempts: Vec<AttemptRecord>,
    pub files: Vec<FileRecord>,
    /// Given back unspent.
    pub released: Vec<SeqRange>,
    /// Not started.
    pub rest: Option<Piece>,
    /// Items that ran.
    pub items: u64,
    /// Time that they took.
    pub took: Duration,
    /// Weight in the recorder's buffer: rows, and one more per KiB.
    pub weight: usize,
}

/// Joins seqs in order into ranges.
pub fn ranges(seqs: impl IntoIterator<Item = Seq>) -> Vec<SeqRange> {
    let mut ranges: Vec<SeqRange> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some(last) if last.last + 1 == seq => last.last = seq,
            _ => ranges.push(SeqRange::one(seq)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lose_their_first() {
        let (first, rest) = Piece::Numbers(SeqRange::new(4, 5)).split().unwrap();
        assert_eq!((first.seq, first.json.as_str()), (4, "4"));
        let (last, rest) = rest.unwrap().split().unwrap();
        assert!(last.seq == 5 && rest.is_none());
    }

    #[test]
    fn seqs_join() {
        assert_eq!(
            ranges([1, 2, 3, 7, 9, 10]),
            [SeqRange::new(1, 3), SeqRange::one(7), SeqRange::new(9, 10)]
        );
    }
}
