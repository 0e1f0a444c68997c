//! The outside's own account of what was asked and what came of it.
//!
//! Used by the tests that break things. What is wrong is found by the answers alone: 0 lost, 0 twice, 0 stuck.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{TestServer, assert_sums, id, number};

/// How often the sums are looked at.
const LOOK: Duration = Duration::from_millis(25);
/// Longest wait for one batch to end after the last fault.
const PATIENCE: Duration = Duration::from_secs(180);

/// Batches that were answered with 201.
#[derive(Default)]
pub struct Ledger {
    batches: Vec<(Value, Plan)>,
}

/// What the items of a batch must come to.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub items: u64,
    /// Those that fail by plan; all others end well.
    pub failing: BTreeSet<u64>,
}

/// What was found in the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub items: u64,
    pub lost_attempts: u64,
    /// Items that ended failed because a node went away too often while they ran.
    pub set_aside: u64,
}

impl Ledger {
    /// Takes note of a batch that was answered.
    pub fn add(&mut self, batch: Value, items: u64) {
        self.batches.push((batch, Plan { items, failing: BTreeSet::new() }));
    }

    /// As [`Ledger::add`], for one whose items fail by plan.
    pub fn add_planned(&mut self, batch: Value, plan: Plan) {
        self.batches.push((batch, plan));
    }

    /// The ids noted.
    pub fn ids(&self) -> Vec<String> {
        self.batches.iter().map(|(batch, _plan)| id(batch).to_owned()).collect()
    }

    /// Waits for every batch to end, and checks every item of it.
    pub async fn check(&self, server: &TestServer) -> Figures {
        let mut figures = Figures::default();
        for (batch, plan) in &self.batches {
            let done = ended(server, batch).await;
            check_batch(server, &done, plan, &mut figures).await;
        }
        figures
    }
}

/// What fails by plan of `count` items, by a calm batch of the same.
pub async fn plan(server: &TestServer, count: u64, fail_rate: f64) -> Plan {
    let body = json!({"task": "demo", "params": {"fail_rate": fail_rate}, "items": {"count": count},
        "options": {"attempts_max": 1}});
    let batch = server.post_json("/batches", &body).await.ok();
    server.finished(&batch).await;
    let rows = server.rows(&batch).await;
    let failing = rows.iter().filter(|row| row["state"] == "failed").map(|row| number(row, "seq")).collect();
    Plan { items: count, failing }
}

async fn ended(server: &TestServer, batch: &Value) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = server.try_get(&format!("/batches/{}", id(batch))).await;
        if let Some(now) = &now {
            assert_sums(now);
            if matches!(now["state"].as_str(), Some("succeeded" | "failed" | "cancelled")) {
                return now.clone();
            }
        }
        assert!(Instant::now() < deadline, "stuck: {now:?}\n{}", server.log());
        tokio::time::sleep(LOOK).await;
    }
}

/// Every item ended exactly once, as planned, and the counters are what the rows say.
async fn check_batch(server: &TestServer, done: &Value, plan: &Plan, figures: &mut Figures) {
    let rows = server.rows(done).await;
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let seq = number(row, "seq");
        assert_eq!(seq, at as u64 + 1, "each once, in order");
        let state = row["state"].as_str().unwrap();
        *states.entry(state).or_default() += 1;
        let planned = plan.failing.contains(&seq);
        if number(row, "attempts") > 1 || state != "succeeded" {
            let lost = lost_attempts(server, done, seq).await;
            figures.lost_attempts += lost;
            let aside = state == "failed" && !planned;
            // Only an item that was in a slot each time a node went away may fail for it.
            assert!(!aside || lost >= 2, "{row} of {done} failed for nothing");
            figures.set_aside += u64::from(aside);
        }
        assert!(!planned || state == "failed", "{row} was to fail");
    }
    assert_eq!(rows.len() as u64, plan.items, "none lost: {done}");
    for state in ["succeeded", "failed", "cancelled"] {
        assert_eq!(states.get(state).copied().unwrap_or(0), number(done, state), "{state} of {done}");
    }
    assert_eq!(number(done, "cancelled"), 0, "nobody cancelled {done}");
    figures.items += plan.items;
}

/// How often the attempts of an item were lost. Each attempt stands in its history once.
pub async fn lost_attempts(server: &TestServer, batch: &Value, seq: u64) -> u64 {
    let item = server.get(&format!("/batches/{}/items/{seq}", id(batch))).await.ok();
    let history = item["history"].as_array().unwrap();
    let mut numbers: Vec<u64> = history.iter().map(|attempt| number(attempt, "attempt")).collect();
    numbers.sort_unstable();
    let all = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "an attempt stands there twice: {item}");
    history.iter().filter(|attempt| attempt["outcome"] == "lost").count() as u64
}

/// Looks at the sums of all batches, all along, through any of the nodes that answers.
pub struct Auditor {
    looks: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watched: Arc<Mutex<Watched>>,
    running: JoinHandle<()>,
}

#[derive(Default)]
struct Watched {
    bases: Vec<String>,
    batches: Vec<String>,
}

impl Auditor {
    /// Begins to look.
    pub fn start(server: &TestServer) -> Self {
        let (looks, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let watched: Arc<Mutex<Watched>> = Arc::default();
        let (client, token) = (server.client.clone(), server.token.clone());
        let look = look(client, token, watched.clone(), looks.clone(), over.clone());
        Self { looks, over, watched, running: tokio::spawn(look) }
    }

    /// What is looked at from now on, and where.
    pub async fn watch(&self, bases: Vec<String>, batches: Vec<String>) {
        *self.watched.lock().await = Watched { bases, batches };
    }

    /// Ends; how often it has looked.
    pub async fn stop(self) -> u64 {
        self.over.store(true, Ordering::Release);
        self.running.await.unwrap();
        self.looks.load(Ordering::Relaxed)
    }
}

async fn look(
    client: reqwest::Client,
    token: String,
    watched: Arc<Mutex<Watched>>,
    looks: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
) {
    // Ended items by batch: within a generation their number only grows, whoever answers. Revisions too, of one commit.
    let mut known: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    while !over.load(Ordering::Acquire) {
        let mut pairs: Vec<(String, String)> = Vec::new();
        {
            let watched = watched.lock().await;
            for base in &watched.bases {
                pairs.extend(watched.batches.iter().map(|batch| (base.clone(), batch.clone())));
            }
        }
        for (base, batch) in pairs {
            let request = client.get(format!("{base}/api/v1/batches/{batch}")).bearer_auth(&token);
            // A node that is killed, frozen or without its database answers nothing, or says so.
            let Ok(Ok(response)) = tokio::time::timeout(Duration::from_secs(2), request.send()).await else {
                continue;
            };
            let Ok(text) = response.text().await else { continue };
            let Ok(now) = serde_json::from_str::<Value>(&text) else { continue };
            if now.get("total").is_none() {
                continue;
            }
            assert_sums(&now);
            let ended = ["succeeded", "failed", "cancelled"].iter().map(|state| number(&now, state)).sum();
            let last = known.entry(batch.clone()).or_insert((0, 0));
            assert!(ended >= last.0 && number(&now, "rev") >= last.1, "went back: {now} after {last:?}");
            *last = (ended, number(&now, "rev"));
            looks.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The value below which `percent` of the values lie.
pub fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    values.get((values.len().max(1) - 1) * percent / 100).copied().unwrap_or_default()
}
