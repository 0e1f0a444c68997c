//! What is measured, from the environment.
//!
//! As many files may be open as the system allows, and nothing is asked of the run that does not fit.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Fault;
use crate::codec::{self, Codec};

/// Open files of a process that are no connection of the crowd.
const OTHER_FILES: u64 = 300;

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Quiet,
    Age,
    Fanout,
    Capacity,
    Memory,
    Slow,
    Storm,
    Weight,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Quiet,
        Self::Age,
        Self::Fanout,
        Self::Capacity,
        Self::Memory,
        Self::Slow,
        Self::Storm,
        Self::Weight,
    ];

    /// As in BENCH_PARTS.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Age => "age",
            Self::Fanout => "fanout",
            Self::Capacity => "capacity",
            Self::Memory => "memory",
            Self::Slow => "slow",
            Self::Storm => "storm",
            Self::Weight => "weight",
        }
    }
}

/// Everything that can be set.
pub struct Settings {
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub parts: Vec<Part>,
    pub codec: &'static Codec,
    pub rounds: usize,
    pub window: Duration,
    /// Single items of a round.
    pub single: usize,
    pub callers: usize,
    pub clients: Vec<usize>,
    /// None: a fifth of the clients.
    pub idle: Option<usize>,
    pub connections: usize,
    /// Clients whose frames are timed, run by run.
    pub aged: Vec<usize>,
    /// Connections that watch a running batch as a page does, for the memory.
    pub watching: usize,
    pub storm: usize,
    pub ticks_ms: Vec<u64>,
    /// Said beside the figures where fewer connections were possible than asked for; else empty.
    pub fewer: String,
}

fn text(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_unset| default.to_owned())
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Fault> {
    let plain = text.trim().replace('_', "");
    plain.parse().map_err(|_form| format!("{name}: expected a number, found {text:?}").into())
}

fn numbers<T: std::str::FromStr>(name: &str, default: &str) -> Result<Vec<T>, Fault> {
    text(name, default).split(',').map(|each| number(name, each)).collect()
}

fn one<T: std::str::FromStr>(name: &str, default: &str) -> Result<T, Fault> {
    number(name, &text(name, default))
}

fn parts() -> Result<Vec<Part>, Fault> {
    let Ok(names) = std::env::var("BENCH_PARTS") else { return Ok(Part::ALL.to_vec()) };
    let find = |name: &str| Part::ALL.into_iter().find(|part| part.name() == name.trim());
    names
        .split(',')
        .map(|name| find(name).ok_or_else(|| format!("BENCH_PARTS: there is no {name:?}").into()))
        .collect()
}

/// Lets this process and those it starts open as many files as the system allows; answers for how many connections that
/// is enough.
fn raise_files() -> Result<usize, Fault> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let files = maximum.unwrap_or(u64::MAX);
    Ok(usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX))
}

impl Settings {
    /// Reads them.
    pub fn from_environment() -> Result<Self, Fault> {
        let built = option_env!("CARGO_BIN_EXE_milepost").unwrap_or("target/release/milepost");
        let binary = std::env::var_os("MILEPOST_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from);
        let folder = std::env::var_os("BENCH_FOLDER")
            .map(PathBuf::from)
            .or_else(|| option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from))
            .unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&folder)?;
        let most = raise_files()?;
        let wanted: usize = one("BENCH_CONNECTIONS", "10_000")?;
        let fewer = if wanted > most {
            format!("Only {most} connections were possible: the system allows no more open files. ")
        } else {
            String::new()
        };
        let clients: Vec<usize> = numbers("BENCH_CLIENTS", "1000,5000")?;
        let idle = std::env::var("BENCH_IDLE").ok().map(|text| number("BENCH_IDLE", &text)).transpose()?;
        for clients in &clients {
            if clients + idle.unwrap_or(clients / 5) > most {
                return Err(format!("BENCH_CLIENTS: only {most} connections are possible").into());
            }
        }
        Ok(Self {
            binary: binary.canonicalize().map_err(|fault| format!("{}: {fault}", binary.display()))?,
            folder,
            parts: parts()?,
            codec: codec::named(&text("BENCH_CODEC", codec::JSON.subprotocol))?,
            rounds: one::<usize>("BENCH_ROUNDS", "3")?.max(1),
            window: Duration::from_secs(one::<u64>("BENCH_WINDOW", "20")?.max(1)),
            single: one::<usize>("BENCH_SINGLE", "40")?.max(1),
            callers: one::<usize>("BENCH_CALLERS", "50")?.max(1),
            clients,
            idle,
            connections: wanted.min(most).max(1),
            aged: numbers("BENCH_AGED", "1,100,1000")?,
            watching: one::<usize>("BENCH_WATCHING", "1_000")?.clamp(1, most),
            storm: one::<usize>("BENCH_STORM", "2_000")?.clamp(1, most),
            ticks_ms: numbers("BENCH_TICKS_MS", "100,50")?,
            fewer,
        })
    }
}
