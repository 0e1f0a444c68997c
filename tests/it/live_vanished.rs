//! Clients that are there no more, or might as well not be.
//!
//! Whoever answers no ping is let go and makes room; whoever answers is let be.

use std::time::{Duration, Instant};

use milepost::client::subscriptions::UNLIMITED_HZ;
use serde_json::json;
use tokio::sync::watch;

use super::support::follower::{Follower, FollowerSettings, Witness};
use super::support::live_client::LiveClient;
use super::support::process::figure;
use super::support::proxy::{Proxy, calm};
use super::support::raw_frames::RawMessage;
use super::support::raw_websocket::{RawWebSocket, bearer, head};
use super::support::{PATIENCE, TestServer, id};

const PING: Duration = Duration::from_secs(1);
/// Beyond twice the ping: the goodbye that nobody answers, and a loaded machine.
const BIT: Duration = Duration::from_secs(8);

/// A server on which one person has two places, and pings come every second.
async fn two_places() -> TestServer {
    let settings = [("MILEPOST_LIVE_PING_SECONDS", "1"), ("MILEPOST_LIVE_CONNECTIONS_PER_USER_MAX", "2")];
    TestServer::start_with(&settings).await
}

#[tokio::test]
async fn who_has_vanished_is_let_go_and_makes_room() {
    let server = two_places().await;
    let proxy = Proxy::start(server.authority(), calm()).await;
    let mut stays = LiveClient::connect(&server).await;
    let batch = server.demo(1_000_000, json!({"duration_ms": 20})).await;
    let topic = format!("batch/{}", id(&batch));
    stays.subscribe(&topic, None).await;
    // Whoever stays reads and answers pings all along.
    let staying = tokio::spawn(async move { while stays.next().await.is_some() {} });
    let (_address, address) = watch::channel(proxy.address.clone());
    let way = FollowerSettings {
        address,
        token: server.token.clone(),
        delay_max: Duration::from_millis(0),
        hz: UNLIMITED_HZ,
        seed: 1,
        witness: Witness::default(),
    };
    let vanishes = Follower::start(way);
    vanishes.follow([topic.clone()]);
    // Well beyond twice the ping: it answers, so it is let be.
    let begun = Instant::now();
    vanishes
        .until(&topic, |known| known.updates > 2 && begun.elapsed() > PING * 4)
        .await
        .expect("whoever answers pings is let be");
    assert_eq!(vanishes.figures().connections, 1);
    let sessions = sessions(&server).await;
    assert!(!comes_in(&server).await, "both places are taken");

    proxy.freeze();
    let frozen = Instant::now();
    while !comes_in(&server).await {
        assert!(frozen.elapsed() < PATIENCE, "its place is never free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waited = frozen.elapsed();
    println!("let go after {waited:?}; sessions before: {sessions:?}");
    assert!(waited > PING / 2, "not before it could have answered: {waited:?}");
    assert!(waited < PING * 2 + BIT, "twice the ping, and a bit: {waited:?}");
    if let Some(sessions) = sessions {
        let deadline = Instant::now() + PATIENCE;
        while self::sessions(&server).await.is_none_or(|now| now >= sessions) {
            assert!(Instant::now() < deadline, "the figure of sessions stays at {sessions}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(!staying.is_finished(), "whoever stays is let be");
}

/// Open live connections as `/metrics` tells them; none where it does not.
async fn sessions(server: &TestServer) -> Option<f64> {
    for name in ["milepost_live_connections", "milepost_live_sessions", "milepost_sessions"] {
        if let Some(figure) = figure(server, name).await {
            return Some(figure);
        }
    }
    None
}

/// True where there was room for one more, which leaves at once.
async fn comes_in(server: &TestServer) -> bool {
    let mut wire = RawWebSocket::dial(server).await;
    let (status, _answer) = wire.ask(&head(server.authority(), &bearer(&server.token))).await;
    let is_in =
        status == 101 && matches!(wire.receive().await, RawMessage::Text(first) if first.contains("welcome"));
    if is_in {
        wire.part().await;
    }
    is_in
}

#[tokio::test]
async fn who_answers_no_ping_is_told_so() {
    let server = two_places().await;
    let mut wire = RawWebSocket::open(&server).await;
    let begun = Instant::now();
    // Reading is not enough.
    let end = loop {
        match wire.receive().await {
            RawMessage::Text(_ping) => {}
            end => break end,
        }
    };
    let waited = begun.elapsed();
    assert!(matches!(&end, RawMessage::Close { code: Some(4408), reason } if !reason.is_empty()), "{end:?}");
    assert!(waited > PING && waited < PING * 2 + BIT, "{waited:?}");
    wire.part().await;
}
