//! What `/proc` tells of a process: processor time and memory.
//!
//! The figures are the system's own, in seconds and bytes.

use std::fmt::Display;

use crate::Fault;

/// Clock ticks a second of `/proc`: 100 on every Linux that is built today.
const TICKS: f64 = 100.0;

/// Processor time so far, in seconds (user and system): of a process, all threads, or of a thread (`PID/task/TID`).
pub fn cpu_seconds(process: impl Display) -> Result<f64, Fault> {
    ticks_of(&std::fs::read_to_string(format!("/proc/{process}/stat"))?)
}

fn ticks_of(stat: &str) -> Result<f64, Fault> {
    // The name in brackets may hold blanks; what follows it starts at the third field.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no process name")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || -> Result<f64, Fault> { Ok(fields.next().ok_or("too few fields")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS)
}

/// A size in bytes as `/proc/PID/status` tells it under `name` (`VmHWM`, `VmRSS`, `RssAnon`).
pub fn bytes(process: u32, name: &str) -> Result<f64, Fault> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kibibytes: f64 =
        value.ok_or_else(|| format!("no {name}"))?.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024.0)
}
