//! What items leave: taken in when they end, small files stored together, before anything of it is recorded.
//!
//! Where that fails, so does the item.

use super::verdict::{Ended, Verdict, is_final};
use crate::engine::flow::{Chunk, NamedFile};
use crate::store::{Store, StoreError};
use crate::tasks::{TaskError, WorkCell};

/// Takes in what the item left, if nothing comes after it.
pub async fn take_files(
    store: &Store,
    chunk: &Chunk,
    cell: &WorkCell,
    verdict: Verdict,
) -> (Verdict, Vec<NamedFile>) {
    let left = if cell.has_folder() { cell.files() } else { Vec::new() };
    let mut taken = Vec::with_capacity(left.len());
    if left.is_empty() || !is_final(chunk, &verdict) {
        return (verdict, taken);
    }
    for (name, path) in left {
        match store.file_store().adopt(&path, &name).await {
            Ok(sealed) => taken.push(NamedFile { name, sealed }),
            Err(fault) => return (failed(store, &format!("Its file {name}"), &fault), Vec::new()),
        }
    }
    (verdict, taken)
}

/// Stores the small files of items that have ended, all at once.
pub async fn keep_files(store: &Store, ended: &mut [Ended]) {
    let files = ended.iter().flat_map(|ended| &ended.files).map(|file| &file.sealed);
    let Err(fault) = store.file_store().keep_all(files).await else { return };
    for ended in ended.iter_mut().filter(|ended| !ended.is_kept()) {
        ended.verdict = failed(store, "Its files", &fault);
        ended.files.clear();
    }
}

fn failed(store: &Store, what: &str, fault: &StoreError) -> Verdict {
    // Where the disk is full nothing more is started, so that what is left is not tried in vain.
    store.record_full(fault);
    Verdict::Failed(TaskError::passing("files", format!("{what} could not be kept: {fault}")))
}
