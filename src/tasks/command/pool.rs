//! The worker processes of one task on this node.
//!
//! No more processes than declared, each with one item at most, and none that dies young is started again at once.

use std::ffi::OsString;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::folders::Folders;
use super::launch::Launch;
use super::one_shot::{not_started, shown};
use super::worker::{Answer, Worker};
use super::{files, output};
use crate::backoff::Backoff;
use crate::protocol::Json;
use crate::tasks::context::TaskContext;
use crate::tasks::task::{Item, TaskError};

/// Processes that are tried for one item where each is gone before it takes the item.
const TRIES_MAX: u32 = 3;
/// Pause after the first process that has ended without answering anything; it doubles with each.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Longest pause.
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

/// The processes of a task.
pub(crate) struct Pool {
    task: String,
    argv: Vec<OsString>,
    launch: Launch,
    turns: Semaphore,
    state: Mutex<State>,
}

/// Held for moments only.
struct State {
    idle: Vec<Worker>,
    /// Counts processes that died in a row before they had answered anything.
    backoff: Backoff,
    not_before: Option<Instant>,
    is_closed: bool,
}

impl State {
    const fn new() -> Self {
        let backoff = Backoff::new(BACK_OFF, BACK_OFF_MAX);
        Self { idle: Vec::new(), backoff, not_before: None, is_closed: false }
    }
}

impl Pool {
    /// A pool of at most `processes`, none of which is started yet.
    pub(super) fn new(task: String, argv: Vec<OsString>, launch: Launch, processes: u32) -> Self {
        let turns = Semaphore::new(usize::try_from(processes).unwrap_or(1).clamp(1, Semaphore::MAX_PERMITS));
        Self { task, argv, launch, turns, state: Mutex::new(State::new()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one item in one of the processes, once it is its turn.
    pub async fn run(&self, params: &Json, item: &Item, context: &TaskContext) -> Result<Json, TaskError> {
        context.wait_turn();
        let _turn = tokio::select! {
            () = context.until_cancelled() => return Err(TaskError::cancelled()),
            turn = self.turns.acquire() => turn.expect("it is never closed"),
        };
        for _try in 0..TRIES_MAX {
            let mut worker = tokio::select! {
                () = context.until_cancelled() => return Err(TaskError::cancelled()),
                worker = self.ready(context) => worker?,
            };
            context.turn_came();
            let line = output::hand(item, params, &worker.workplace.out().to_string_lossy(), context);
            let answer = worker.work(&line, item, context).await;
            let moved = worker.workplace.move_files(context);
            self.note(worker, &answer);
            let moved = moved.map_err(|fault| Folders::fault(&fault))?;
            return match answer {
                Answer::Result(result, names) => {
                    if !names.is_empty() {
                        let left = moved.unwrap_or_else(|| context.folder().join("out"));
                        files::leave_named(&left, &names, &self.launch.output, context)?;
                    }
                    Ok(result)
                }
                Answer::Error(error) => Err(error),
                Answer::Crashed(how) => {
                    context.send_witness(|| format!("the worker {how}"));
                    Err(TaskError::crashed(format!("The worker {how} before it had answered.")))
                }
                Answer::Cancelled => Err(TaskError::cancelled()),
                Answer::NotTaken => continue,
            };
        }
        Err(TaskError::crashed(format!("{TRIES_MAX} workers in a row ended before they took the item.")))
    }

    /// An idle process, or a new one as soon as one may start.
    async fn ready(&self, context: &TaskContext) -> Result<Worker, TaskError> {
        loop {
            let Some(mut worker) = self.state().idle.pop() else { break };
            worker.clear(&self.task);
            if worker.is_usable() {
                return Ok(worker);
            }
            tracing::info!(task = self.task, "an idle worker had ended and is replaced");
        }
        loop {
            let Some(not_before) = self.state().not_before.filter(|time| *time > Instant::now()) else {
                break;
            };
            tokio::time::sleep_until(not_before).await;
        }
        context.send_witness(|| format!("$ {}", shown(&self.argv)));
        Worker::start(&self.argv, &self.launch, context).map_err(|fault| {
            self.back_off();
            not_started(&self.argv[0], &fault)
        })
    }

    /// Takes a process back after an item, or lets it go.
    fn note(&self, worker: Worker, answer: &Answer) {
        match answer {
            Answer::Result(..) | Answer::Error(_) => {
                let mut state = self.state();
                state.backoff.reset();
                state.not_before = None;
                if !worker.is_whole() {
                    return;
                }
                if !state.is_closed {
                    state.idle.push(worker);
                } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    drop(state);
                    // Its declaration has changed, or the server stops: this was its last item.
                    runtime.spawn(worker.finish());
                }
            }
            Answer::Crashed(how) => {
                tracing::warn!(task = self.task, how, "a worker went away with an item in hand");
                if worker.items == 0 {
                    self.back_off();
                }
            }
            Answer::NotTaken if worker.items == 0 => self.back_off(),
            Answer::NotTaken | Answer::Cancelled => {}
        }
    }

    fn back_off(&self) {
        let mut state = self.state();
        state.not_before = Some(Instant::now() + state.backoff.next_delay());
    }

    /// Lets the idle ones finish, and starts to keep none.
    pub async fn close(&self) {
        let idle = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.idle)
        };
        futures_util::future::join_all(idle.into_iter().map(Worker::finish)).await;
    }
}
