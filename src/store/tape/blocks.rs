//! Inputs: blocks of lines, compressed, and what was lately read of them.
//!
//! Owns the form of a block. Called by intake (append), slots (inputs) and the reads of items. Invariant: a block
//! never changes once written, so the cache never needs to be told. Deliberately does not know what a line means.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::ConnectionTrait;

use crate::protocol::{Json, Seq};
use crate::store::Store;
use crate::store::backend::{int, one};
use crate::store::entity::blocks;
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, BatchRecord, InputRecord, SeqRange, Source};

/// Bytes of unpacked blocks kept; beyond, the one used least lately goes.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A block, unpacked.
pub struct Block {
    batch: BatchKey,
    first: Seq,
    text: String,
    /// Where each line ends, its line feed included.
    ends: Vec<u32>,
}

impl Block {
    fn unpack(row: &blocks::Model) -> Result<Self, StoreError> {
        let broken =
            |what: &str| StoreError::Invariant(format!("block {} of batch {}: {what}", row.first, row.batch));
        let bytes = lz4_flex::decompress_size_prepended(&row.payload).map_err(|_form| broken("not LZ4"))?;
        let text = String::from_utf8(bytes).map_err(|_form| broken("not UTF-8"))?;
        let mut ends = Vec::new();
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'\n' {
                ends.push(u32::try_from(at + 1).map_err(|_range| broken("too long"))?);
            }
        }
        if i64::try_from(ends.len()) != Ok(row.count) {
            return Err(broken("wrong count of lines"));
        }
        let first = crate::store::backend::count(row.first)?;
        Ok(Self { batch: row.batch, first, text, ends })
    }

    fn last(&self) -> Seq {
        self.first + self.ends.len() as u64 - 1
    }

    fn holds(&self, batch: BatchKey, seq: Seq) -> bool {
        self.batch == batch && self.first <= seq && seq <= self.last()
    }

    /// The line of `seq`, which the block holds.
    pub fn line(&self, seq: Seq) -> &str {
        let at = usize::try_from(seq - self.first).unwrap_or(usize::MAX);
        let from = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        self.text[from..self.ends[at] as usize].trim_end_matches('\n')
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }
}

/// Blocks lately used, newest last.
#[derive(Default)]
pub struct BlockCache(Mutex<VecDeque<Arc<Block>>>);

impl BlockCache {
    fn find(&self, batch: BatchKey, seq: Seq) -> Option<Arc<Block>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|block| block.holds(batch, seq))?;
        let block = kept.remove(at)?;
        kept.push_back(block.clone());
        Some(block)
    }

    fn keep(&self, block: Arc<Block>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| (other.batch, other.first) != (block.batch, block.first));
        kept.push_back(block);
        let mut bytes: usize = kept.iter().map(|block| block.bytes()).sum();
        while bytes > CACHE_BYTES_MAX && kept.len() > 1 {
            bytes -= kept.pop_front().map_or(0, |block| block.bytes());
        }
    }
}

/// A block as stored.
pub fn compress(ndjson: &[u8]) -> Vec<u8> {
    lz4_flex::compress_prepend_size(ndjson)
}

impl Store {
    /// The inputs of `range`, in order. Generated batches: the numbers themselves.
    ///
    /// # Errors
    /// [`StoreError::Invariant`] where an input is missing; outages.
    pub async fn inputs(&self, batch: &BatchRecord, range: SeqRange) -> Result<Vec<InputRecord>, StoreError> {
        self.inputs_by(self.inner.backend.reader(), batch, range.first..=range.last).await
    }

    /// As [`Store::inputs`], of several ranges in order.
    ///
    /// # Errors
    /// As [`Store::inputs`].
    pub async fn inputs_of(
        &self,
        batch: &BatchRecord,
        ranges: &[SeqRange],
    ) -> Result<Vec<InputRecord>, StoreError> {
        let seqs: Vec<Seq> = ranges.iter().flat_map(|range| range.first..=range.last).collect();
        self.inputs_by(self.inner.backend.reader(), batch, seqs).await
    }

    /// As [`Store::inputs`], for positions in order, through `connection`.
    pub async fn inputs_by<C: ConnectionTrait>(
        &self,
        connection: &C,
        batch: &BatchRecord,
        seqs: impl IntoIterator<Item = Seq>,
    ) -> Result<Vec<InputRecord>, StoreError> {
        let mut inputs = Vec::new();
        let mut block: Option<Arc<Block>> = None;
        for seq in seqs {
            if batch.source == Source::Generated {
                inputs.push(InputRecord { seq, json: Json::number(seq) });
                continue;
            }
            let here = match block.take() {
                Some(block) if block.holds(batch.key, seq) => block,
                _ => self.block(connection, batch.key, seq).await?,
            };
            let json = Json::parse(here.line(seq)).map_err(|error| {
                StoreError::Invariant(format!("input {seq} of batch {}: {error}", batch.key))
            })?;
            inputs.push(InputRecord { seq, json });
            block = Some(here);
        }
        Ok(inputs)
    }

    async fn block<C: ConnectionTrait>(
        &self,
        connection: &C,
        batch: BatchKey,
        seq: Seq,
    ) -> Result<Arc<Block>, StoreError> {
        if let Some(block) = self.inner.blocks.find(batch, seq) {
            return Ok(block);
        }
        let text = "SELECT * FROM blocks WHERE batch = $1 AND first <= $2 ORDER BY first DESC LIMIT 1";
        let row: Option<blocks::Model> = one(connection, text, vec![batch.into(), int(seq).into()]).await?;
        let missing = || StoreError::Invariant(format!("input {seq} of batch {batch} is missing"));
        let block = Arc::new(Block::unpack(&row.ok_or_else(missing)?)?);
        if !block.holds(batch, seq) {
            return Err(missing());
        }
        self.inner.blocks.keep(block.clone());
        Ok(block)
    }
}
