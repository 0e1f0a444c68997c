//! A command that is started for every item.
//!
//! When the run ends, nothing of its process group does.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::argv::{Argv, inner_name};
use super::files;
use super::folders::{Folders, Shelf};
use super::launch::Launch;
use super::output::{self, Line, Lines, Message};
use super::process::{Pipes, Process, in_words};
use super::{LOG_LINE_BYTES_MAX, Params, RESULT_LINE_BYTES_MAX};
use crate::protocol::Json;
use crate::tasks::context::{LogLevel, TaskContext};
use crate::tasks::task::{Item, ItemInput, TaskError};

/// How long a pipe may stay open after its process has ended: what still holds it is ended then.
const PIPE_GRACE: Duration = Duration::from_millis(500);
/// Characters of the last line of standard error that a failure tells.
const LAST_WORDS_CHARS_MAX: usize = 200;

/// What the process said.
#[derive(Default)]
struct Output {
    result: Option<Json>,
    error: Option<TaskError>,
    /// The last line of standard error that says something.
    last_words: String,
}

/// A command of a task.
pub(super) struct OneShot {
    pub argv: Argv,
    pub launch: Launch,
    pub shelf: Arc<Shelf>,
}

impl OneShot {
    /// Runs it for one item.
    pub async fn run(
        self: Arc<Self>,
        params: Arc<Params>,
        item: Item,
        context: TaskContext,
    ) -> Result<Json, TaskError> {
        let folders = self.shelf.take(&context)?;
        let ran = self.run_in(&folders, &params, &item, &context).await;
        // Nothing of it runs any more, so nothing can be left any more.
        if !self.shelf.put_back(&folders, &context) && ran.is_ok() {
            files::leave_all(&folders.out, &self.launch.output, &context)?;
        }
        ran
    }

    async fn run_in(
        &self,
        folders: &Folders,
        params: &Params,
        item: &Item,
        context: &TaskContext,
    ) -> Result<Json, TaskError> {
        if let ItemInput::File { name, .. } = &item.input {
            // A name with folders is good for `{out}/{name}`.
            let inside = inner_name(name);
            if let Some((parent, _)) = inside.rsplit_once('/') {
                fs::create_dir_all(folders.out.join(parent)).map_err(|fault| Folders::fault(&fault))?;
            }
        }
        let argv = self.argv.fill(item, params, &folders.out)?;
        context.send_witness(|| format!("$ {}", shown(&argv)));
        let started = Process::start(&argv, &folders.own, &self.launch, Stdio::null());
        let (mut process, pipes) = started.map_err(|fault| not_started(&argv[0], &fault))?;
        let mut received = Output::default();
        let ended = tokio::select! {
            ended = self.read_output(&mut process, pipes, item, context, &mut received) => Some(ended),
            () = context.until_cancelled() => None,
        };
        let Some(ended) = ended else {
            process.stop().await;
            return Err(TaskError::cancelled());
        };
        // Whatever it started ends with it, before its files are looked at.
        process.kill().await;
        let status = match ended {
            Ok(status) => status,
            Err(fault) if fault.kind() == io::ErrorKind::QuotaExceeded => {
                return Err(TaskError::input("output", fault.to_string()));
            }
            Err(fault) => return Err(TaskError::passing("io", format!("The process is lost: {fault}"))),
        };
        context.send_witness(|| format!("ended: {}", in_words(status)));
        let result = verdict(status, received)?;
        self.launch.output.check_result(result.as_str().len())?;
        Ok(result)
    }

    /// Reads both pipes to their end, which is that of the process or soon after.
    async fn read_output(
        &self,
        process: &mut Process,
        pipes: Pipes,
        item: &Item,
        context: &TaskContext,
        received: &mut Output,
    ) -> io::Result<ExitStatus> {
        let Launch { mask, output, .. } = &self.launch;
        let mut out = Lines::new(pipes.stdout, RESULT_LINE_BYTES_MAX, mask, *output);
        let mut err = Lines::new(pipes.stderr, LOG_LINE_BYTES_MAX, mask, *output);
        let (mut out_open, mut err_open, mut status) = (true, true, None);
        let mut late = std::pin::pin!(tokio::time::sleep(PIPE_GRACE));
        while out_open || err_open || status.is_none() {
            tokio::select! {
                biased;
                line = out.next(), if out_open => match line? {
                    Some(line) => take_out(&line, item, context, received),
                    None => out_open = false,
                },
                line = err.next(), if err_open => match line? {
                    Some(line) => take_err(&line, context, received),
                    None => err_open = false,
                },
                ended = process.ended(), if status.is_none() => {
                    status = Some(ended?);
                    late.as_mut().reset(tokio::time::Instant::now() + PIPE_GRACE);
                },
                () = &mut late, if status.is_some() => {
                    context.log(LogLevel::Warn, "what the process had started held its output open and is ended");
                    break;
                },
            }
        }
        Ok(status.expect("the loop ends after the process"))
    }
}

fn take_out(line: &Line, item: &Item, context: &TaskContext, received: &mut Output) {
    context.send_witness(|| format!("out: {}", line.text()));
    for said in output::read(line, item.seq) {
        if output::take_words(&said, context) {
            continue;
        }
        match said {
            Message::Result(result) => received.result = Some(result),
            Message::Error { text, again } => received.error = Some(output::failure(text, again)),
            Message::Refused(why) => {
                context.log(LogLevel::Warn, line.text());
                received.error.get_or_insert(output::refused(why));
            }
            // All that is in the folder is taken anyway.
            Message::File(_)
            | Message::Progress { .. }
            | Message::Log { .. }
            | Message::Plain(_)
            | Message::Other(_) => {}
        }
    }
}

fn take_err(line: &Line, context: &TaskContext, received: &mut Output) {
    let text = line.text();
    context.send_witness(|| format!("err: {text}"));
    context.log(LogLevel::Warn, text);
    if !text.trim().is_empty() {
        received.last_words = text.trim().chars().take(LAST_WORDS_CHARS_MAX).collect();
    }
}

fn verdict(status: ExitStatus, received: Output) -> Result<Json, TaskError> {
    if let Some(error) = received.error {
        return Err(error);
    }
    if status.success() {
        return Ok(received.result.unwrap_or_default());
    }
    let kind = if status.code().is_some() { "exit" } else { "signal" };
    let words = in_words(status);
    let message = if received.last_words.is_empty() {
        format!("The command ended with {words}.")
    } else {
        format!("The command ended with {words}: {}", received.last_words)
    };
    Err(TaskError::passing(kind, message))
}

/// Why a program did not start: told in the same words for all items.
pub(super) fn not_started(program: &OsString, fault: &io::Error) -> TaskError {
    let program = program.to_string_lossy();
    let message = format!("The program {program:?} cannot be started: {fault}");
    // What is a matter of the values will be no other next time.
    match fault.kind() {
        io::ErrorKind::InvalidInput => {
            let why = "an argument holds the character NUL, which no program can be given";
            TaskError::input("start", format!("The program {program:?} cannot be started: {why}."))
        }
        io::ErrorKind::ArgumentListTooLong => TaskError::input("start", message),
        _ => TaskError::passing("start", message),
    }
}

/// A command line as somebody would type it.
pub(super) fn shown(argv: &[OsString]) -> String {
    let quoted = argv.iter().map(|argument| {
        let text = argument.to_string_lossy();
        let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c));
        if plain { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
