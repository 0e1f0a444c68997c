//! Counts that are never too high: what runs, as pages, programs and frames see it.
//!
//! No committed state counts more items as running than there are slots, or than the batch's concurrency.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::live_client::LiveClient;
use super::support::{TestServer, id, number};

/// Slots of a test's server.
const SLOTS: u64 = 8;

/// Reads the frames of a batch and of its items to the end; how many of them were looked at.
async fn hear(mut client: LiveClient, batch: Value, most: u64) -> u64 {
    let (one, items) = (format!("batch/{}", id(&batch)), format!("batch/{}/items/1-100", id(&batch)));
    client.subscribe(&one, None).await;
    client.subscribe(&items, None).await;
    let mut frames = 0;
    loop {
        client.next().await.expect("the connection stays");
        frames += 1;
        let rows = |topic: &str| client.topics.get(topic).into_iter().flat_map(|known| known.rows.values());
        let running = rows(&items).filter(|row| row["state"] == "running").count() as u64;
        assert!(running <= most, "{running} items of {most}");
        let Some(row) = rows(&one).next() else { continue };
        assert!(number(row, "running") <= most, "{row}");
        if row["finished_at"].is_string() {
            return frames;
        }
    }
}

/// Submits `body` and looks at what it makes from all sides until it has ended.
async fn look(server: &TestServer, body: &Value, most: u64) {
    let batch = server.post_json("/batches", body).await.ok();
    let hearing = tokio::spawn(hear(LiveClient::connect(server).await, batch.clone(), most));
    let path = format!("/batches/{}", id(&batch));
    let (mut looks, mut seen) = (0, 0);
    loop {
        let now = server.get(&path).await.ok();
        assert!(number(&now, "running") <= most, "{now}");
        seen = seen.max(number(&now, "running"));
        let list = server.get(&format!("{path}/items?state=running")).await.ok();
        let running = list["items"].as_array().unwrap().len() as u64;
        assert!(running <= most, "{running} items of {most}");
        let nodes = server.get("/nodes").await.ok();
        for node in nodes["nodes"].as_array().unwrap() {
            assert!(number(node, "busy") <= number(node, "slots"), "{node}");
        }
        looks += 1;
        if now["finished_at"].is_string() {
            break;
        }
    }
    let frames = hearing.await.unwrap();
    assert!(seen > 0, "it was looked at while it ran");
    println!("{looks} looks and {frames} frames: never more than {most} at once");
}

async fn never_more_than_there_are_slots(server: TestServer) {
    // Items end together, here and there, are tried again, and are held to less than the slots.
    for (params, options, most) in [
        (json!({"duration_ms": 400}), json!({}), SLOTS),
        (json!({"duration_ms": 60, "jitter": 0.9}), json!({}), SLOTS),
        (
            json!({"duration_ms": 60, "fail_rate": 0.5, "fail_attempts": 1}),
            json!({"retry_base_ms": 20}),
            SLOTS,
        ),
        (json!({"duration_ms": 60}), json!({"concurrency": 3}), 3),
    ] {
        let body = json!({"task": "demo", "params": params, "items": {"count": 80}, "options": options});
        look(&server, &body, most).await;
    }
}

#[tokio::test]
async fn no_more_run_than_there_are_slots_on_sqlite() {
    never_more_than_there_are_slots(TestServer::start().await).await;
}

#[tokio::test]
async fn no_more_run_than_there_are_slots_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    never_more_than_there_are_slots(server).await;
}
