//! A client that takes almost nothing, beside those that take all.
//!
//! Nobody waits for a slow client and nothing queues behind one; it is told the newest as soon as it reads again.

use std::collections::HashMap;
use std::time::Duration;

use milepost::client::subscriptions::UNLIMITED_HZ;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::watch;

use super::support::follower::{Follower, FollowerSettings, Witness};
use super::support::known_topic::{KnownTopic, topic_of};
use super::support::live_client::LiveClient;
use super::support::process::{MIB, resident_bytes};
use super::support::raw_frames::{RawMessage, text};
use super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::support::{TestServer, id, number};

/// Clients that read as fast as they can.
const NORMAL: u64 = 10;
/// Between two bytes of the slow one.
const BYTE_EVERY: Duration = Duration::from_millis(50);
/// What its system takes for it unread: as little as can be had.
const RECEIVE_BYTES: u32 = 4 * 1024;
/// What it may have to read until it shows the newest: what the system buffers for the server (4 MiB by default), a frame
/// of each topic that was under way (4 MB), and the newest of each (4 MB).
const BEHIND_BYTES_MAX: u64 = 12 * MIB;
/// Longest wait for an answer beside them: a slow client is cut off after 30 s, which must not be what helps.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What the server may hold more than before; 25 MiB are of the work itself, with or without a slow reader.
const GROWTH_MAX: u64 = 40 * MIB;
/// What a queue would hold, at least: or nothing would be seen of one.
const WHOLE_BYTES_MIN: u64 = 48 * MIB;
/// Items of the batch, all of them in windows.
const ITEMS: usize = 2_000;
/// Bytes of an input: what a queue would hold again and again.
const INPUT_BYTES: usize = 2_000;

/// All of a batch; the batch itself last.
fn topics(batch: &Value) -> Vec<String> {
    let topic = format!("batch/{}", id(batch));
    let windows = (0..ITEMS / 500).map(|at| format!("{topic}/items/{}-{}", at * 500 + 1, (at + 1) * 500));
    windows.chain([format!("{topic}/strip"), format!("{topic}/families"), topic.clone()]).collect()
}

/// A batch that changes many rows at every tick, once it is resumed.
async fn busy_batch(server: &TestServer) -> Value {
    let items: Vec<String> = (0..ITEMS).map(|at| format!("{at:INPUT_BYTES$}")).collect();
    let body = json!({"task": "demo", "params": {"duration_ms": 8, "fail_rate": 0.5, "fail_attempts": 4},
        "items": items, "options": {"attempts_max": 10, "retry_base_ms": 50, "retry_max_ms": 100}});
    let batch = server.post_json("/batches", &body).await.ok();
    server.post(&format!("/batches/{}/pause", id(&batch))).await.ok();
    server.until(&batch, "still", |now| number(now, "running") == 0).await
}

fn is_finished(row: &Value) -> bool {
    row["finished_at"].is_string()
}

