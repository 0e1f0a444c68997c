//! Every loop of the process breaks once.
//!
//! No loop stops in silence: the node says that it is not ready and why, or the loop goes on.

use std::time::Instant;

use milepost::fault::Loop;
use reqwest::Method;
use serde_json::json;

use super::cluster::Cluster;
use super::support::live_client::LiveClient;
use super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::support::{PATIENCE, Reply, TestServer, id, send};

/// Sessions of one topic that are served together, from this number on.
const MANY: usize = 33;

async fn readiness(server: &TestServer) -> Reply {
    send(server.client.request(Method::GET, format!("{}/readyz", server.base))).await
}

/// Waits until the server says that it is not ready, for a reason that names the loop.
async fn unready(server: &TestServer, which: Loop) {
    let deadline = Instant::now() + PATIENCE;
    let named = format!("The {} loop", which.name());
    loop {
        let reply = readiness(server).await;
        if reply.status == 503 && reply.text.contains(&named) {
            return;
        }
        assert!(Instant::now() < deadline, "{}: {reply:?}\n{}", which.name(), server.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Waits until the log has `words`.
async fn logged(server: &TestServer, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains(words) {
        assert!(Instant::now() < deadline, "never logged: {words}\n{}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn breaks(which: Loop, turns: u32) -> String {
    format!("{}={turns}*off->1*panic", which.place())
}

/// How a loop that broke is dealt with.
enum Dealt {
    /// It holds work: the node is not ready from then on. Of nodes that share a database only.
    NotReady,
    NotReadyWhereShared,
    /// It is begun anew, or goes on by itself.
    GoesOn,
    /// Nobody can ask any more: the process ends.
    Ends,
}

fn dealt(which: Loop) -> Dealt {
    match which {
        Loop::Audit
        | Loop::Heartbeat
        | Loop::Claim
        | Loop::Clock
        | Loop::Disk
        | Loop::InputLoader
        | Loop::Watchdog
        | Loop::Record
        | Loop::Schedule
        | Loop::Settle
        | Loop::Membership
        | Loop::Slot
        | Loop::Steps
        | Loop::Retention
        | Loop::Turns => Dealt::NotReady,
        Loop::RemoteProgress | Loop::RelayRead | Loop::RelayReceive | Loop::Reclaim | Loop::RelaySend => {
            Dealt::NotReadyWhereShared
        }
        Loop::Revocation
        | Loop::Broadcaster
        | Loop::Schedules
        | Loop::WindowFeed
        | Loop::Timer
        | Loop::Webhooks => Dealt::GoesOn,
        Loop::Accept => Dealt::Ends,
    }
}

/// Each on its own: the first reason stays.
async fn break_each(mut server: TestServer, is_shared: bool) {
    server.kill().await;
    for which in Loop::ALL {
        let breaks_here = match dealt(which) {
            Dealt::NotReady => true,
            Dealt::NotReadyWhereShared => is_shared,
            Dealt::GoesOn | Dealt::Ends => false,
        };
        if !breaks_here {
            continue;
        }
        assert!(server.spawn_with(&[("FAILPOINTS", &breaks(which, 0))]).await, "{}", server.log());
        unready(&server, which).await;
        // What is stored can still be read.
        assert!(server.get("/batches").await.status.is_success());
        server.kill().await;
    }
}

#[tokio::test]
async fn a_loop_that_breaks_makes_the_node_not_ready_on_sqlite() {
    break_each(TestServer::start().await, false).await;
}

#[tokio::test]
async fn a_loop_that_breaks_makes_the_node_not_ready_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    break_each(server, true).await;
}

#[tokio::test]
async fn windows_move_on_after_their_loop_broke() {
    let mut server = TestServer::start().await;
    server.kill().await;
    assert!(server.spawn_with(&[("FAILPOINTS", &breaks(Loop::WindowFeed, 5))]).await);
    logged(&server, "a loop broke name=\"window_feed\"").await;
    let mut client = LiveClient::connect(&server).await;
    let batch = server.demo(20, json!({"duration_ms": 50})).await;
    let topic = format!("batch/{}/items/1-20", id(&batch));
    client.subscribe(&topic, None).await;
    let all = |known: &super::support::known_topic::KnownTopic| {
        known.rows.len() == 20 && known.rows.values().all(|row| row["state"] == "succeeded")
    };
    client.until(&topic, all).await;
    assert!(readiness(&server).await.status.is_success(), "once is no reason");
}

#[tokio::test]
async fn a_loop_that_breaks_again_and_again_makes_the_node_not_ready() {
    let mut server = TestServer::start().await;
    server.kill().await;
    assert!(server.spawn_with(&[("FAILPOINTS", "loop.window_feed=panic")]).await);
    unready(&server, Loop::WindowFeed).await;
    let broken = server.log().matches("a loop broke name=\"window_feed\"").count();
    assert!(broken < 20, "{broken} times, without a pause");
}

#[tokio::test]
async fn a_right_is_taken_away_after_the_loop_that_looks_broke() {
    let mut server = TestServer::start().await;
    let token = server.make_token("short", "viewer").await;
    server.kill().await;
    assert!(server.spawn_with(&[("FAILPOINTS", &breaks(Loop::Revocation, 2))]).await);
    logged(&server, "a loop broke name=\"revocation\"").await;
    let mut wire = RawWebSocket::dial(&server).await;
    let (status, answer) = wire.ask(&head(server.authority(), &bearer(&token))).await;
    assert_eq!(status, 101, "{answer}");
    assert!(server.runs(&["token", "revoke", "short", "--data", "data"], &[]).await);
    let end = wire.exchange(&[], |_heard| false).await;
    let close = super::support::raw_frames::RawMessage::Close { code: Some(4401), reason: String::new() };
    assert_eq!(std::mem::discriminant(&end), std::mem::discriminant(&close), "{end:?}");
    wire.part().await;
}

/// Clients of one batch hear its end although the loop broke that tells them.
async fn all_hear(which: Loop, clients: usize) {
    let mut server = TestServer::start().await;
    server.kill().await;
    assert!(server.spawn_with(&[("FAILPOINTS", &breaks(which, 1))]).await);
    let batch = server.demo(800, json!({"duration_ms": 20})).await;
    let topic = format!("batch/{}", id(&batch));
    let mut all = Vec::new();
    for _ in 0..clients {
        let mut client = LiveClient::connect(&server).await;
        client.subscribe(&topic, None).await;
        all.push(client);
    }
    for client in &mut all {
        client.until(&topic, |known| known.rows.values().any(|row| row["finished_at"].is_string())).await;
    }
    assert!(server.log().contains("could not be"), "{} never broke\n{}", which.name(), server.log());
    assert!(readiness(&server).await.status.is_success());
}

#[tokio::test]
async fn frames_go_on_after_the_timer_broke() {
    all_hear(Loop::Timer, 1).await;
}

#[tokio::test]
async fn frames_go_on_after_the_broadcaster_broke() {
    all_hear(Loop::Broadcaster, MANY).await;
}

#[tokio::test]
async fn a_process_that_takes_no_connection_ends() {
    let mut server = TestServer::start().await;
    server.kill().await;
    assert!(server.spawn_with(&[("FAILPOINTS", &breaks(Loop::Accept, 1))]).await);
    let _last = server.request(Method::GET, "/batches").send().await;
    let ended = server.ended().await;
    assert!(!ended.success(), "whoever started it is to start it again");
    assert!(server.log().contains("no connection is taken any more"), "{}", server.log());
}
