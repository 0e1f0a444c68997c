//! Processes that outlive what they were started for: found by a mark in their environment, and ended.
//!
//! Two kinds are: what a server has left that was killed, and what has left the group of a process (`setsid`) that has
//! ended since. Only processes of this data folder are ended.
//!
//! The mark names the server by process id and start time, so that several servers may share a machine and a folder, and
//! the process that it started by a number. Where there is no `/proc` nothing is found; workers end there at the end of
//! their input.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};

/// Name of the variable that holds the mark.
const VARIABLE: &str = "MILEPOST_RUN";
/// Characters of the digest of a path: enough to tell folders of one machine apart.
const PLACE_CHARS: usize = 16;
/// How often it is looked again: what was being forked is found then.
const LOOKS_MAX: u32 = 100;
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Between the end of a process and the look for what has left its group: one look serves all that end meanwhile.
const SWEEP_PAUSE: Duration = Duration::from_millis(300);

/// Where processes come from: this server, on this data folder.
#[derive(Debug)]
pub(crate) struct Origin {
    place: String,
    mark: String,
    /// Numbers of the processes that run; held for moments only.
    running: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    /// A look for what has left its group is to come.
    sweep_is_due: AtomicBool,
}

/// The mark of one process, for as long as it runs.
pub(super) struct Mark {
    origin: Arc<Origin>,
    number: u64,
}

impl Mark {
    /// The variable that marks the process and all that it starts.
    pub fn variable(&self) -> (&'static str, String) {
        (VARIABLE, format!("{}.{}", self.origin.mark, self.number))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.origin.running().remove(&self.number);
        Origin::sweep_soon(&self.origin);
    }
}

impl Origin {
    /// This process, on the data folder `data`.
    pub fn new(data: &Path) -> Self {
        let data = std::path::absolute(data).unwrap_or_else(|_unknown| data.to_owned());
        let mut place = blake3::hash(data.as_os_str().as_encoded_bytes()).to_hex().to_string();
        place.truncate(PLACE_CHARS);
        let server = getpid().as_raw_pid();
        let mark = format!("{server}.{}.{place}", started(server).unwrap_or_default());
        let (running, next, sweep_is_due) = Default::default();
        Self { place, mark, running, next, sweep_is_due }
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mark for a process that is about to start.
    pub(super) fn mark(self: &Arc<Self>) -> Mark {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.running().insert(number);
        Mark { origin: Arc::clone(self), number }
    }

    /// Has [`Origin::sweep`] called in a moment, once for all that ends until then.
    fn sweep_soon(origin: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !origin.sweep_is_due.swap(true, Ordering::AcqRel) {
            let origin = Arc::clone(origin);
            runtime.spawn(async move {
                tokio::time::sleep(SWEEP_PAUSE).await;
                origin.sweep_is_due.store(false, Ordering::Release);
                origin.sweep().await;
            });
        }
    }

    /// Ends what carries the mark of a process of this server that has ended.
    pub async fn sweep(self: &Arc<Self>) {
        for _look in 0..LOOKS_MAX {
            let origin = Arc::clone(self);
            // On a thread that may block: it reads an entry of `/proc` for every process of the machine.
            let look = tokio::task::spawn_blocking(move || processes(|process| origin.has_outlived(process)));
            let found = look.await.unwrap_or_default();
            if found.is_empty() {
                return;
            }
            tracing::info!(processes = found.len(), "ended what had left the group of its process");
            for (process, _group) in found {
                // Gone already is what is wanted.
                let _gone = kill_process(process, Signal::KILL);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn has_outlived(&self, process: Pid) -> bool {
        let Some(mark) = mark_of(process) else { return false };
        let number = mark.strip_prefix(&self.mark).and_then(|rest| rest.strip_prefix('.'));
        // One is noted as running before it starts, and no number is given twice.
        number.and_then(|number| number.parse().ok()).is_some_and(|number| !self.running().contains(&number))
    }

    /// Ends what servers on this folder left behind that are gone, and says how many processes that were.
    pub async fn end_left_behind(&self) -> usize {
        let mut ended = 0;
        for _look in 0..LOOKS_MAX {
            let found = self.left_behind();
            if found.is_empty() {
                break;
            }
            ended = ended.max(found.len());
            let own_group = getpgrp();
            for (process, group) in found {
                if group != own_group {
                    // Gone already is what is wanted; another's was not found, having no mark that can be read.
                    let _gone = kill_process_group(group, Signal::KILL);
                }
                let _gone = kill_process(process, Signal::KILL);
            }
            tokio::time::sleep(LOOK).await;
        }
        ended
    }

    /// Processes with a mark of this folder and of a server that is gone, with their groups.
    fn left_behind(&self) -> Vec<(Pid, Pid)> {
        processes(|process| self.is_left_behind(process))
    }

    fn is_left_behind(&self, process: Pid) -> bool {
        let Some(mark) = mark_of(process) else { return false };
        let mut parts = mark.split('.');
        let (server, start, place) = (parts.next(), parts.next(), parts.next());
        let (Some(Ok(server)), Some(Ok(start)), Some(place)) =
            (server.map(str::parse::<i32>), start.map(str::parse::<u64>), place)
        else {
            return false;
        };
        place == self.place && started(server) != Some(start)
    }
}

/// All but this one that are as `wanted` says, with their groups.
fn processes(wanted: impl Fn(Pid) -> bool) -> Vec<(Pid, Pid)> {
    let own = getpid();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let process = Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?)?;
            (process != own && wanted(process)).then_some(())?;
            let stat = stat(process.as_raw_pid()).filter(Stat::is_alive)?;
            Some((process, Pid::from_raw(stat.group)?))
        })
        .collect()
}

/// The mark in the environment of a process, if it has one that can be read.
fn mark_of(process: Pid) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", process.as_raw_pid())).ok()?;
    let prefix = format!("{VARIABLE}=");
    let mark = environment.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(prefix.as_bytes()))?;
    String::from_utf8(mark.to_owned()).ok()
}

