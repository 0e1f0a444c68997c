//! The block writer of an upload: commits blocks as they fill.
//!
//! Blocks are written in order, each append one commit of whole items.

use std::sync::Arc;
use std::time::Duration;

use super::block_buffer::{Age, BlockBuffer, Step};
use crate::engine::acts::Acts;
use crate::engine::flow::NamedFile;
use crate::protocol::Seq;
use crate::store::{BatchChange, BatchKey, BatchRecord, FileRecord, FileSide, NewBlock, Store, StoreError};

/// A block that is not full is committed after so long.
const BLOCK_TIME: Duration = Duration::from_millis(50);
/// The very first one sooner: somebody waits for the first item to run.
const FIRST_BLOCK_TIME: Duration = Duration::from_millis(10);
/// Commits that a busy database may refuse in a row before the upload gives up, and the pause between.
const TRIES_MAX: u32 = 50;
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// Writes blocks of `batch`, whose next item is `first`, until the upload has ended; answers the batch as of the last
/// commit.
pub async fn write_blocks(
    acts: Arc<Acts>,
    batch: BatchRecord,
    first: Seq,
    buffer: Arc<BlockBuffer>,
) -> Result<Option<BatchRecord>, StoreError> {
    let mut next = first;
    let mut last: Option<BatchRecord> = None;
    let mut age = Age::Young;
    loop {
        match buffer.step(age) {
            Step::End => return Ok(last),
            Step::Wait => {
                buffer.until_added().await;
                age = Age::Young;
            }
            Step::WaitForMore => {
                let patience = if last.is_some() { BLOCK_TIME } else { FIRST_BLOCK_TIME };
                let more = tokio::time::timeout(patience, buffer.until_ended()).await;
                age = if more.is_err() { Age::Ripe } else { Age::Young };
            }
            Step::Write(blocks, files) => {
                age = Age::Young;
                let count: u64 = blocks.iter().map(|block| u64::from(block.count)).sum();
                match store_blocks(&acts.store, batch.key, next, blocks, &files).await {
                    Ok(written) => {
                        publish_grown(&acts, &written, last.as_ref().unwrap_or(&batch));
                        last = Some(written);
                        next += count;
                        buffer.set_written();
                    }
                    Err(error) => {
                        buffer.give_back(files);
                        buffer.discard();
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Stores what is held of the files, so that it is durable before a row names it, and then commits the blocks.
async fn store_blocks(
    store: &Store,
    batch: BatchKey,
    first: Seq,
    mut blocks: Vec<NewBlock>,
    files: &[NamedFile],
) -> Result<BatchRecord, StoreError> {
    store.file_store().keep_all(files.iter().map(|file| &file.sealed)).await?;
    let mut rows = Vec::with_capacity(files.len());
    let mut lines = files.iter();
    for block in blocks.iter_mut().filter(|block| block.ndjson.is_empty()) {
        for file in lines.by_ref().take(block.count as usize) {
            serde_json::to_writer(&mut block.ndjson, &file.input())
                .expect("what holds only texts and numbers prints as JSON");
            block.ndjson.push(b'\n');
            rows.push(file.record(first + rows.len() as u64, FileSide::Input));
        }
    }
    append(store, batch, first, &blocks, &rows).await
}

/// One commit, tried again while the database is busy.
async fn append(
    store: &Store,
    batch: BatchKey,
    first: Seq,
    blocks: &[NewBlock],
    files: &[FileRecord],
) -> Result<BatchRecord, StoreError> {
    let items: u64 = blocks.iter().map(|block| u64::from(block.count)).sum();
    let mut tries = 0;
    loop {
        tries += 1;
        match store.append(batch, first, blocks, files).await {
            Err(StoreError::Busy(_)) if tries < TRIES_MAX => tokio::time::sleep(TRY_PAUSE).await,
            // The try whose answer was lost has written it. Only this upload appends to a batch that is not open.
            Err(StoreError::WrongFirstSeq { total }) if tries > 1 && total == first - 1 + items => {
                let batch = store.batch_by_key(batch).await?;
                if batch.options.open {
                    return Err(StoreError::WrongFirstSeq { total });
                }
                return Ok(batch);
            }
            answer => return answer,
        }
    }
}

/// Publishes a batch to which items came, and has them claimed.
pub fn publish_grown(acts: &Acts, batch: &BatchRecord, before: &BatchRecord) {
    acts.publisher.publish(&BatchChange {
        batch: batch.clone(),
        families: Vec::new(),
        cells: Vec::new(),
        strip_reshaped: batch.cell_items != before.cell_items,
        ended: 0,
    });
    acts.dispatcher.work_arrived();
}
