//! A client that comes back: what it wants, what it shows, and how often it was cut off.
//!
//! For the tests of bad networks and restarts. [`FollowerTask`] makes its connections; what it shows comes from frames
//! alone, and the API is asked nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::follower_task::FollowerTask;
use super::known_topic::KnownTopic;

/// Messages that may be sent at once.
const TOPICS_MAX: usize = 90;

/// Where and how it connects.
#[derive(Clone)]
pub struct FollowerSettings {
    /// Host and port; looked at before each try.
    pub address: watch::Receiver<String>,
    pub token: String,
    /// Longest delay before a try: 30 s as documented.
    pub delay_max: Duration,
    /// Updates a second that it asks for.
    pub hz: f64,
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
    pub fn record(&self, batch: &Value) {
        let names = ["total", "pending", "running", "retrying", "succeeded", "failed", "cancelled", "state"];
        let counts: Vec<Value> = names.iter().map(|name| batch[*name].clone()).collect();
        let key = (batch["id"].to_string(), batch["rev"].as_u64().unwrap());
        let mut recorded = self.0.lock().unwrap();
        assert_eq!(recorded.entry(key).or_insert_with(|| counts.clone()), &counts, "of one rev: {batch}");
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

/// What a follower and its task share. Held for an instant, never across an await.
#[derive(Default)]
pub struct State {
    pub wanted: BTreeSet<String>,
    pub known: HashMap<String, KnownTopic>,
    pub figures: Figures,
}

/// One such client.
pub struct Follower {
    state: Arc<Mutex<State>>,
    wanted: Arc<Notify>,
    received: watch::Receiver<u64>,
    running: JoinHandle<()>,
}

impl Follower {
    /// Begins, listening to nothing.
    pub fn start(settings: FollowerSettings) -> Self {
        let (state, wanted) = (Arc::<Mutex<State>>::default(), Arc::new(Notify::new()));
        let (count, received) = watch::channel(0);
        let task = FollowerTask { settings, state: Arc::clone(&state), wanted: Arc::clone(&wanted), count };
        Self { state, wanted, received, running: tokio::spawn(task.run()) }
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
    pub fn known(&self, topic: &str) -> Option<KnownTopic> {
        self.state().known.get(topic).cloned()
    }

    pub fn figures(&self) -> Figures {
        self.state().figures.clone()
    }

    /// Waits until `done` says so of what is shown of `topic`; none if that never comes.
    pub async fn until(&self, topic: &str, mut done: impl FnMut(&KnownTopic) -> bool) -> Option<KnownTopic> {
        let mut received = self.received.clone();
        let waiting = async {
            loop {
                received.mark_unchanged();
                if let Some(known) = self.known(topic).filter(|known| done(known)) {
                    return Some(known);
                }
                // An error: it has failed in a check of its own.
                received.changed().await.ok()?;
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
