//! Inputs: blocks of lines, compressed, and what was lately read of them.
//!
//! A block never changes once it is written, so the cache never needs to be told. What a line means is not known here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::ConnectionTrait;

use super::meeting::meeting_any;
use super::ranges::Ranges;
use crate::protocol::{Json, Seq};
use crate::store::Store;
use crate::store::backend::{all, in_keys, list_value, rows};
use crate::store::entity::blocks;
use crate::store::error::StoreError;
use crate::store::records::{BatchKey, BatchRecord, InputRecord, SeqRange, Source};

/// Bytes of unpacked blocks kept; beyond, the one used least lately goes.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Compressed bytes of the blocks that are read in one statement, where that is more than one; the others are read in
/// further ones. They are unpacked one by one, and kept as long as the cache has room.
const BYTES_AHEAD_MAX: i64 = 4 * 1024 * 1024;

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
    /// Those that hold some of these positions, in order.
    fn find(&self, batch: BatchKey, positions: &Ranges) -> VecDeque<Arc<Block>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |block: &Arc<Block>| {
            block.batch == batch && positions.meets(SeqRange::new(block.first, block.last()))
        };
        let (mut found, others): (Vec<_>, Vec<_>) = kept.drain(..).partition(holds);
        kept.extend(others);
        kept.extend(found.iter().cloned());
        drop(kept);
        found.sort_unstable_by_key(|block| block.first);
        found.into()
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
        self.inputs_by(self.inner.backend.reader(), batch, &Ranges::one(range)).await
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
        let positions = Ranges::collect(ranges.iter().copied());
        self.inputs_by(self.inner.backend.reader(), batch, &positions).await
    }

    /// As [`Store::inputs`], of a set of positions, through `connection`.
    pub async fn inputs_by<C: ConnectionTrait>(
        &self,
        connection: &C,
        batch: &BatchRecord,
        positions: &Ranges,
    ) -> Result<Vec<InputRecord>, StoreError> {
        if batch.source == Source::Generated {
            return Ok(positions.seqs().map(|seq| InputRecord { seq, json: Json::number(seq) }).collect());
        }
        let mut blocks = Blocks::of(self, connection, batch.key, positions).await?;
        let mut inputs = Vec::new();
        let mut block: Option<Arc<Block>> = None;
        for seq in positions.seqs() {
            let here = match block.take() {
                Some(block) if block.holds(batch.key, seq) => block,
                _ => blocks.next(seq).await?,
            };
            let json = Json::parse(here.line(seq)).map_err(|error| {
                StoreError::Invariant(format!("input {seq} of batch {}: {error}", batch.key))
            })?;
            inputs.push(InputRecord { seq, json });
            block = Some(here);
        }
        Ok(inputs)
    }
}

/// The blocks that hold some positions, one after the other: those in memory, and the others read some megabytes at a
/// time.
struct Blocks<'a, C> {
    store: &'a Store,
    connection: &'a C,
    batch: BatchKey,
    /// In memory when the walk began, in order. Held, for what is read meanwhile pushes others out of the cache.
    cached: VecDeque<Arc<Block>>,
    /// First items and compressed bytes of the others that are not read yet, in order.
    missing: VecDeque<(i64, i64)>,
    /// Read and not unpacked yet, in order.
    ahead: VecDeque<blocks::Model>,
}

impl<'a, C: ConnectionTrait> Blocks<'a, C> {
    async fn of(
        store: &'a Store,
        connection: &'a C,
        batch: BatchKey,
        positions: &Ranges,
    ) -> Result<Self, StoreError> {
        let cached = store.inner.blocks.find(batch, positions);
        let held = Ranges::collect(cached.iter().map(|block| SeqRange::new(block.first, block.last())));
        let rest = positions.without(&held);
        let mut missing = VecDeque::new();
        if !rest.is_empty() {
            // Of a long value the databases know the length without reading it.
            let text =
                meeting_any(connection, "found.first, CAST(LENGTH(found.payload) AS BIGINT)", "blocks", "");
            for row in rows(connection, &text, vec![batch.into(), list_value(&rest.pairs())]).await? {
                let block: (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                if missing.back() != Some(&block) {
                    missing.push_back(block);
                }
            }
        }
        Ok(Self { store, connection, batch, cached, missing, ahead: VecDeque::new() })
    }

    /// The block that holds `seq`, which is one of the positions, and the first that the last block did not hold.
    async fn next(&mut self, seq: Seq) -> Result<Arc<Block>, StoreError> {
        if let Some(block) = self.cached.pop_front_if(|block| block.holds(self.batch, seq)) {
            return Ok(block);
        }
        if self.ahead.is_empty() {
            self.read().await?;
        }
        let missing = || StoreError::Invariant(format!("input {seq} of batch {} is missing", self.batch));
        let block = Arc::new(Block::unpack(&self.ahead.pop_front().ok_or_else(missing)?)?);
        if !block.holds(self.batch, seq) {
            return Err(missing());
        }
        self.store.inner.blocks.keep(block.clone());
        Ok(block)
    }

    /// Reads the next of the missing blocks: one at least, and others as long as all are within [`BYTES_AHEAD_MAX`].
    async fn read(&mut self) -> Result<(), StoreError> {
        let (mut keys, mut bytes) = (Vec::new(), 0);
        while let Some((first, size)) =
            self.missing.pop_front_if(|(_first, size)| bytes == 0 || bytes + *size <= BYTES_AHEAD_MAX)
        {
            keys.push(first);
            bytes += size;
        }
        let text = format!(
            "SELECT * FROM blocks WHERE batch = $1 AND first {} ORDER BY first",
            in_keys(self.connection, 2)
        );
        let values = vec![self.batch.into(), list_value(&keys)];
        self.ahead = all::<blocks::Model, _>(self.connection, &text, values).await?.into();
        Ok(())
    }
}
