//! Processes that a server left behind that was killed: found by a mark in their environment, and ended.
//!
//! Only processes of this data folder are ended, and only where the server that started them is gone.
//!
//! The mark names the server by process id and start time, so that several servers may share a machine and a folder.
//! Where there is no `/proc` nothing is found; workers end there at the end of their input.

use std::fs;
use std::path::Path;
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

/// Where processes come from: this server, on this data folder.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    place: String,
    mark: String,
}

impl Origin {
    /// This process, on the data folder `data`.
    pub fn new(data: &Path) -> Self {
        let data = std::path::absolute(data).unwrap_or_else(|_unknown| data.to_owned());
        let mut place = blake3::hash(data.as_os_str().as_encoded_bytes()).to_hex().to_string();
        place.truncate(PLACE_CHARS);
        let server = getpid().as_raw_pid();
        let mark = format!("{server}.{}.{place}", started(server).unwrap_or_default());
        Self { place, mark }
    }

    /// The variable that marks a process.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.mark)
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
        let own = getpid();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .filter_map(|entry| {
                let process = Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?)?;
                (process != own && self.is_left_behind(process)).then_some(())?;
                let group = Pid::from_raw(stat(process.as_raw_pid())?.group)?;
                Some((process, group))
            })
            .collect()
    }

    fn is_left_behind(&self, process: Pid) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{}/environ", process.as_raw_pid())) else {
            return false;
        };
        let prefix = format!("{VARIABLE}=");
        let mark = environment.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(prefix.as_bytes()));
        let Some(mark) = mark.and_then(|mark| std::str::from_utf8(mark).ok()) else { return false };
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
        command.arg("60").env(VARIABLE, mark).stdout(Stdio::null()).spawn().unwrap()
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
