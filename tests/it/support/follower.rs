//! A client that comes back: what it wants, what it shows, and how often it was cut off.
//!
//! Owns that over all its connections, each of which its tab makes. Used by the tests of bad networks and restarts.
//! Invariant: what it shows comes from frames alone, the newest row per key. Deliberately asks the API nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::socket::Known;
use super::tab::Tab;

/// Messages that may be sent at once.
const TOPICS_MAX: usize = 90;

/// Where and how it connects.
#[derive(Clone)]
pub struct Way {
    /// Host and port; looked at before each try.
    pub address: watch::Receiver<String>,
    pub token: String,
    /// Longest delay before a try: 30,000 as documented.
    pub delay_ms_max: u64,
    pub seed: u64,
    pub witness: Witness,
}

/// Counts by batch and `rev`: whoever says a `rev` says the same counts.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<HashMap<Moment, Vec<Value>>>>);

/// A batch, and its `rev`.
type Moment = (String, u64);

impl Witness {
    /// Compares a batch with all others of its `rev`.
    pub fn hear(&self, batch: &Value) {
        let names = ["total", "pending", "running", "retrying", "succeeded", "failed", "cancelled", "state"];
        let counts: Vec<Value> = names.iter().map(|name| batch[*name].clone()).collect();
        let key = (batch["id"].to_string(), batch["rev"].as_u64().unwrap());
        let mut heard = self.0.lock().unwrap();
        assert_eq!(heard.entry(key).or_insert_with(|| counts.clone()), &counts, "of one rev: {batch}");
    }
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub connections: u64,
    pub frames: u64,
    /// Subscribes with a `rev` that were answered without rows.
    pub resumed: u64,
    /// Subscribes with a `rev` that were answered with a snapshot.
    pub resent: u64,
    /// How connections ended: the close code, or how they broke.
    pub ends: BTreeMap<String, u64>,
    /// Reason texts of 1001.
    pub hints: Vec<String>,
    /// Frames `error`.
    pub errors: Vec<Value>,
}

impl Figures {
    /// Adds those of another.
    pub fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.frames += other.frames;
        self.resumed += other.resumed;
        self.resent += other.resent;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.hints.extend(other.hints);
        self.errors.extend(other.errors);
    }
}

/// What a follower and its tab share. Held for an instant, never across an await.
#[derive(Default)]
pub struct State {
    pub wanted: BTreeSet<String>,
    pub known: HashMap<String, Known>,
    pub figures: Figures,
}

/// One such client.
pub struct Follower {
    state: Arc<Mutex<State>>,
    wanted: Arc<Notify>,
    heard: watch::Receiver<u64>,
    running: JoinHandle<()>,
}

impl Follower {
    /// Begins, listening to nothing.
    pub fn start(way: Way) -> Self {
        let (state, wanted) = (Arc::<Mutex<State>>::default(), Arc::new(Notify::new()));
        let (told, heard) = watch::channel(0);
        let tab = Tab { way, state: Arc::clone(&state), wanted: Arc::clone(&wanted), told };
        Self { state, wanted, heard, running: tokio::spawn(tab.run()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Listens to these and nothing else from now on.
    pub fn follow(&self, topics: impl IntoIterator<Item = String>) {
        let mut state = self.state();
        state.wanted = topics.into_iter().collect();
        assert!(state.wanted.len() <= TOPICS_MAX);
        let State { wanted, known, .. } = &mut *state;
        known.retain(|topic, _| wanted.contains(topic));
        self.wanted.notify_one();
    }

    /// What is shown of `topic`.
    pub fn known(&self, topic: &str) -> Option<Known> {
        self.state().known.get(topic).cloned()
    }

    pub fn figures(&self) -> Figures {
        self.state().figures.clone()
    }

    /// Waits until `done` says so of what is shown of `topic`; none if that never comes.
    pub async fn until(&self, topic: &str, mut done: impl FnMut(&Known) -> bool) -> Option<Known> {
        let mut heard = self.heard.clone();
        let waiting = async {
            loop {
                heard.mark_unchanged();
                if let Some(known) = self.known(topic).filter(|known| done(known)) {
                    return Some(known);
                }
                // An error: it has failed in a check of its own.
                heard.changed().await.ok()?;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.ok().flatten()
    }

    /// Ends; how it went.
    pub async fn stop(self) -> Figures {
        self.running.abort();
        match self.running.await {
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            _ => self.state.lock().unwrap().figures.clone(),
        }
    }
}
