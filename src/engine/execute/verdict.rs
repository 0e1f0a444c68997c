//! From how an attempt ended to what is recorded of it: its end, its retry, its family, its row in the history.
//!
//! Every item that ran adds exactly one outcome, retry or release, unless its lease was lost.

use std::time::Duration;

use super::failure_family::{InputSample, family};
use crate::engine::flow::{Chunk, ChunkResult, NamedFile, StopReason};
use crate::protocol::{AttemptOutcome, FamilyId, ItemState, Json, Seq, Timestamp};
use crate::store::{AttemptRecord, FileSide, LOST, OutcomeRun, POISON, RetryItem, RetryPolicy, SeqRange};
use crate::tasks::{Again, TaskError};

/// From this time on an item has something to say: how long it took.
const SLOW: Duration = Duration::from_millis(100);

/// Bytes of a failure's message that are kept: it is held, stored and shown with each attempt.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Kind of the failures for which the time was up.
const TIMED_OUT: &str = "timed_out";

/// How an attempt ended.
#[derive(Debug)]
pub enum Verdict {
    /// With a result.
    Done(Json),
    /// With an error.
    Failed(TaskError),
    /// The time limit of so many seconds passed.
    TimedOut(f64),
    /// Ended by a cancel.
    Cancelled,
    /// Goes back unspent.
    Released,
    /// The lease is gone: nothing is recorded.
    Lost,
}

/// The verdict of an item that was stopped.
pub fn stopped(reason: StopReason) -> Verdict {
    match reason {
        StopReason::Cancel => Verdict::Cancelled,
        StopReason::Release => Verdict::Released,
        StopReason::Lost => Verdict::Lost,
    }
}

/// One attempt that is over.
pub struct Ended {
    pub seq: Seq,
    /// What it brought, for the family of its failure.
    pub input: InputSample,
    pub verdict: Verdict,
    pub started_at: Timestamp,
    pub took: Duration,
    /// Whole milliseconds from `started_at` to its end by the same clock.
    pub ms: u64,
    /// Tail of its log; empty = none.
    pub log: String,
    /// What it left; small ones are still to be stored: see [`super::kept_files`].
    pub files: Vec<NamedFile>,
}

impl Ended {
    /// True where all that it left is stored.
    pub fn is_kept(&self) -> bool {
        self.files.iter().all(|file| file.sealed.is_stored())
    }

    /// Bytes of files that it holds in memory until they are stored; an empty one has none.
    pub fn held_bytes(&self) -> usize {
        self.files.iter().map(|file| file.sealed.held_bytes()).sum()
    }
}

impl ChunkResult {
    /// Adds one attempt of `chunk` that has ended now; the steady clock is read only where it is tried again.
    pub fn add(&mut self, chunk: &Chunk, ended: Ended, steady: impl FnOnce() -> Timestamp) {
        self.items += 1;
        self.weight += 1 + ended.log.len() / 1_024;
        let seq = ended.seq;
        match &ended.verdict {
            Verdict::Done(result) => {
                let plain = result.as_str() == "null"
                    && chunk.attempt == 1
                    && ended.took < SLOW
                    && ended.log.is_empty()
                    && ended.files.is_empty();
                if plain {
                    self.add_plain(seq);
                    return;
                }
                self.weight += result.as_str().len() / 1_024;
                let result = Some(result.clone()).filter(|result| result.as_str() != "null");
                if !ended.log.is_empty() {
                    self.attempts.push(attempt_row(chunk, &ended, AttemptOutcome::Succeeded, None));
                }
                self.outcomes.push(OutcomeRun { result, ..outcome(chunk, &ended, ItemState::Succeeded) });
                self.files.extend(ended.files.iter().map(|file| file.record(seq, FileSide::Output)));
            }
            Verdict::Failed(error) => {
                let error = error.clone();
                self.add_failure(chunk, ended, error, steady());
            }
            Verdict::TimedOut(seconds) => {
                let message = format!("The time limit of {seconds} s passed.");
                self.add_failure(chunk, ended, TaskError::passing(TIMED_OUT, message), steady());
            }
            Verdict::Cancelled => {
                self.attempts.push(attempt_row(chunk, &ended, AttemptOutcome::Cancelled, None));
                self.outcomes.push(outcome(chunk, &ended, ItemState::Cancelled));
            }
            Verdict::Released => {
                self.attempts.push(attempt_row(chunk, &ended, AttemptOutcome::Released, None));
                self.released.push(SeqRange::one(seq));
            }
            Verdict::Lost => {}
        }
    }

