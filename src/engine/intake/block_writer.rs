//! The block writer of an upload: commits blocks as they fill.
//!
//! Blocks are written in order, each append one commit of whole items.

use std::sync::Arc;
use std::time::Duration;

use super::block_buffer::{Age, BlockBuffer, Step};
use super::file_contents::FileContents;
use super::turn::AppendTurn;
use crate::engine::acts::Acts;
use crate::engine::flow::NamedFile;
use crate::protocol::Seq;
use crate::store::{BatchChange, BatchKey, BatchRecord, FileRecord, NewBlock, Store, StoreError};

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
    turn: AppendTurn,
) -> Result<Option<BatchRecord>, StoreError> {
    if let Err(error) = turn.comes(&acts, batch.key, first).await {
        buffer.discard();
        return Err(error);
    }
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
                match store_blocks(&acts.store, (batch.key, next), blocks, &files).await {
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

/// Commits blocks whose first item is `first`, after the contents of their files.
async fn store_blocks(
    store: &Store,
    (batch, first): (BatchKey, Seq),
    mut blocks: Vec<NewBlock>,
    files: &[NamedFile],
) -> Result<BatchRecord, StoreError> {
    if files.is_empty() {
        return append(store, (batch, first), &blocks, &[], &[]).await;
    }
    let mut contents = FileContents::find(store, files).await;
    loop {
        contents.keep(store).await?;
        let rows = contents.write_lines(&mut blocks, first);
        match append(store, (batch, first), &blocks, &rows, &contents.shared_keys()).await {
            // Somebody has just deleted what was to be shared: then it is stored once more.
            Err(StoreError::ContentGone) => contents.share_nothing(),
            Ok(written) => {
                contents.remove_doubles(store).await;
                return Ok(written);
            }
            Err(error) => return Err(error),
        }
    }
}

/// One commit, tried again while the database is busy.
async fn append(
    store: &Store,
    (batch, first): (BatchKey, Seq),
    blocks: &[NewBlock],
    files: &[FileRecord],
    shared: &[String],
) -> Result<BatchRecord, StoreError> {
    let items: u64 = blocks.iter().map(|block| u64::from(block.count)).sum();
    let mut tries = 0;
    loop {
        tries += 1;
        match store.append_sharing(batch, first, blocks, files, shared).await {
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
        pulse: Vec::new(),
        pulse_reshaped: false,
        ended: 0,
    });
    acts.dispatcher.work_arrived();
    acts.wakes.grown.notify_waiters();
}
