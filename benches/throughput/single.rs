//! Single items, one at a time: from the end of each to the frames that show it.
//!
//! An item outlives any tick, and a sample counts only where its end came as a change, so that neither the frame of
//! its start nor a snapshot is taken for it.

use std::time::Duration;

use futures_util::future::try_join_all;
use milepost::protocol::Timestamp;
use serde_json::{Value, json};

use crate::Fault;
use crate::live::Live;
use crate::server::Server;

/// How long an item takes: longer than any tick, so that the frame of its start is long gone.
const ITEM_MS: u64 = 250;
/// How long an item may take to be seen.
const ITEM_PATIENCE: Duration = Duration::from_secs(30);

/// Runs `count` items one at a time before `watchers`; answers the milliseconds from each item's end to the frame that
/// shows it, one for each watcher.
pub async fn items(server: &Server, watchers: &mut [Live], count: usize) -> Result<Vec<f64>, Fault> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut samples = Vec::with_capacity(count * watchers.len());
    let (mut seen, mut late) = (0, 0);
    while seen < count {
        let sampled = tokio::time::timeout(ITEM_PATIENCE, item(server, &client, watchers)).await;
        let sampled = sampled.map_err(|_late| "a single item was not seen to end in time")??;
        if sampled.is_empty() {
            late += 1;
        } else {
            seen += 1;
        }
        samples.extend(sampled);
        if late > count {
            return Err("items end before their batch can be subscribed to".into());
        }
        // Uneven, so that no tick of the server falls into step with the samples.
        let rest_ms = 40 + seen as u64 * 17 % 60;
        tokio::time::sleep(Duration::from_millis(rest_ms)).await;
    }
    Ok(samples)
}

/// One item; nothing of a watcher to whom its end was already there when the topic answered for the first time.
async fn item(server: &Server, client: &reqwest::Client, watchers: &mut [Live]) -> Result<Vec<f64>, Fault> {
    let api = format!("{}/api/v1/batches", server.base);
    // Before whatever else is running there.
    let batch = json!({
        "task": "demo", "items": { "count": 1 }, "params": { "duration_ms": ITEM_MS }, "options": { "priority": 9 }
    });
    let answer = client.post(&api).bearer_auth(&server.token).json(&batch).send().await?;
    if answer.status() != 201 {
        return Err(format!("one item: {}: {}", answer.status(), answer.text().await?).into());
    }
    let batch: Value = answer.json().await?;
    let id = batch["id"].as_str().ok_or("a batch without id")?;
    let topic = format!("batch/{id}");
    let arrived = try_join_all(watchers.iter_mut().map(|watcher| end_of(watcher, &topic))).await?;
    let answer = client.get(format!("{api}/{id}/items/1")).bearer_auth(&server.token).send().await?;
    let item: Value = answer.error_for_status()?.json().await?;
    let ended_at = item["history"][0]["ended_at"].as_str().ok_or("an ended item without ended_at")?;
    let Timestamp(ended_ms) = ended_at.parse().map_err(|fault| format!("ended_at: {fault}"))?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits")]
    let ended_ms = ended_ms as f64;
    Ok(arrived.into_iter().flatten().map(|arrived_ms| (arrived_ms - ended_ms).max(0.0)).collect())
}

/// When `watcher` read that the one item of `topic` has succeeded, in milliseconds since 1970; none if the first answer
/// said so.
async fn end_of(watcher: &mut Live, topic: &str) -> Result<Option<f64>, Fault> {
    watcher.subscribe(topic).await?;
    let seen = loop {
        let seen = watcher.next().await?;
        if seen.topic == topic && seen.rows.iter().any(|row| row.succeeded == 1) {
            break seen;
        }
    };
    watcher.unsubscribe(topic).await?;
    Ok((!seen.whole).then_some(seen.wall_ms))
}
