//! A process in a group of its own: started, heard, and ended with all that it has started.
//!
//! Once a [`Process`] is dropped nothing of its group runs on.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::launch::Launch;
use super::left_behind::{Mark, runs_in};

/// Between TERM and KILL.
pub(super) const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long killed processes may take to be gone: more than a machine that is out of breath needs.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether a group is empty.
const LOOK: Duration = Duration::from_millis(10);
/// A running process and its group.
pub(super) struct Process {
    child: Child,
    group: Pid,
    /// Nothing runs in the group any more: its number may be another's by now.
    is_gone: bool,
    /// Once it is dropped, what has left the group is ended as well.
    _mark: Mark,
}

/// Ends of the pipes of a process.
pub(super) struct Pipes {
    pub stdin: Option<ChildStdin>,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
}

impl Process {
    /// Starts `argv` in `folder`.
    ///
    /// # Errors
    /// What the system says: mostly that there is no such program.
    pub fn start(
        argv: &[OsString],
        folder: &Path,
        launch: &Launch,
        stdin: Stdio,
    ) -> io::Result<(Self, Pipes)> {
        let (mut command, mark) = launch.command(argv)?;
        command.current_dir(folder).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let group = id.expect("a child that was not waited for has an id");
        let pipes = Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().expect("it was piped"),
            stderr: child.stderr.take().expect("it was piped"),
        };
        Ok((Self { child, group, is_gone: false, _mark: mark }, pipes))
    }

    /// How the process ended, once it has. Cancel-safe.
    ///
    /// # Errors
    /// What the system says.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// True while the process runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the group to end, and after a grace ends it.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(TERM_GRACE, self.until_gone()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends the group at once.
    pub async fn kill(&mut self) {
        let gone = async {
            // What is being forked at this moment is seen by a later signal.
            while !self.is_gone {
                self.signal(Signal::KILL);
                let _again = tokio::time::timeout(LOOK * 2, self.until_gone()).await;
            }
        };
        if tokio::time::timeout(KILL_GRACE, gone).await.is_err() {
            tracing::debug!(group = self.group.as_raw_pid(), "killed processes have not ended yet");
        }
    }

    /// Resolves once nothing runs in the group any more. Cancel-safe.
    ///
    /// What has ended and was left to a first process that does not reap still counts for the system, not here.
    pub async fn until_gone(&mut self) {
        let _status_is_told_elsewhere = self.child.wait().await;
        while !self.is_gone {
            self.is_gone =
                test_kill_process_group(self.group).is_err() || !somebody_runs_in(self.group).await;
            if !self.is_gone {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        // An empty group is what is wanted; one whose first process was not waited for is none.
        if !self.is_gone && kill_process_group(self.group, signal) == Err(rustix::io::Errno::SRCH) {
            self.is_gone = true;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// How a process ended, in words: `exit code 3`, `signal 9 (killed)`.
pub(super) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_word(signal) {
            Some(word) => format!("signal {signal} ({word})"),
            None => format!("signal {signal}"),
        },
        (None, None) => "no exit code".to_owned(),
    }
}

fn signal_word(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hung up",
        2 => "interrupted",
        3 => "quit",
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        8 => "arithmetic fault",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        15 => "terminated",
        24 => "processor time used up",
        25 => "file too large",
        _ => return None,
    })
}

/// As [`runs_in`], on a thread that may block: it reads an entry of `/proc` for every process of the machine.
async fn somebody_runs_in(group: Pid) -> bool {
    // Where the look itself broke, it is not known that all have gone.
    tokio::task::spawn_blocking(move || runs_in(group)).await.unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::super::launch::ENVIRONMENT;
    use super::*;

    fn start(script: &str) -> (Process, Pipes) {
        let argv = ["sh", "-c", script].map(OsString::from);
        Process::start(&argv, Path::new("/"), &Launch::plain(), Stdio::null()).unwrap()
    }

    async fn first_line(pipes: &mut Pipes) -> String {
        let mut line = String::new();
        while !line.ends_with('\n') {
            line.push(char::from(pipes.stdout.read_u8().await.unwrap()));
        }
        line
    }

    #[tokio::test]
    async fn a_group_ends_with_what_ignores_the_polite_signal() {
        let script = "trap '' TERM; (trap '' TERM; while :; do sleep 60; done) & echo ready; while :; do sleep 60; done";
        let (mut process, mut pipes) = start(script);
        assert_eq!(first_line(&mut pipes).await, "ready\n");
        let begun = std::time::Instant::now();
        process.stop().await;
        assert!(process.is_gone, "{:?}", begun.elapsed());
        assert!(begun.elapsed() >= TERM_GRACE && !runs_in(process.group));
    }

    #[tokio::test]
    async fn a_polite_group_ends_at_once() {
        let (mut process, mut pipes) = start("echo ready; exec sleep 60");
        first_line(&mut pipes).await;
        let begun = std::time::Instant::now();
        process.stop().await;
        assert!(process.is_gone && begun.elapsed() < TERM_GRACE);
        assert_eq!(in_words(process.ended().await.unwrap()), "signal 15 (terminated)");
    }

    #[tokio::test]
    async fn dropping_ends_the_group() {
        let (process, mut pipes) = start("sleep 60 & echo ready; exec sleep 60");
        first_line(&mut pipes).await;
        let group = process.group;
        drop(process);
        let gone = async {
            while runs_in(group) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_but_what_is_allowed_is_handed_on() {
        let (mut process, mut pipes) = start("env | cut -d= -f1 | sort | tr '\\n' ' '");
        let mut names = String::new();
        pipes.stdout.read_to_string(&mut names).await.unwrap();
        assert_eq!(in_words(process.ended().await.unwrap()), "exit code 0");
        for name in names.split_whitespace() {
            let known = ENVIRONMENT.contains(&name) || name == "MILEPOST_RUN";
            assert!(known || ["PWD", "OLDPWD", "SHLVL", "_"].contains(&name), "{name}");
        }
    }
}
