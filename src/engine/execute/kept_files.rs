//! What items leave: taken in when they end, small files stored together, before anything of it is recorded.
//!
//! Taking them in belongs to the attempt: it is held to the time limit, ends with a stop, and files over the bound of the
//! batch are refused before they are read. Where it fails, so does the item.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::verdict::{Ended, Verdict, is_final, stopped};
use crate::engine::flow::{Chunk, NamedFile, StopReason};
use crate::store::{Store, StoreError};
use crate::tasks::{TaskError, WorkCell};

/// For so long after a stop the files of an item that has ended may still be taken in: small ones always are.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Takes in what the item left, if nothing comes after it, until `deadline`: by default as long as an attempt may take.
pub async fn take_files(
    store: &Store,
    chunk: &Chunk,
    cell: &WorkCell,
    verdict: Verdict,
    deadline: Option<Instant>,
) -> (Verdict, Vec<NamedFile>) {
    let left = if cell.has_folder() { cell.files() } else { Vec::new() };
    if left.is_empty() || !is_final(chunk, &verdict) {
        return (verdict, Vec::new());
    }
    // By their lengths: a sparse file is as long as it says, and would be read so.
    let bytes = left.iter().fold(0_u64, |sum, (_name, path)| {
        sum.saturating_add(std::fs::symlink_metadata(path).map_or(0, |file| file.len()))
    });
    if let Err((all, most)) = chunk.batch.left_bytes.take(bytes, &chunk.record) {
        let message =
            format!("With its files those of the batch would have {all} bytes; {most} are allowed.");
        return (without_files(verdict, TaskError::input("files", message)), Vec::new());
    }
    let taken = take_in_time(store, chunk, left, verdict, deadline).await;
    if taken.1.is_empty() {
        chunk.batch.left_bytes.give_back(bytes);
    }
    taken
}

async fn take_in_time(
    store: &Store,
    chunk: &Chunk,
    left: Vec<(String, PathBuf)>,
    verdict: Verdict,
    deadline: Option<Instant>,
) -> (Verdict, Vec<NamedFile>) {
    let limit = chunk.batch.time_limit;
    let deadline = deadline.unwrap_or_else(|| Instant::now() + limit);
    // Whatever ends the wait ends the reading too: it goes on in a thread of its own.
    let unwanted = CancellationToken::new();
    let _reading = unwanted.clone().drop_guard();
    let unstopped = async {
        chunk.stop.token.cancelled().await;
        sleep(STOP_GRACE).await;
    };
    tokio::select! {
        taken = take_all(store, left, &unwanted) => match taken {
            Ok(files) => (verdict, files),
            Err(error) => (without_files(verdict, error), Vec::new()),
        },
        () = sleep_until(deadline) => (Verdict::TimedOut(limit.as_secs_f64()), Vec::new()),
        () = unstopped => (stopped(chunk.stop.reason().unwrap_or(StopReason::Release)), Vec::new()),
    }
}

async fn take_all(
    store: &Store,
    left: Vec<(String, PathBuf)>,
    unwanted: &CancellationToken,
) -> Result<Vec<NamedFile>, TaskError> {
    let mut taken = Vec::with_capacity(left.len());
    for (name, path) in left {
        match store.file_store().adopt(&path, &name, unwanted).await {
            Ok(sealed) => taken.push(NamedFile { name, sealed }),
            Err(fault) => return Err(not_kept(store, &format!("Its file {name}"), &fault)),
        }
    }
    Ok(taken)
}

/// Stores the small files of items of `chunk` that have ended, all at once.
pub async fn keep_files(store: &Store, chunk: &Chunk, ended: &mut [Ended]) {
    let files = ended.iter().flat_map(|ended| &ended.files).map(|file| &file.sealed);
    let Err(fault) = store.file_store().keep_all(files).await else { return };
    for ended in ended.iter_mut().filter(|ended| !ended.is_kept()) {
        ended.verdict = Verdict::Failed(not_kept(store, "Its files", &fault));
        let bytes = ended.files.drain(..).map(|file| file.sealed.stored.bytes).sum();
        chunk.batch.left_bytes.give_back(bytes);
    }
}

fn not_kept(store: &Store, what: &str, fault: &StoreError) -> TaskError {
    // Where the disk is full nothing more is started, so that what is left is not tried in vain.
    store.record_full(fault);
    TaskError::passing("files", format!("{what} could not be kept: {fault}"))
}

/// The verdict of an item whose files are not kept: one that had failed says so first.
fn without_files(verdict: Verdict, error: TaskError) -> Verdict {
    match verdict {
        Verdict::Failed(first) => {
            Verdict::Failed(TaskError { message: format!("{} {}", first.message, error.message), ..first })
        }
        Verdict::Done(_) | Verdict::TimedOut(_) | Verdict::Cancelled | Verdict::Released | Verdict::Lost => {
            Verdict::Failed(error)
        }
    }
}
