//! The live connection: what a client that keeps the newest row per key shows is the truth, in every frame, over a cut and
//! over a restart.

use serde_json::json;

use super::support::known_topic::KnownTopic;
use super::support::live_client::LiveClient;
use super::support::{TestServer, id, number};

fn batch_of(known: &KnownTopic) -> Option<&serde_json::Value> {
    known.rows.values().next()
}

fn finished(known: &KnownTopic) -> bool {
    batch_of(known).is_some_and(|row| !row["finished_at"].is_null())
}

#[tokio::test]
async fn a_batch_is_watched_to_its_end() {
    let server = TestServer::start().await;
    let mut client = LiveClient::connect(&server).await;
    assert_eq!(client.welcome["limits"]["subscriptions_max"], 200);
    let batch = server.demo(2_000, json!({"duration_ms": 3, "fail_rate": 0.02})).await;
    let topic = format!("batch/{}", id(&batch));
    client.subscribe(&topic, Some(number(&batch, "rev"))).await;
    for tail in ["strip", "families", "pulse", "items/1-100"] {
        client.subscribe(&format!("{topic}/{tail}"), None).await;
    }
    client.subscribe("batches", None).await;
    let seen = client.until(&topic, finished).await;
    assert!(seen.updates > 1, "it moved: {seen:?}");
    let truth = server.get(&format!("/batches/{}", id(&batch))).await.ok();
    let row = batch_of(&seen).unwrap();
    for member in ["rev", "total", "succeeded", "failed", "state", "finished_at"] {
        assert_eq!(row[member], truth[member], "{member}");
    }
    let failed = number(&truth, "failed");
    let sum = |known: &KnownTopic, name: &str| known.rows.values().map(|row| number(row, name)).sum::<u64>();
    client.until(&format!("{topic}/families"), |known| sum(known, "count") == failed).await;
    let cells = client
        .until(&format!("{topic}/strip"), |known| sum(known, "succeeded") + sum(known, "failed") == 2_000)
        .await;
    assert_eq!(sum(&cells, "failed"), failed);
    let pulse = client
        .until(&format!("{topic}/pulse"), |known| sum(known, "succeeded") + sum(known, "failed") == 2_000)
        .await;
    assert!(sum(&pulse, "failed") == failed && pulse.rows.len() > 1, "{pulse:?}");
    assert!(pulse.rows.values().all(|row| row["ms"] == 1_000 && row["starts_at"].is_string()));
    let ended = |known: &KnownTopic| {
        known.rows.len() == 100
            && known.rows.values().all(|row| row["state"] == "succeeded" || row["state"] == "failed")
    };
    client.until(&format!("{topic}/items/1-100"), ended).await;
    client.until("batches", finished).await;
}

#[tokio::test]
async fn a_cut_and_a_restart_lose_nothing() {
    let mut server = TestServer::start().await;
    let batch = server.demo(4_000, json!({"duration_ms": 5})).await;
    let topic = format!("batch/{}", id(&batch));
    let mut client = LiveClient::connect(&server).await;
    client.subscribe(&topic, None).await;
    let seen =
        client.until(&topic, |known| batch_of(known).is_some_and(|row| number(row, "succeeded") > 100)).await;
    drop(client);
    let mut client = LiveClient::connect(&server).await;
    client.topics.insert(topic.clone(), seen.clone());
    client.subscribe(&topic, Some(seen.rev)).await;
    let seen =
        client.until(&topic, |known| batch_of(known).is_some_and(|row| number(row, "succeeded") > 500)).await;

    server.kill().await;
    while client.next().await.is_some() {}
    server.spawn().await;
    let mut client = LiveClient::connect(&server).await;
    // What was known stays known: `rev` never goes back, over restarts too.
    client.topics.insert(topic.clone(), seen.clone());
    client.subscribe(&topic, Some(seen.rev)).await;
    let seen = client.until(&topic, finished).await;
    let row = batch_of(&seen).unwrap();
    assert_eq!(number(row, "total"), 4_000);
    assert_eq!(number(row, "succeeded") + number(row, "failed"), 4_000);
}

#[tokio::test]
async fn frames_that_cannot_be_are_answered() {
    let server = TestServer::start().await;
    let mut client = LiveClient::connect(&server).await;
    for (topic, code) in
        [("batch/0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", "not_found"), ("nonsense", "not_found")]
    {
        client.subscribe(topic, None).await;
        let frame = client.next().await.unwrap();
        assert_eq!(
            (&frame["error"]["topic"], &frame["error"]["code"]),
            (&json!(topic), &json!(code)),
            "{frame}"
        );
    }
    let batch = server.demo(1, json!({})).await;
    client.subscribe(&format!("batch/{}/items/1-501", id(&batch)), None).await;
    assert_eq!(client.next().await.unwrap()["error"]["code"], "too_large");
    client.send(&json!({"hello": {}})).await;
    assert!(client.next().await.is_none(), "what is no frame ends the connection");
}

#[tokio::test]
async fn whoever_takes_nothing_for_a_while_gets_the_newest_only() {
    let server = TestServer::start().await;
    let mut client = LiveClient::connect(&server).await;
    let batch = server.demo(2_000, json!({"duration_ms": 4})).await;
    let topic = format!("batch/{}", id(&batch));
    client.send(&json!({"pace": {"hz": 0}})).await;
    client.subscribe(&topic, None).await;
    assert_eq!(client.until(&topic, |known| known.snapshots == 1).await.updates, 0);
    let truth = server.finished(&batch).await;
    client.send(&json!({"pace": {"hz": 10}})).await;
    let seen = client.until(&topic, finished).await;
    assert_eq!((seen.updates, seen.snapshots), (1, 1), "nothing queues behind it: {seen:?}");
    let row = batch_of(&seen).unwrap();
    for member in ["rev", "total", "succeeded", "state", "finished_at"] {
        assert_eq!(row[member], truth[member], "{member}");
    }
}

#[tokio::test]
async fn a_reader_that_stalls_is_not_waited_for_and_misses_nothing() {
    let server = TestServer::start().await;
    let mut client = LiveClient::connect(&server).await;
    let batch = server.demo(4_000, json!({"duration_ms": 2, "fail_rate": 0.5, "fail_attempts": 1})).await;
    let topic = format!("batch/{}", id(&batch));
    client.subscribe(&topic, None).await;
    for window in 0..8 {
        let (from, to) = (window * 500 + 1, (window + 1) * 500);
        client.subscribe(&format!("{topic}/items/{from}-{to}"), None).await;
    }
    // Nothing is read until all has happened.
    let truth = server.finished(&batch).await;
    let seen = client.until(&topic, finished).await;
    assert_eq!(batch_of(&seen).unwrap()["rev"], truth["rev"]);
    for window in 0..8 {
        let (from, to) = (window * 500 + 1, (window + 1) * 500);
        let ended =
            |known: &KnownTopic| known.rows.values().filter(|row| row["state"] == "succeeded").count() == 500;
        client.until(&format!("{topic}/items/{from}-{to}"), ended).await;
    }
}
