//! One process that lives on, and the conversation about one item.
//!
//! An item's conversation ends in exactly one answer, and a process that broke it is never used again.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::folders::Workplace;
use super::launch::Launch;
use super::output::{self, Line, Lines, Message, OutputLimits};
use super::process::{Process, in_words};
use super::{LOG_LINE_BYTES_MAX, RESULT_LINE_BYTES_MAX, files};
use crate::protocol::Json;
use crate::tasks::context::{LogLevel, TaskContext};
use crate::tasks::task::{Item, TaskError};

/// How long a process that has closed its output, or a pipe whose process has ended, is waited for.
const END_GRACE: Duration = Duration::from_millis(500);
/// How long an idle process may take to finish at the end of its input.
const FINISH_GRACE: Duration = Duration::from_secs(2);
/// Lines written between two items that are looked at before the next is handed over.
const IDLE_LINES_MAX: usize = 100;

/// How an item's conversation ended.
pub(super) enum Answer {
    Result(Json, Vec<String>),
    Error(TaskError),
    /// The process went away with the item in hand: how.
    Crashed(String),
    /// The process was gone before it took the item.
    NotTaken,
    /// The item is no longer wanted, and the process has been ended.
    Cancelled,
}

/// A process that takes items.
pub(super) struct Worker {
    process: Process,
    /// None once it is to finish.
    stdin: Option<ChildStdin>,
    out: Lines<ChildStdout>,
    err: Lines<ChildStderr>,
    pub workplace: Workplace,
    limits: OutputLimits,
    /// Items it has answered.
    pub items: u64,
    is_broken: bool,
}

impl Worker {
    /// Starts one in folders of its own, beside that of the attempt.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(argv: &[OsString], launch: &Launch, context: &TaskContext) -> io::Result<Self> {
        let workplace = Workplace::make(context)?;
        let (process, pipes) = Process::start(argv, workplace.own(), launch, Stdio::piped())?;
        let (mask, limits) = (&launch.mask, launch.output);
        Ok(Self {
            process,
            stdin: pipes.stdin,
            out: Lines::new(pipes.stdout, RESULT_LINE_BYTES_MAX, mask, limits),
            err: Lines::new(pipes.stderr, LOG_LINE_BYTES_MAX, mask, limits),
            workplace,
            limits,
            items: 0,
            is_broken: false,
        })
    }

    /// True where it may take another item, as far as is known.
    pub fn is_whole(&self) -> bool {
        !self.is_broken
    }

    /// True where it may take another item.
    pub fn is_usable(&mut self) -> bool {
        !self.is_broken && self.process.runs()
    }

    /// Takes what was written between two items off the pipes, and logs it.
    pub fn clear(&mut self, task: &str) {
        for _line in 0..IDLE_LINES_MAX {
            match self.out.next().now_or_never().or_else(|| self.err.next().now_or_never()) {
                Some(Ok(Some(line))) => {
                    tracing::info!(task, line = line.text(), "a worker wrote between two items");
                }
                Some(Ok(None) | Err(_)) => {
                    self.is_broken = true;
                    return;
                }
                None => return,
            }
        }
    }

    /// Hands one item over and hears what comes of it.
    pub async fn work(&mut self, line: &str, item: &Item, context: &TaskContext) -> Answer {
        let answer = tokio::select! {
            biased;
            () = context.until_cancelled() => Answer::Cancelled,
            answer = converse(self, line, item, context) => answer,
        };
        match &answer {
            Answer::Result(..) | Answer::Error(_) => self.items += 1,
            Answer::Cancelled => {
                self.is_broken = true;
                self.process.stop().await;
            }
            Answer::Crashed(_) | Answer::NotTaken => self.is_broken = true,
        }
        if self.is_broken {
            self.process.kill().await;
        }
        answer
    }

    /// Lets it finish, and ends it if it does not.
    pub async fn finish(mut self) {
        self.stdin = None;
        if tokio::time::timeout(FINISH_GRACE, self.process.until_gone()).await.is_err() {
            self.process.kill().await;
        }
    }
}

/// What the conversation has come to.
#[derive(Default)]
struct WorkerOutput {
    files: Vec<String>,
    answer: Option<Answer>,
    /// The answer is ours: the process may still be talking of the item.
    is_cut: bool,
}

impl WorkerOutput {
    fn give_up(&mut self, error: TaskError) {
        self.answer = Some(Answer::Error(error));
        self.is_cut = true;
    }
}

