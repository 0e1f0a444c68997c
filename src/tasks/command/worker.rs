//! One process that lives on, and the conversation about one item.
//!
//! An item's conversation ends in exactly one answer, and a process that broke it is never used again.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::super::context::{LogLevel, TaskContext};
use super::super::task::{Item, TaskError};
use super::interpret;
use super::lines::{Line, Lines};
use super::message::Message;
use super::process::{Process, in_words};
use super::{Environment, LOG_LINE_BYTES_MAX, RESULT_LINE_BYTES_MAX, WORKER_FOLDER, files};
use crate::protocol::Json;

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
    folder: PathBuf,
    /// Items it has answered.
    pub items: u64,
    is_broken: bool,
}

impl Worker {
    /// Starts one in a folder of its own inside `work`.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(argv: &[OsString], environment: &Environment, work: &Path) -> io::Result<Self> {
        let folder = work.join(format!("{WORKER_FOLDER}{:016x}", rand::random::<u64>()));
        fs::create_dir_all(&folder)?;
        let (process, pipes) =
            Process::start(argv, &folder, environment, Stdio::piped()).inspect_err(|_not_started| {
                let _empty_and_left_for_the_next_start = fs::remove_dir(&folder);
            })?;
        Ok(Self {
            process,
            stdin: pipes.stdin,
            out: Lines::new(pipes.stdout, RESULT_LINE_BYTES_MAX),
            err: Lines::new(pipes.stderr, LOG_LINE_BYTES_MAX),
            folder,
            items: 0,
            is_broken: false,
        })
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

impl Drop for Worker {
    fn drop(&mut self) {
        // What cannot be removed goes at the next start.
        let _left = fs::remove_dir_all(&self.folder);
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
    let Worker { process, stdin: Some(stdin), out, err, is_broken, .. } = worker else {
        return Answer::NotTaken;
    };
    context.send_witness(|| format!("in: {}", line.trim_end()));
    let (mut sent, mut heard) = (None, WorkerOutput::default());
    let (mut out_open, mut err_open, mut status) = (true, true, None);
    {
        let mut sending = std::pin::pin!(async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        });
        let mut late = std::pin::pin!(tokio::time::sleep(END_GRACE));
        while heard.answer.is_none() && (out_open || err_open || status.is_none()) {
            let mut is_ending = false;
            tokio::select! {
                biased;
                line = out.next(), if out_open => match line {
                    Ok(Some(line)) => take_out(&line, item, context, &mut heard),
                    Ok(None) | Err(_) => (out_open, is_ending) = (false, true),
                },
                line = err.next(), if err_open => match line {
                    Ok(Some(line)) => take_err(line.text(), context),
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
    *is_broken |= heard.is_cut || status.is_some() || !out_open || sent != Some(true);
    match heard.answer {
        Some(Answer::Result(result, _)) => Answer::Result(result, heard.files),
        Some(answer) => answer,
        None if sent == Some(false) || is_unread(stdin, line) => Answer::NotTaken,
        None => Answer::Crashed(how(status)),
    }
}

fn take_err(line: &str, context: &TaskContext) {
    context.send_witness(|| format!("err: {line}"));
    context.log(LogLevel::Warn, line);
}

fn take_out(line: &Line, item: &Item, context: &TaskContext, heard: &mut WorkerOutput) {
    context.send_witness(|| format!("out: {}", line.text()));
    for said in interpret::read(line, item.seq) {
        if interpret::take_words(&said, context) {
            continue;
        }
        match said {
            Message::Result(result) => heard.answer = Some(Answer::Result(result, Vec::new())),
            Message::Error { text, again } => {
                heard.answer = Some(Answer::Error(interpret::failure(text, again)))
            }
            // Whether the line was its answer is not known: another one could follow, and be taken as the next item's.
            Message::Refused(why) => {
                context.log(LogLevel::Warn, line.text());
                return heard.give_up(interpret::refused(why));
            }
            Message::File(name) => {
                heard.files.push(name);
                if let Some(error) = files::is_too_many(&heard.files) {
                    return heard.give_up(error);
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
