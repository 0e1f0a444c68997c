//! The committing half of an intake: writes blocks as they form.
//!
//! Owns the loop that appends. Started by the intake. Invariant: blocks are written in
//! order, each append one commit of whole items. Deliberately checks no item.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::forming::{Age, Forming, Step};
use crate::protocol::Seq;
use crate::store::{BatchChange, BatchKey, BatchRecord, FileRecord, NewBlock, StoreError};

/// A block that is not full is committed after so long.
const BLOCK_TIME: Duration = Duration::from_millis(50);
/// The very first one sooner: somebody waits for the first item to run.
const FIRST_BLOCK_TIME: Duration = Duration::from_millis(10);
/// Commits that a busy database may refuse in a row before the intake gives up, and the pause between.
const TRIES_MAX: u32 = 50;
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// Writes blocks until the intake has ended; answers the batch as of the last commit.
pub(super) async fn commit_loop(
    engine: Engine,
    batch: BatchRecord,
    first: Seq,
    forming: Arc<Forming>,
) -> Result<Option<BatchRecord>, StoreError> {
    let mut next = first;
    let mut last: Option<BatchRecord> = None;
    let mut age = Age::Young;
    loop {
        match forming.step(age) {
            Step::End => return Ok(last),
            Step::Wait => {
                forming.until_come().await;
                age = Age::Young;
            }
            Step::WaitForMore => {
                let patience = if last.is_some() { BLOCK_TIME } else { FIRST_BLOCK_TIME };
                let more = tokio::time::timeout(patience, forming.until_ended()).await;
                age = if more.is_err() { Age::Ripe } else { Age::Young };
            }
            Step::Write(blocks, files) => {
                age = Age::Young;
                let count: u64 = blocks.iter().map(|block| u64::from(block.count)).sum();
                match append(&engine, batch.key, next, &blocks, &files).await {
                    Ok(written) => {
                        engine.publish_grown(&written, last.as_ref().unwrap_or(&batch));
                        engine.inner.desk.nudge.notify_one();
                        last = Some(written);
                        next += count;
                        forming.written();
                    }
                    Err(error) => {
                        forming.give_back(files);
                        forming.drop_rest();
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// One commit, tried again while the database is busy.
async fn append(
    engine: &Engine,
    batch: BatchKey,
    first: Seq,
    blocks: &[NewBlock],
    files: &[FileRecord],
) -> Result<BatchRecord, StoreError> {
    let items: u64 = blocks.iter().map(|block| u64::from(block.count)).sum();
    let mut tries = 0;
    loop {
        tries += 1;
        match engine.inner.store.append(batch, first, blocks, files).await {
            Err(StoreError::Busy(_)) if tries < TRIES_MAX => tokio::time::sleep(TRY_PAUSE).await,
            // The try whose answer was lost has written it. Only this intake appends to a batch that is not open.
            Err(StoreError::WrongFirstSeq { total }) if tries > 1 && total == first - 1 + items => {
                let batch = engine.inner.store.batch_by_key(batch).await?;
                if batch.options.open {
                    return Err(StoreError::WrongFirstSeq { total });
                }
                return Ok(batch);
            }
            answer => return answer,
        }
    }
}

impl Engine {
    /// Publishes a batch to which items came: no end or family has changed by that.
    pub(super) fn publish_grown(&self, batch: &BatchRecord, before: &BatchRecord) {
        self.publish(&BatchChange {
            batch: batch.clone(),
            families: Vec::new(),
            cells: Vec::new(),
            strip_reshaped: batch.cell_items != before.cell_items,
            ended: 0,
        });
    }
}