async fn converse(worker: &mut Worker, line: &str, item: &Item, context: &TaskContext) -> Answer {
    let Worker { process, stdin: Some(stdin), out, err, limits, is_broken, .. } = worker else {
        return Answer::NotTaken;
    };
    out.begin_item(*limits);
    err.begin_item(*limits);
    context.send_witness(|| format!("in: {}", line.trim_end()));
    let (mut sent, mut received) = (None, WorkerOutput::default());
    let (mut out_open, mut err_open, mut status) = (true, true, None);
    {
        let mut sending = std::pin::pin!(async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        });
        let mut late = std::pin::pin!(tokio::time::sleep(END_GRACE));
        while received.answer.is_none() && (out_open || err_open || status.is_none()) {
            let mut is_ending = false;
            tokio::select! {
                biased;
                line = out.next(), if out_open => match line {
                    Ok(Some(line)) => take_out(&line, item, limits, context, &mut received),
                    Err(fault) if says_too_much(&fault) => received.give_up(too_much(&fault)),
                    Ok(None) | Err(_) => (out_open, is_ending) = (false, true),
                },
                line = err.next(), if err_open => match line {
                    Ok(Some(line)) => take_err(line.text(), context),
                    Err(fault) if says_too_much(&fault) => received.give_up(too_much(&fault)),
                    Ok(None) | Err(_) => err_open = false,
                },
                result = &mut sending, if sent.is_none() => {
                    is_ending = result.is_err();
                    sent = Some(result.is_ok());
                }
                ended = process.ended(), if status.is_none() => (status, is_ending) = (Some(ended), true),
                () = &mut late, if status.is_some() || !out_open || sent == Some(false) => break,
            }
            if is_ending {
                late.as_mut().reset(tokio::time::Instant::now() + END_GRACE);
            }
        }
    }
    // What it wrote beside its answer is of the same item.
    for _line in 0..IDLE_LINES_MAX {
        let Some(Ok(Some(line))) = err.next().now_or_never() else { break };
        take_err(line.text(), context);
    }
    // An answer while the line was still being written leaves half a line in the pipe.
    *is_broken |= received.is_cut || status.is_some() || !out_open || sent != Some(true);
    match received.answer {
        Some(Answer::Result(result, _)) => Answer::Result(result, received.files),
        Some(answer) => answer,
        None if sent == Some(false) || is_unread(stdin, line) => Answer::NotTaken,
        None => Answer::Crashed(how(status)),
    }
}

fn says_too_much(fault: &io::Error) -> bool {
    fault.kind() == io::ErrorKind::QuotaExceeded
}

fn too_much(fault: &io::Error) -> TaskError {
    TaskError::input("output", fault.to_string())
}

fn take_err(line: &str, context: &TaskContext) {
    context.send_witness(|| format!("err: {line}"));
    context.log(LogLevel::Warn, line);
}

fn take_out(
    line: &Line,
    item: &Item,
    limits: &OutputLimits,
    context: &TaskContext,
    received: &mut WorkerOutput,
) {
    context.send_witness(|| format!("out: {}", line.text()));
    for said in output::read(line, item.seq) {
        if output::take_words(&said, context) {
            continue;
        }
        match said {
            Message::Result(result) => {
                received.answer = Some(match limits.check_result(result.as_str().len()) {
                    Ok(()) => Answer::Result(result, Vec::new()),
                    Err(error) => Answer::Error(error),
                });
            }
            Message::Error { text, again } => {
                received.answer = Some(Answer::Error(output::failure(text, again)))
            }
            // Whether the line was its answer is not known: another one could follow, and be taken as the next item's.
            Message::Refused(why) => {
                context.log(LogLevel::Warn, line.text());
                return received.give_up(output::refused(why));
            }
            Message::File(name) => {
                received.files.push(name);
                if let Err(error) = files::check_count(received.files.len(), limits) {
                    return received.give_up(error);
                }
            }
            Message::Progress { .. } | Message::Log { .. } | Message::Plain(_) | Message::Other(_) => {}
        }
    }
}

/// True where all of `line` still waits in the pipe: the process ended before it took the item.
fn is_unread(stdin: &ChildStdin, line: &str) -> bool {
    rustix::io::ioctl_fionread(stdin).is_ok_and(|bytes| bytes == line.len() as u64)
}

fn how(status: Option<io::Result<ExitStatus>>) -> String {
    match status {
        Some(Ok(status)) => format!("ended with {}", in_words(status)),
        Some(Err(fault)) => format!("is lost ({fault})"),
        None => "closed its output".to_owned(),
    }
}
