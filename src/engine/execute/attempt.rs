//! One attempt, as a pipeline of named steps: input, run, stop, files, verdict.
//!
//! Whatever the task does (panic, hang, leave files), one verdict comes back and its folder is gone.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::failure_family::InputSample;
use super::kept_files::take_files;
use super::verdict::{Ended, Verdict, stopped};
use crate::engine::dispatch::Slot;
use crate::engine::flow::{Chunk, FileInput, StopReason};
use crate::protocol::{InputKind, Json, Timestamp, limits};
use crate::store::{InputRecord, LocalFile, Store};
use crate::tasks::{Again, Item, ItemInput, TaskContext, TaskError, WorkCell};

/// A boxed run, as the registry makes it.
type Run = crate::tasks::task::Run;
type Outcome = Result<Json, TaskError>;

/// Runs one item of `chunk`, taken up at `begun`, and says how it ended.
pub async fn attempt(
    store: &Store,
    slot: &Slot,
    chunk: &Chunk,
    input: InputRecord,
    (begun, started_at): (Instant, Timestamp),
    spare: &mut Arc<WorkCell>,
) -> Ended {
    let seq = input.seq;
    let sample = InputSample::new(chunk.batch.source, chunk.record.input, &input.json);
    let cell = fresh_cell(spare);
    let (item, _local_file) = prepared(store, chunk, input).await;
    let (verdict, deadline) = match item {
        Err(verdict) => (verdict, None),
        Ok(item) => run(slot, chunk, item, &cell).await,
    };
    let (verdict, files) = take_files(store, chunk, &cell, verdict, deadline).await;
    if cell.has_folder() {
        let out = format!("{}{seq}-{}", chunk.batch.out_prefix, chunk.attempt);
        remove_folder(Path::new(&out)).await;
    }
    let log = if cell.reports() == 0 { String::new() } else { cell.log().1 };
    let took = begun.elapsed();
    Ended {
        seq,
        input: sample,
        verdict,
        started_at,
        took,
        ms: whole_ms(started_at, took, || store.now()),
        log,
        files,
    }
}

/// Milliseconds from `started_at` to the end, both as the clock shows them: it counts whole ones, so their sum may be one
/// more than those that passed. Quick items are not worth a look at it.
fn whole_ms(started_at: Timestamp, took: Duration, now: impl FnOnce() -> Timestamp) -> u64 {
    let whole = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let one_more = whole.saturating_add(1);
    let is_more = whole > 0 && now() == started_at.plus_ms(i64::try_from(one_more).unwrap_or(i64::MAX));
    if is_more { one_more } else { whole }
}

/// The cell of the last item where it was never used, else a new one.
fn fresh_cell(spare: &mut Arc<WorkCell>) -> Arc<WorkCell> {
    let unused = Arc::get_mut(spare).is_some_and(|cell| cell.reports() == 0 && !cell.has_folder());
    if !unused {
        *spare = Arc::default();
    }
    Arc::clone(spare)
}

/// The item as the task sees it, and its file where it has one, for as long as it runs; or how it ends without a run.
async fn prepared(
    store: &Store,
    chunk: &Chunk,
    input: InputRecord,
) -> (Result<Item, Verdict>, Option<LocalFile>) {
    let (seq, attempt) = (input.seq, chunk.attempt);
    let (batch, generation) = (chunk.batch.id, chunk.generation);
    let item = |input| Ok(Item { batch, seq, generation, attempt, input });
    match chunk.record.input {
        InputKind::Line | InputKind::Record => (item(ItemInput::Value(input.json)), None),
        InputKind::File => {
            let file: FileInput = match serde_json::from_str(input.json.as_str()) {
                Ok(file) => file,
                Err(fault) => {
                    let error = TaskError::input("input", format!("The input is no file: {fault}"));
                    return (Err(Verdict::Failed(error)), None);
                }
            };
            let copy = || format!("{}{seq}-{attempt}-input", chunk.batch.out_prefix).into();
            let local = tokio::select! {
                biased;
                local = store.file_store().local_file(&file.key, file.bytes, copy) => local,
                () = chunk.stop.token.cancelled() => {
                    let reason = chunk.stop.reason().unwrap_or(StopReason::Release);
                    return (Err(stopped(reason)), None);
                }
            };
            match local {
                Ok(local) => {
                    let path = local.path().to_owned();
                    let input = ItemInput::File {
                        name: file.name,
                        path,
                        bytes: file.bytes,
                        media_type: file.media_type,
                    };
                    (item(input), Some(local))
                }
                Err(fault) => {
                    store.record_full(&fault);
                    let message = format!("Its input could not be read: {fault}");
                    (Err(Verdict::Failed(TaskError::passing("files", message))), None)
                }
            }
        }
    }
}

/// When an attempt has to be over.
type Deadline = tokio::time::Instant;

