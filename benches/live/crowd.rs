//! Thousands of connections on one thread: the load generator.
//!
//! The thread does nothing but connect, read and count, and tells the processor time it took, so that a generator at
//! its limit is seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::client::Endpoint;
use crate::member::{Member, Shared, nanoseconds, stay};
use crate::{Fault, process};

/// How long all of a crowd may take to be answered.
const GATHER_PATIENCE: Duration = Duration::from_mins(3);

/// Connections that listen to the same topics.
pub struct Group {
    /// Told to the server; the bare one sends to [`WATCHER`] alone.
    pub name: &'static str,
    pub count: usize,
    pub topics: Vec<String>,
}

/// What connections of the first group note of each update.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Noting {
    /// Nothing.
    Counts,
    /// How many items have succeeded by it, in JSON.
    Succeeded,
    /// When the bare server wrote it.
    Stamp,
}

/// An update as it was noted.
#[derive(Clone, Copy)]
pub struct Note {
    /// What [`Noting`] says.
    pub value: u64,
    /// When it was read, in microseconds since 1970.
    pub read_micros: u64,
}

/// Name of a connection that updates are sent to.
pub const WATCHER: &str = "watcher";

/// What a connection does when it has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It stays away, and counts as cut.
    Stay,
    /// It comes back as docs/protocol.md says.
    ComeBack,
}

/// A crowd to be.
pub struct CrowdPlan {
    pub endpoint: Endpoint,
    /// Whom connections belong to, in turn.
    pub tokens: Arc<[String]>,
    pub groups: Vec<Group>,
    /// The one core that the thread may use; none: all.
    pub core: Option<usize>,
    pub after: After,
    pub noting: Noting,
}

/// A crowd that is connected. Dropping it ends all its connections.
pub struct Crowd {
    shared: Arc<Shared>,
    stop: CancellationToken,
    running: Option<std::thread::JoinHandle<()>>,
    /// `PID/task/TID`.
    thread: String,
}

/// What a group has counted so far: updates of each connection, and the bytes of all.
pub struct Count {
    pub updates: Vec<u64>,
    pub bytes: u64,
}

impl Crowd {
    /// Connects everybody and waits until all are answered.
    pub async fn gather(plan: CrowdPlan) -> Result<Self, Fault> {
        let shared = Arc::new(Shared::new(plan));
        let stop = CancellationToken::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let (inside, ending) = (Arc::clone(&shared), stop.clone());
        let running = std::thread::spawn(move || {
            let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
            let _told = tell.send(thread.to_string_lossy().into_owned());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                for group in 0..inside.members.len() {
                    for at in 0..inside.members[group].len() {
                        tokio::spawn(stay(Arc::clone(&inside), group, at));
                    }
                }
                ending.cancelled().await;
            });
        });
        let thread = told.await?;
        let crowd = Self { shared, stop, running: Some(running), thread };
        if let Some(core) = crowd.shared.plan.core {
            let task = crowd.thread.rsplit('/').next().unwrap_or_default();
            let pinning = ["--cpu-list", "--pid", &core.to_string(), task].map(str::to_owned);
            tokio::process::Command::new("taskset").args(pinning).output().await?;
        }
        let size: usize = crowd.shared.members.iter().map(Vec::len).sum();
        let late = Instant::now() + GATHER_PATIENCE;
        while crowd.here() < size {
            if Instant::now() > late {
                let fault = crowd.shared.fault().unwrap_or_else(|| "too late".to_owned());
                return Err(format!("{} of {size} connections came: {fault}", crowd.here()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(crowd)
    }

    fn all(&self) -> impl Iterator<Item = &Member> {
        self.shared.members.iter().flatten()
    }

    /// Connections that are answered now.
    pub fn here(&self) -> usize {
        self.all().filter(|member| member.here.load(Ordering::Relaxed)).count()
    }

    /// Ends of connections that had been answered, so far.
    pub fn ended(&self) -> u64 {
        self.all().map(|member| member.ended.load(Ordering::Relaxed)).sum()
    }

    /// Tries that ended without an answer, so far.
    pub fn refused(&self) -> u64 {
        self.all().map(|member| member.refused.load(Ordering::Relaxed)).sum()
    }

    /// What a group has counted.
    pub fn count(&self, group: usize) -> Count {
        let members = &self.shared.members[group];
        let updates = members.iter().map(|member| member.updates.load(Ordering::Relaxed)).collect();
        Count { updates, bytes: members.iter().map(|member| member.bytes.load(Ordering::Relaxed)).sum() }
    }

    /// Seconds from `from` to the latest answer of each connection that was answered after it, ascending.
    pub fn answered_since(&self, from: Instant) -> Vec<f64> {
        let from = nanoseconds(from.saturating_duration_since(self.shared.clock));
        let answered = self.all().map(|member| member.answered.load(Ordering::Relaxed));
        let mut after: Vec<f64> = answered
            .filter(|at| *at > from)
            .map(|at| Duration::from_nanos(at - from).as_secs_f64())
            .collect();
        after.sort_by(f64::total_cmp);
        after
    }

    /// What each connection of the first group has noted so far, and forgets now.
    pub fn take_notes(&self) -> Vec<Vec<Note>> {
        self.shared.members[0].iter().map(Member::take_notes).collect()
    }

    /// Payload of the latest update to the first connection.
    pub fn sample(&self) -> Vec<u8> {
        self.shared.sample()
    }

    /// Processor time of the thread so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64, Fault> {
        process::cpu_seconds(&self.thread)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            let _ended = running.join();
        }
    }
}