/// Takes all as it comes, until the end of the batch: how many bytes a client is told that is not slow.
async fn reads_all(mut wire: RawWebSocket, topics: Vec<String>) -> u64 {
    subscribe(&mut wire, &topics).await;
    let end = format!(r#"{{"update":{{"topic":"{}","#, topics.last().unwrap());
    loop {
        let RawMessage::Text(words) = wire.receive().await else { panic!("it ends") };
        if words.starts_with(&end) && words.contains(r#""state":"succeeded""#) {
            return wire.received();
        }
    }
}

async fn subscribe(wire: &mut RawWebSocket, topics: &[String]) {
    for topic in topics {
        wire.send(&text(&json!({"subscribe": {"topic": topic}}).to_string())).await;
    }
}

async fn slow(server: &TestServer, topics: &[String]) -> RawWebSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
    let mut wire = RawWebSocket::over(socket.connect(server.authority().parse().unwrap()).await.unwrap());
    let (status, answer) = wire.ask(&head(server.authority(), &bearer(&server.token))).await;
    assert_eq!(status, 101, "{answer}");
    subscribe(&mut wire, topics).await;
    wire
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_costs_nobody_anything_and_gets_the_newest() {
    let server = TestServer::start().await;
    let batch = busy_batch(&server).await;
    let (topics, topic) = (topics(&batch), format!("batch/{}", id(&batch)));
    let (_address, address) = watch::channel(server.authority().to_owned());
    let way = |seed| FollowerSettings {
        address: address.clone(),
        token: server.token.clone(),
        delay_max: Duration::from_millis(0),
        hz: UNLIMITED_HZ,
        seed,
        witness: Witness::default(),
    };
    let normal: Vec<Follower> = (0..NORMAL).map(|seed| Follower::start(way(seed))).collect();
    for client in &normal {
        client.follow(topics[ITEMS / 500..].iter().cloned());
        client.until(&topic, |_any| true).await.expect("an answer");
    }
    let mut wire = slow(&server, &topics).await;
    let reading = tokio::spawn(reads_all(RawWebSocket::open(&server).await, topics.clone()));
    let resident = resident_bytes(&server);

    server.post(&format!("/batches/{}/resume", id(&batch))).await.ok();
    let mut work = std::pin::pin!(server.finished(&batch));
    let mut byte = tokio::time::interval(BYTE_EVERY);
    let truth = loop {
        tokio::select! {
            truth = &mut work => break truth,
            _tick = byte.tick() => assert!(wire.trickle().await, "it is slow, not gone"),
        }
    };
    let grown = resident_bytes(&server).saturating_sub(resident);
    let mut counts = Vec::new();
    for client in &normal {
        let known =
            client.until(&topic, |known| known.rows.values().all(is_finished)).await.expect("the end");
        assert_eq!(known.rows.values().next().unwrap()["rev"], truth["rev"], "the newest");
        counts.push(known.updates);
    }
    // None of those beside a slow one is forgotten. How alike they fare is measured by the bench: here, who is woken when
    // is the machine's choice.
    let least = *counts.iter().min().unwrap();
    assert!(least > 10, "{counts:?}");

    let behind = catches_up(&mut wire, &topics, &truth).await;
    let whole = reading.await.unwrap();
    println!(
        "updates of the normal: {counts:?}; {whole} bytes at full speed, {behind} until the slow one is right; \
         {grown} bytes grown"
    );
    assert!(whole >= WHOLE_BYTES_MIN, "too little happened");
    assert!(behind <= BEHIND_BYTES_MAX, "{behind} bytes of old news");
    assert!(grown <= GROWTH_MAX, "{grown} bytes were kept for a slow reader");
    for client in normal {
        let figures = client.stop().await;
        assert_eq!((figures.connections, figures.errors.len()), (1, 0), "{figures:?}");
    }
}

#[tokio::test]
async fn who_reads_nothing_keeps_nobody_from_the_database() {
    let server = TestServer::start_with(&[("MILEPOST_DATABASE_READERS", "1")]).await;
    let topics = topics(&busy_batch(&server).await);
    // More than the system buffers, again and again: what is read for them can only wait.
    let again: Vec<String> = (0..10).flat_map(|_| topics.clone()).collect();
    let mut unread = Vec::new();
    for _client in 0..8 {
        unread.push(slow(&server, &again).await);
    }
    for _look in 0..20 {
        let look = tokio::time::timeout(ANSWER_MAX, server.get("/batches"));
        look.await.expect("an answer, whoever reads nothing").ok();
    }
    let mut client = LiveClient::connect(&server).await;
    client.subscribe("batches", None).await;
    let listening = client.until("batches", |known| known.snapshots == 1);
    tokio::time::timeout(ANSWER_MAX, listening).await.expect("an answer, whoever reads nothing");
    drop(unread);
}

/// Reads on normally until the newest is shown; how many bytes that took.
async fn catches_up(wire: &mut RawWebSocket, topics: &[String], truth: &Value) -> u64 {
    let mut known = HashMap::<String, KnownTopic>::new();
    let begun = wire.received();
    while !shows(&known, topics, truth) {
        let RawMessage::Text(words) = wire.receive().await else { panic!("it ends") };
        let frame: Value = serde_json::from_str(&words).unwrap();
        if let Some(topic) = topic_of(&frame) {
            known.entry(topic.to_owned()).or_default().receive(&words, &frame);
        }
    }
    wire.received() - begun
}

fn shows(known: &HashMap<String, KnownTopic>, topics: &[String], truth: &Value) -> bool {
    topics.iter().all(|topic| {
        let Some(known) = known.get(topic) else { return false };
        match topic.split('/').nth(2) {
            None => known.rows.values().all(|row| row["rev"] == truth["rev"]),
            Some("items") => known.rows.values().filter(|row| row["state"] == "succeeded").count() == 500,
            Some("strip") => {
                known.rows.values().map(|cell| number(cell, "succeeded")).sum::<u64>()
                    == number(truth, "succeeded")
            }
            _ => known.rows.values().all(|row| number(row, "count") == 0),
        }
    })
}