/// What is read of `/proc/ID/stat`.
struct Stat {
    state: char,
    group: i32,
    started: u64,
}

fn stat(process: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, and stands in brackets.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    // The 22nd field of the line; the group was the 5th.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Stat { state, group, started })
}

/// True where a process of `group` runs, or where that cannot be told.
pub(super) fn runs_in(group: Pid) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return true };
    entries
        .filter_map(|entry| stat(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .any(|stat| stat.group == group.as_raw_pid() && stat.is_alive())
}

impl Stat {
    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// When a process that runs was started, in ticks since the machine was.
fn started(process: i32) -> Option<u64> {
    stat(process).filter(Stat::is_alive).map(|stat| stat.started)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper(mark: &str) -> std::process::Child {
        let mut command = Command::new("sleep");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.arg("60").env(VARIABLE, mark).stdout(Stdio::null()).spawn().unwrap();
        // Linux lets the parent go on a moment before the environment of the new program can be read.
        let process = Pid::from_child(&child);
        while mark_of(process).is_none() {
            std::thread::yield_now();
        }
        child
    }

    #[tokio::test]
    async fn what_has_left_its_group_is_ended_once_its_process_has() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Arc::new(Origin::new(folder.path()));
        let (ended, running) = (origin.mark(), origin.mark());
        let mut outlived = sleeper(&ended.variable().1);
        let mut living = sleeper(&running.variable().1);
        drop(ended);
        let gone = tokio::task::spawn_blocking(move || outlived.wait().unwrap());
        assert!(!tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap().unwrap().success());
        assert!(living.try_wait().unwrap().is_none());
        living.kill().unwrap();
        living.wait().unwrap();
    }

    #[tokio::test]
    async fn only_what_dead_servers_of_this_folder_left_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::new(folder.path());
        let other = Origin::new(&folder.path().join("other"));
        let (server, start) = (getpid().as_raw_pid(), started(getpid().as_raw_pid()).unwrap());
        assert_eq!(origin.mark, format!("{server}.{start}.{}", origin.place));
        // Its id is this process's, its start is not: the number was given again.
        let mut left = sleeper(&format!("{server}.{}.{}", start + 1, origin.place));
        let mut living = sleeper(&origin.mark);
        let mut elsewhere = sleeper(&format!("{server}.{}.{}", start + 1, other.place));
        assert_eq!(origin.end_left_behind().await, 1);
        assert!(!left.wait().unwrap().success());
        for child in [&mut living, &mut elsewhere] {
            assert!(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
