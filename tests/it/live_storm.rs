//! All clients at once: a server that goes away in order, and everybody who comes back.
//!
//! Everybody is told when to come back, not all at the same time; everybody comes back by the documented delays and
//! shows the truth. The clients are the project's own, without a browser.

use std::collections::BTreeSet;
use std::time::Instant;

use milepost::client::reconnect::RECONNECT_MAX;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::support::follower::{Figures, Follower, FollowerSettings, Witness};
use super::support::{TestServer, id};

/// The benchmark has more.
const CLIENTS: u64 = 200;
/// Updates a second: a crowd of debug builds on a busy machine must take what it is sent.
const HZ: f64 = 2.0;
/// Hints lie at least so far apart: they are spread over 3 s and more.
const SPREAD_MS_MIN: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_when_to_come_back_and_does() {
    let settings =
        [("MILEPOST_LIVE_CONNECTIONS_PER_USER_MAX", "1000"), ("MILEPOST_ENGINE_DRAIN_SECONDS", "1")];
    let mut server = TestServer::start_with(&settings).await;
    // Longer than any test: it is cancelled when all are back.
    let body = json!({"task": "demo", "params": {"duration_ms": 10, "fail_rate": 0.1}, "items": {"count": 100_000},
        "options": {"attempts_max": 1}});
    let batch = server.post_json("/batches", &body).await.ok();
    let topic = format!("batch/{}", id(&batch));
    let topics = [topic.clone(), format!("{topic}/strip"), format!("{topic}/families"), "batches".to_owned()];
    let (aim, address) = watch::channel(server.authority().to_owned());
    let witness = Witness::default();
    let settings = |seed| FollowerSettings {
        address: address.clone(),
        token: server.token.clone(),
        delay_max: RECONNECT_MAX,
        hz: HZ,
        seed,
        witness: witness.clone(),
    };
    let clients: Vec<Follower> = (0..CLIENTS).map(|seed| Follower::start(settings(seed))).collect();
    for client in &clients {
        client.follow(topics.clone());
    }
    for client in &clients {
        for topic in &topics {
            client.until(topic, |_any| true).await.expect("a start");
        }
    }
    let before: Vec<u64> = clients.iter().map(|client| client.known(&topic).unwrap().rev).collect();

    server.signal("TERM").await;
    assert!(server.ended().await.success());
    server.spawn().await;
    aim.send_replace(server.authority().to_owned());
    let back = Instant::now();
    for (client, rev) in clients.iter().zip(before) {
        client.until(&topic, |known| known.rev > rev).await.expect("everybody comes back");
    }
    let back = back.elapsed();
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    let truth = server.finished(&batch).await;
    let mut all = Figures::default();
    for client in clients {
        let known =
            client.until(&topic, |known| known.rows.values().all(|row| row["rev"] == truth["rev"])).await;
        let known = known.expect("the end");
        let row = known.rows.values().next().unwrap();
        for member in ["state", "total", "succeeded", "failed", "finished_at"] {
            assert_eq!(row[member], truth[member], "{member}");
        }
        let families = |known: &super::support::known_topic::KnownTopic| {
            known.rows.values().map(|row| row["count"].as_u64().unwrap()).sum::<u64>() == truth["failed"]
        };
        client.until(&format!("{topic}/families"), families).await.expect("and its failures");
        let figures = client.stop().await;
        assert_eq!(figures.ends.get("1001"), Some(&1), "told that the server goes: {:?}", figures.ends);
        all.add(figures);
    }
    let hints: Vec<u64> = all.hints.iter().map(|hint| hint.parse().expect("milliseconds")).collect();
    let (least, most) = (*hints.iter().min().unwrap(), *hints.iter().max().unwrap());
    let different = hints.iter().collect::<BTreeSet<_>>().len();
    println!(
        "{CLIENTS} clients: hints from {least} to {most} ms, {different} different; all back {back:?} after the \
         restart; {} resumed without rows, {} with a snapshot; ends: {:?}",
        all.resumed, all.resent, all.ends
    );
    assert_eq!(all.errors, Vec::<Value>::new(), "nothing was refused");
    let expected = ["1001", "not connected", "busy"];
    assert!(all.ends.keys().all(|end| expected.contains(&end.as_str())), "{:?}", all.ends);
    assert_eq!(hints.len() as u64, CLIENTS);
    assert!(most - least > SPREAD_MS_MIN && different > 10, "not all at once: {hints:?}");
    assert!(back < RECONNECT_MAX, "within the longest delay");
}
