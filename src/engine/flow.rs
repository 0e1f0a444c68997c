//! The shapes that pass between the stages, and nothing else.
//!
//! A batch made ready to run, inputs to read ahead, a chunk of items for one slot, what came of it, and the handle that
//! stops it. A run of items keeps them in order, and what is not run of it can be given back whole.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::protocol::{BatchId, FileRow, Json, Seq};
use crate::store::{
    AttemptRecord, BatchChange, BatchKey, BatchRecord, FileRecord, FileSide, InputRecord, LeaseId,
    OutcomeRun, RetryItem, RetryPolicy, SealedFile, SeqRange, Source, Stored,
};
use crate::tasks::Prepared;

/// Is told of every commit of this node.
pub trait CommitObserver: Send + Sync {
    /// `change` was committed by this node. Called between commit and publication: must not wait.
    fn committed(&self, change: &BatchChange);
}

/// Part of a new measurement in the moving mean, in 1/8.
const MEAN_SHARE: u64 = 3;

/// A mean that follows what comes; 0 = nothing known yet.
#[derive(Debug, Default)]
pub struct MovingMean(AtomicU64);

impl MovingMean {
    /// Adds a measurement. Concurrent ones may overwrite each other: it is a mean.
    pub fn add(&self, value: u64) {
        let old = self.0.load(Ordering::Relaxed);
        let new = if old == 0 { value } else { (old * (8 - MEAN_SHARE) + value * MEAN_SHARE) / 8 };
        self.0.store(new.max(1), Ordering::Relaxed);
    }

    /// The mean, if anything was measured.
    pub fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|mean| *mean > 0)
    }
}

/// The bound on the bytes of files that the items of a batch leave, and how near to it they are as far as this node knows.
///
/// What this node takes in counts at once. What others do is known as of the lease, so that several nodes together may go
/// beyond the bound by what they leave within one lease, and no further.
#[derive(Debug)]
pub struct LeftBytes {
    max: u64,
    /// Held for an instant, never across an await.
    known: Mutex<KnownBytes>,
}

#[derive(Debug, Default)]
struct KnownBytes {
    /// A retry takes files away: from the first lease after it on, what that says counts.
    generation: u32,
    /// Of the lease that began the generation here, and of this node since.
    bytes: u64,
}

impl LeftBytes {
    /// None yet; `max` is for the whole batch.
    pub fn new(max: u64) -> Self {
        Self { max, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, KnownBytes> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `bytes` more of an item of `batch`, as of its lease.
    ///
    /// # Errors
    /// How many the batch would have, and the bound: then they do not count.
    pub fn take(&self, bytes: u64, batch: &BatchRecord) -> Result<(), (u64, u64)> {
        let mut known = self.known();
        if known.generation < batch.generation {
            *known = KnownBytes { generation: batch.generation, bytes: batch.left_bytes };
        }
        let all = known.bytes.max(batch.left_bytes).saturating_add(bytes);
        if all > self.max {
            return Err((all, self.max));
        }
        known.bytes = all;
        Ok(())
    }

    /// Those bytes were not kept.
    pub fn give_back(&self, bytes: u64) {
        let mut known = self.known();
        known.bytes = known.bytes.saturating_sub(bytes);
    }
}

/// Why running work is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StopReason {
    /// The batch was cancelled.
    Cancel = 1,
    /// The node leaves: the item goes back unspent.
    Release = 2,
    /// The lease is another's: nothing of it is recorded.
    Lost = 3,
}

/// Stops the work of one slot. Shared between the slot and whoever may stop it.
#[derive(Debug, Default)]
pub struct StopHandle {
    reason: AtomicU8,
    /// Fires for the task; also at a time limit, then without a reason.
    pub token: CancellationToken,
}

impl StopHandle {
    /// Why it was stopped, if it was.
    pub fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(StopReason::Cancel),
            2 => Some(StopReason::Release),
            3 => Some(StopReason::Lost),
            _ => None,
        }
    }

    /// Stops the work; the first reason stays.
    pub fn stop(&self, reason: StopReason) {
        let _first_stays = self.reason.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }
}