/// Runs the item; how it ended, and by when all of its attempt has to be over, where its time has run.
async fn run(slot: &Slot, chunk: &Chunk, item: Item, cell: &Arc<WorkCell>) -> (Verdict, Option<Deadline>) {
    let (token, prefix) = (chunk.stop.token.clone(), &chunk.batch.out_prefix);
    let context = TaskContext::of_attempt(Arc::clone(cell), token, prefix, item.seq, item.attempt)
        .within(chunk.batch.time_limit);
    let alone = chunk.items.is_none();
    if alone {
        slot.show(Some(Arc::clone(cell)));
    }
    let started = catch_unwind(AssertUnwindSafe(|| chunk.batch.prepared.run(item, context)));
    let mut run = match started {
        Ok(run) => run,
        Err(panic) => return (Verdict::Failed(panicked(panic.as_ref())), None),
    };
    // Quick items end at the first poll: for them neither timer nor stop is set up.
    let ended = match poll_fn(|context| Poll::Ready(poll_caught(&mut run, context))).await {
        Poll::Ready(outcome) => (verdict_of(outcome), None),
        Poll::Pending => {
            slot.show(Some(Arc::clone(cell)));
            wait(&mut run, chunk, cell).await
        }
    };
    // Dropping runs the task's own code once more.
    let _dropped = catch_unwind(AssertUnwindSafe(move || drop(run)));
    ended
}

/// Waits for the run, the time limit or the stop, whichever is first; then for the run to give way.
async fn wait(run: &mut Run, chunk: &Chunk, cell: &WorkCell) -> (Verdict, Option<Deadline>) {
    let deadline = OnceLock::new();
    let verdict = wait_until(run, chunk, cell, &deadline).await;
    (verdict, deadline.into_inner())
}

/// As [`wait`]; notes in `deadline` when the time is up, once it runs.
async fn wait_until(run: &mut Run, chunk: &Chunk, cell: &WorkCell, deadline: &OnceLock<Deadline>) -> Verdict {
    let (stop, limit) = (&chunk.stop, chunk.batch.time_limit);
    let time_is_up = async {
        cell.time_runs().await;
        tokio::time::sleep_until(*deadline.get_or_init(|| Deadline::now() + limit)).await;
    };
    let mut ended = poll_fn(|context| poll_caught(run, context));
    let timed_out = tokio::select! {
        biased;
        outcome = &mut ended => return match (outcome, stop.reason()) {
            (Ok(result), _) => verdict_of(Ok(result)),
            (failed, None) => verdict_of(failed),
            (Err(_stopped), Some(reason)) => stopped(reason),
        },
        () = stop.token.cancelled() => false,
        () = time_is_up => true,
    };
    stop.token.cancel();
    // Where the lease is another's the item may be run elsewhere already: no grace.
    let grace = match stop.reason() {
        Some(StopReason::Lost) => Duration::ZERO,
        Some(StopReason::Cancel | StopReason::Release) | None => chunk.batch.prepared.stop_grace(),
    };
    let gave_way = tokio::time::timeout(grace, &mut ended).await;
    match (timed_out, stop.reason(), gave_way) {
        (true, _, _) => Verdict::TimedOut(limit.as_secs_f64()),
        (false, Some(StopReason::Lost), _) => Verdict::Lost,
        (false, _, Ok(Ok(result))) => verdict_of(Ok(result)),
        (false, reason, _) => stopped(reason.unwrap_or(StopReason::Release)),
    }
}

fn poll_caught(run: &mut Run, context: &mut Context<'_>) -> Poll<Outcome> {
    match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> TaskError {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    TaskError {
        kind: "panic",
        message: format!("The task panicked: {}", words.unwrap_or("no message")),
        again: Again::Yes,
    }
}

fn verdict_of(outcome: Outcome) -> Verdict {
    match outcome {
        Ok(result) => match fault_of(&result) {
            Some(fault) => Verdict::Failed(TaskError::input("result", fault)),
            None => Verdict::Done(result),
        },
        Err(error) => Verdict::Failed(error),
    }
}

/// Why a result cannot be recorded: it is too large, or nobody could read it back.
fn fault_of(result: &Json) -> Option<String> {
    let bytes = result.as_str().len();
    if bytes > limits::ITEM_BYTES_MAX {
        return Some(format!("The result has {bytes} bytes; {} are allowed.", limits::ITEM_BYTES_MAX));
    }
    if result.depth() > limits::JSON_DEPTH_MAX {
        return Some(format!("The result is nested deeper than {} levels.", limits::JSON_DEPTH_MAX));
    }
    if result.has_unpaired_surrogate() {
        return Some("The result holds half of a surrogate pair, which is no character.".to_owned());
    }
    None
}

/// Takes the attempt's folder away; it may never have been made.
async fn remove_folder(out: &Path) {
    // One look at a folder that mostly is not there costs less than handing it to a thread that may block.
    if std::fs::symlink_metadata(out).is_ok()
        && let Err(fault) = tokio::fs::remove_dir_all(out).await
    {
        tracing::warn!(folder = %out.display(), %fault, "the folder of an attempt stays behind");
    }
}
