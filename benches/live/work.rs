//! Batches that are watched: one that has ended, one that changes at every tick, one at full speed.
//!
//! A batch outlasts any measurement, and one that ticks costs next to nothing, so that what is measured is the
//! telling.

use std::time::Duration;

use milepost::protocol::Timestamp;
use serde_json::{Value, json};

use crate::Fault;
use crate::server::Server;

/// How long the first items may take to end.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// What runs while a batch is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Two items of 20 ms at a time: about ninety ends a second, a commit every 50 ms, a change at every tick.
    Ticking,
    /// One item of so many milliseconds after the other.
    OneByOne(u32),
    /// No-op items, as fast as the engine goes.
    FullSpeed,
}

/// A batch on a server.
pub struct Batch {
    client: reqwest::Client,
    url: String,
    token: String,
    /// Its own topic.
    pub topic: String,
}

impl Batch {
    async fn submit(server: &Server, body: &Value) -> Result<Self, Fault> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let api = format!("{}/api/v1/batches", server.base);
        let answer = client.post(&api).bearer_auth(&server.token).json(body).send().await?;
        if answer.status() != 201 {
            return Err(format!("submit: {}: {}", answer.status(), answer.text().await?).into());
        }
        let batch: Value = answer.json().await?;
        let id = batch["id"].as_str().ok_or("a batch without id")?;
        let (url, topic) = (format!("{api}/{id}"), format!("batch/{id}"));
        Ok(Self { client, url, token: server.token.clone(), topic })
    }

    /// One that has ended.
    pub async fn ended(server: &Server) -> Result<Self, Fault> {
        let batch = Self::submit(server, &json!({ "task": "demo", "items": { "count": 1 } })).await?;
        batch.until_items(1).await?;
        Ok(batch)
    }

    /// One that runs on, with its first items done.
    pub async fn running(server: &Server, work: Work) -> Result<Self, Fault> {
        let body = match work {
            Work::Ticking => json!({
                "task": "demo", "name": "ticking", "items": { "count": 1_000_000 },
                "params": { "duration_ms": 20 }, "options": { "concurrency": 2 }
            }),
            Work::OneByOne(duration_ms) => json!({
                "task": "demo", "name": "one by one", "items": { "count": 1_000_000 },
                "params": { "duration_ms": duration_ms }, "options": { "concurrency": 1 }
            }),
            // A count is stored as a count: nothing has to be sent for it.
            Work::FullSpeed => {
                json!({ "task": "demo", "name": "full speed", "items": { "count": 1_000_000_000 } })
            }
        };
        let batch = Self::submit(server, &body).await?;
        batch.until_items(1).await?;
        Ok(batch)
    }

    /// Items that have succeeded so far.
    pub async fn items(&self) -> Result<f64, Fault> {
        let answer = self.client.get(&self.url).bearer_auth(&self.token).send().await?;
        let batch: Value = answer.error_for_status()?.json().await?;
        Ok(batch["succeeded"].as_f64().ok_or("a batch without counts")?)
    }

    /// When items ended, in milliseconds since 1970, from the one with the lowest number.
    pub async fn ends(&self, seqs: std::ops::Range<u64>) -> Result<Vec<f64>, Fault> {
        let mut ends = Vec::new();
        for seq in seqs {
            let url = format!("{}/items/{seq}", self.url);
            let answer = self.client.get(url).bearer_auth(&self.token).send().await?;
            let item: Value = answer.error_for_status()?.json().await?;
            ends.push(end_of(&item)?);
        }
        Ok(ends)
    }

    async fn until_items(&self, count: u32) -> Result<(), Fault> {
        let waiting = async {
            while self.items().await? < f64::from(count) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        tokio::time::timeout(START_PATIENCE, waiting).await.map_err(|_late| "no item ended in time")?
    }
}

/// When an item ended, in milliseconds since 1970.
fn end_of(item: &Value) -> Result<f64, Fault> {
    let ended_at = item["history"][0]["ended_at"].as_str().ok_or("an ended item without ended_at")?;
    let Timestamp(ended_ms) = ended_at.parse().map_err(|fault| format!("ended_at: {fault}"))?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits")]
    Ok(ended_ms as f64)
}