/// A batch made ready to run on this node: read, checked and prepared once.
pub struct PreparedBatch {
    pub key: BatchKey,
    pub id: BatchId,
    pub task: String,
    pub source: Source,
    pub prepared: Arc<dyn Prepared>,
    /// It has a concurrency of its own, by the last lease of it.
    pub is_limited: AtomicBool,
    pub retry: RetryPolicy,
    /// Of one attempt.
    pub time_limit: Duration,
    /// Path of its attempts' folders up to the seq.
    pub out_prefix: Arc<str>,
    /// Nanoseconds that an item takes on this node.
    pub pace_ns: MovingMean,
    /// Bytes of an input.
    pub input_bytes: MovingMean,
    /// The bound on the files that its items leave.
    pub left_bytes: LeftBytes,
    /// Turn of the dispatcher at which a slot last took items of it: the least recently served goes first.
    pub served: AtomicU64,
}

impl PreparedBatch {
    /// Items that one slot does in `span`, if a pace is known; at least 1.
    pub fn items_in(&self, span: Duration) -> Option<u64> {
        let pace = self.pace_ns.get()?;
        Some((u64::try_from(span.as_nanos()).unwrap_or(u64::MAX) / pace).max(1))
    }
}

/// Inputs to read ahead of the slots.
pub struct Load {
    pub lease: LeaseId,
    pub batch: Arc<PreparedBatch>,
    pub record: Arc<BatchRecord>,
    /// In order, never none.
    pub ranges: Vec<SeqRange>,
}

/// A file that came whole, under the name that it has for people.
pub struct NamedFile {
    pub name: String,
    pub sealed: SealedFile,
}

impl NamedFile {
    /// The input that it is, its content under `key`.
    pub fn input(&self, key: &str) -> FileInput {
        let Stored { bytes, blake3, media_type, .. } = self.sealed.stored.clone();
        FileInput { key: key.to_owned(), name: self.name.clone(), bytes, media_type, blake3 }
    }

    /// Its row, as what item `seq` took or left.
    pub fn record(&self, seq: Seq, side: FileSide) -> FileRecord {
        let Stored { key, bytes, blake3, media_type } = self.sealed.stored.clone();
        FileRecord { key, seq, side, row: FileRow { name: self.name.clone(), bytes, media_type }, blake3 }
    }
}

/// A file input as it is written to a block.
#[derive(Deserialize, Serialize)]
pub struct FileInput {
    pub key: String,
    pub name: String,
    pub bytes: u64,
    #[serde(rename = "type")]
    pub media_type: String,
    pub blake3: String,
}

/// Items in order: loaded, or numbers that need no loading.
pub enum ItemRun {
    /// Of a generated batch.
    Numbers(SeqRange),
    /// Of written inputs; never empty.
    Records(VecDeque<InputRecord>),
}

impl ItemRun {
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
    pub batch: Arc<PreparedBatch>,
    pub record: Arc<BatchRecord>,
    pub generation: u32,
    pub attempt: u32,
    pub crashes: u32,
    pub stop: Arc<StopHandle>,
    /// What has not started.
    pub items: Option<ItemRun>,
}

/// What came of a chunk.
#[derive(Default)]
pub struct ChunkResult {
    pub outcomes: Vec<OutcomeRun>,
    pub retries: Vec<RetryItem>,
    pub attempts: Vec<AttemptRecord>,
    pub files: Vec<FileRecord>,
    /// Given back unspent.
    pub released: Vec<SeqRange>,
    /// Not started.
    pub rest: Option<ItemRun>,
    /// Items that ran.
    pub items: u64,
    /// Time that they took.
    pub took: Duration,
    /// Weight in the buffer of the recorder: rows, and one more per KiB.
    pub weight: usize,
}

/// Joins seqs in order into ranges.
pub fn joined(seqs: impl IntoIterator<Item = Seq>) -> Vec<SeqRange> {
    let mut ranges: Vec<SeqRange> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some(last) if last.last + 1 == seq => last.last = seq,
            _ => ranges.push(SeqRange::one(seq)),
        }
    }
    ranges
}

/// True where one of the ranges holds the item.
pub fn covers(ranges: &[SeqRange], seq: Seq) -> bool {
    ranges.iter().any(|range| range.first <= seq && seq <= range.last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lose_their_first() {
        let (first, rest) = ItemRun::Numbers(SeqRange::new(4, 5)).split().unwrap();
        assert_eq!((first.seq, first.json.as_str()), (4, "4"));
        let (last, rest) = rest.unwrap().split().unwrap();
        assert!(last.seq == 5 && rest.is_none());
    }

    #[test]
    fn seqs_join() {
        assert_eq!(
            joined([1, 2, 3, 7, 9, 10]),
            [SeqRange::new(1, 3), SeqRange::one(7), SeqRange::new(9, 10)]
        );
    }
}