    /// A quick success with nothing to say: it joins its neighbours.
    fn add_plain(&mut self, seq: Seq) {
        if let Some(last) = self.outcomes.last_mut()
            && last.range.last + 1 == seq
            && last.ms.is_none()
        {
            last.range.last = seq;
            // Joined items weigh nothing: they add no row.
            self.weight -= 1;
            return;
        }
        self.outcomes.push(OutcomeRun {
            range: SeqRange::one(seq),
            state: ItemState::Succeeded,
            attempts: 1,
            result: None,
            error: None,
            family: None,
            ms: None,
            started_at: None,
        });
    }

    fn add_failure(&mut self, chunk: &Chunk, ended: Ended, error: TaskError, now: Timestamp) {
        let TaskError { kind, again, mut message } = error;
        let seq = ended.seq;
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push('…');
        }
        let how = match (again, &ended.verdict) {
            (Again::Crashed, _) => AttemptOutcome::Lost,
            (Again::Yes | Again::No, Verdict::TimedOut(_)) => AttemptOutcome::TimedOut,
            (Again::Yes | Again::No, _) => AttemptOutcome::Failed,
        };
        // Held twice: with the attempt and with the end.
        self.weight += 2 * message.len() / 1_024;
        self.attempts.push(attempt_row(chunk, &ended, how, Some(message.clone())));
        let crashes = chunk.crashes + u32::from(again == Again::Crashed);
        let poison = again == Again::Crashed && RetryPolicy::is_poison(chunk.attempt, crashes);
        if !poison && !is_last(chunk, again) {
            let not_before = chunk.batch.retry.not_before(chunk.attempt, now, rand::random());
            let attempt = chunk.attempt + 1;
            self.retries.push(RetryItem { seq, attempt, crashes, not_before });
            return;
        }
        let family = match again {
            Again::Crashed if poison => fixed_family(POISON),
            Again::Crashed => fixed_family(LOST),
            Again::Yes | Again::No => family(&chunk.batch.task, kind, &message, &ended.input),
        };
        if poison {
            message = format!("{}. {message}", POISON.1);
        }
        self.outcomes.push(OutcomeRun {
            error: Some(message),
            family: Some(family),
            ..outcome(chunk, &ended, ItemState::Failed)
        });
        self.files.extend(ended.files.iter().map(|file| file.record(seq, FileSide::Output)));
    }
}

/// The family of items that ended because what ran them went away: the same one as where a node was lost.
fn fixed_family((id, message): (&str, &str)) -> (FamilyId, String) {
    (FamilyId(id.to_owned()), message.to_owned())
}

/// True where no attempt follows once this one has failed.
fn is_last(chunk: &Chunk, again: Again) -> bool {
    again == Again::No || chunk.batch.retry.is_last(chunk.attempt)
}

/// True where no other attempt follows this verdict: its files are kept.
pub fn is_final(chunk: &Chunk, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Done(_) => true,
        Verdict::Failed(error) => match error.again {
            // What a process left that went away is not whole.
            Again::Crashed => false,
            Again::Yes | Again::No => is_last(chunk, error.again),
        },
        Verdict::TimedOut(_) | Verdict::Cancelled | Verdict::Released | Verdict::Lost => false,
    }
}

fn ended_at(ended: &Ended) -> Timestamp {
    ended.started_at.plus_ms(i64::try_from(ended.ms).unwrap_or(i64::MAX))
}

fn outcome(chunk: &Chunk, ended: &Ended, state: ItemState) -> OutcomeRun {
    OutcomeRun {
        range: SeqRange::one(ended.seq),
        state,
        attempts: chunk.attempt,
        result: None,
        error: None,
        family: None,
        ms: Some(ended.ms),
        started_at: Some(ended.started_at),
    }
}

fn attempt_row(chunk: &Chunk, ended: &Ended, how: AttemptOutcome, error: Option<String>) -> AttemptRecord {
    AttemptRecord {
        seq: ended.seq,
        attempt: chunk.attempt,
        outcome: how,
        error,
        log: Some(ended.log.clone()).filter(|log| !log.is_empty()),
        started_at: ended.started_at,
        ended_at: ended_at(ended),
    }
}
