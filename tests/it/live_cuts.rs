//! Clients on bad networks: whatever is cut off, delayed or lost, they come back and show the truth.
//!
//! After quiet, what was built from frames alone equals the answers of the API member by member, over cuts, a kill
//! and a restart; in every frame on the way sums hold, and no `rev` goes back. The clients are the project's own,
//! without a browser.

use std::time::{Duration, Instant};

use milepost::client::subscriptions::UNLIMITED_HZ;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::support::follower::{Figures, Follower, FollowerSettings, Witness};
use super::support::known_topic::KnownTopic;
use super::support::proxy::{Proxy, bad, calm};
use super::support::{PATIENCE, TestServer, id, number, times};

const CLIENTS: u64 = 6;
/// How long the network is bad in one round.
const ROUND: Duration = Duration::from_secs(7);
/// Two windows of items, each by its first and last.
const WINDOWS: [(u64, u64); 2] = [(1, 100), (451, 800)];
/// Only indicative: what may be dropped is not compared.
const INDICATIVE: [&str; 5] = ["rate_per_s", "eta_ms", "progress", "heartbeat_age_ms", "work"];
/// Finished batches in the topic `batches`.
const LISTED_MAX: usize = 200;

/// What happens to the batches of a round, in order: milliseconds from its start, which batch, what.
const ACTS: [(u64, usize, &str, &str); 13] = [
    (700, 2, "POST", "/pause"),
    (900, 3, "PATCH", r#"{"name":"another name","concurrency":3}"#),
    (1_500, 2, "POST", "/resume"),
    (1_800, 1, "POST", "/retry"),
    (2_200, 3, "POST", "/cancel"),
    (2_600, 0, "PATCH", r#"{"priority":3}"#),
    (3_000, 2, "POST", "/pause"),
    (4_200, 3, "POST", r#"/retry {"states":["cancelled"]}"#),
    (4_400, 2, "PATCH", r#"{"name":"ä 😀 \" \\ name"}"#),
    (4_800, 2, "POST", "/resume"),
    (5_200, 1, "POST", "/retry"),
    (5_600, 4, "DELETE", ""),
    (6_000, 3, "POST", "/cancel"),
];
/// When the server is killed, in every other round.
const KILLED_AT: Duration = Duration::from_millis(3_500);

/// The batches of a round: one with retries, one that fails, one that is paused, one that is cancelled, a short one.
async fn submit(server: &TestServer) -> Vec<Value> {
    let retrying = json!({"duration_ms": 8, "fail_rate": 0.1, "fail_attempts": 1, "steps": 2});
    let failing = json!({"duration_ms": 4, "fail_rate": 0.3});
    let quick = json!({"retry_base_ms": 200, "retry_max_ms": 400});
    let once = json!({"attempts_max": 1});
    let mut batches = Vec::new();
    for (count, params, options) in [
        (2_000, retrying.clone(), quick.clone()),
        (1_500, failing, once),
        (2_000, retrying.clone(), quick.clone()),
        (2_000, retrying, quick),
        (30, json!({"duration_ms": 5}), json!({})),
    ] {
        let body = json!({"task": "demo", "params": params, "options": options, "items": {"count": count}});
        batches.push(server.post_json("/batches", &body).await.ok());
    }
    batches
}

/// Acts on a batch. What comes too late or while the server is away changes nothing.
async fn act(server: &TestServer, batch: &Value, method: &str, what: &str) {
    let path = format!("/batches/{}", id(batch));
    let (path, body) = match (method, what.split_once(' ')) {
        ("PATCH", _) => (path, Some(what)),
        (_, Some((act, body))) => (path + act, Some(body)),
        (_, None) => (path + what, None),
    };
    let mut request = server.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let status = request.send().await.map_or(503, |response| response.status().as_u16());
    assert!(matches!(status, 200 | 204 | 409 | 503), "{method} {path}: {status}");
}

fn topics(batches: &[Value]) -> Vec<String> {
    let mut topics = vec!["batches".to_owned(), "nodes".to_owned()];
    // The last is deleted: who listens to it is told no more than that it has gone from the list.
    for batch in &batches[..batches.len() - 1] {
        let topic = format!("batch/{}", id(batch));
        topics.extend(WINDOWS.map(|(from, to)| format!("{topic}/items/{from}-{to}")));
        topics.extend([format!("{topic}/strip"), format!("{topic}/families"), topic]);
    }
    topics
}

/// The rows that `topic` must show, by the API alone; none of the strip, of which only the sums are known.
async fn truth(server: &TestServer, topic: &str) -> Vec<Value> {
    let parts: Vec<&str> = topic.split('/').collect();
    let rows = |page: Value, name: &str| page[name].as_array().unwrap().clone();
    match parts.as_slice() {
        ["batches"] => {
            let mut batches = Vec::new();
            let mut next = String::new();
            loop {
                let page = server.get(&format!("/batches?limit=500{next}")).await.ok();
                next = page["next"].as_str().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
                batches.extend(rows(page, "batches"));
                if next.is_empty() {
                    break;
                }
            }
            let (unfinished, mut finished): (Vec<_>, Vec<_>) =
                batches.into_iter().partition(|batch| batch["finished_at"].is_null());
            finished.truncate(LISTED_MAX);
            [unfinished, finished].concat()
        }
        ["nodes"] => rows(server.get("/nodes").await.ok(), "nodes"),
        ["batch", batch] => vec![server.get(&format!("/batches/{batch}")).await.ok()],
        ["batch", batch, "families"] => {
            rows(server.get(&format!("/batches/{batch}/families")).await.ok(), "families")
        }
        ["batch", batch, "items", window] => {
            let (from, to) = window.split_once('-').unwrap();
            let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
            let page = format!("/batches/{batch}/items?after={}&limit={}", from - 1, to - from + 1);
            rows(server.get(&page).await.ok(), "items")
        }
        other => panic!("{other:?}"),
    }
}

/// What is wrong in what is shown.
async fn difference(server: &TestServer, topic: &str, known: &KnownTopic) -> Option<String> {
    if let Some(batch) = topic.strip_prefix("batch/").and_then(|rest| rest.strip_suffix("/strip")) {
        let batch = server.get(&format!("/batches/{batch}")).await.ok();
        let sum = |state: &str| known.rows.values().map(|cell| number(cell, state)).sum::<u64>();
        let wrong = ["succeeded", "failed", "cancelled"]
            .into_iter()
            .find(|state| sum(state) != number(&batch, state));
        return wrong.map(|state| format!("{topic}: {} {state} by its cells, not of {batch}", sum(state)));
    }
    let truth = truth(server, topic).await;
    for row in &truth {
        let key = ["id", "seq"].iter().find_map(|name| row.get(*name)).unwrap().to_string();
        let Some(shown) = known.rows.get(&key) else {
            return Some(format!("{topic}: without {row}"));
        };
        for (member, value) in row.as_object().unwrap() {
            // That of a node is by the clock: it grows without a change.
            let is_compared =
                !INDICATIVE.contains(&member.as_str()) && (topic, member.as_str()) != ("nodes", "rev");
            if is_compared && shown[member] != *value {
                return Some(format!("{topic}: {member} of {shown}, not of {row}"));
            }
        }
    }
    let count = known.rows.len();
    (count != truth.len()).then(|| format!("{topic}: {count} rows, not {}", truth.len()))
}

/// Waits until a client shows the truth in all topics.
async fn comes_true(server: &TestServer, client: &Follower, topics: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    for topic in topics {
        loop {
            let known = client.until(topic, |_any| true).await.expect("it comes back");
            let Some(wrong) = difference(server, topic, &known).await else { break };
            assert!(Instant::now() < deadline, "{wrong}\n{:?}", client.figures());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Batches run on a bad network, things are done to them, and the server may be killed among it.
async fn round(server: &mut TestServer, proxy: &Proxy, clients: &[Follower], at: u32) {
    proxy.follow(bad(u64::from(at)));
    let batches = submit(server).await;
    let topics = topics(&batches);
    for client in clients {
        client.follow(topics.clone());
    }
    let begun = tokio::time::Instant::now();
    let mut is_killed = at % 2 == 1;
    for (after_ms, batch, method, what) in ACTS {
        let after = Duration::from_millis(after_ms);
        if !is_killed && after > KILLED_AT {
            is_killed = true;
            tokio::time::sleep_until(begun + KILLED_AT).await;
            server.kill().await;
            server.spawn().await;
            proxy.aim(server.authority());
        }
        tokio::time::sleep_until(begun + after).await;
        act(server, &batches[batch], method, what).await;
    }
    tokio::time::sleep_until(begun + ROUND).await;
    proxy.follow(calm());
    for batch in &batches[..batches.len() - 1] {
        server.finished(batch).await;
    }
    for client in clients {
        comes_true(server, client, &topics).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_cut_off_the_truth_is_shown_in_the_end() {
    let mut server = TestServer::start().await;
    let proxy = Proxy::start(server.authority(), calm()).await;
    let (_address, address) = watch::channel(proxy.address.clone());
    let witness = Witness::default();
    let settings = |seed| FollowerSettings {
        address: address.clone(),
        token: server.token.clone(),
        // Sooner than documented: what is looked for happens at the cuts.
        delay_max: Duration::from_millis(200),
        hz: UNLIMITED_HZ,
        seed,
        witness: witness.clone(),
    };
    let clients: Vec<Follower> = (0..CLIENTS).map(|seed| Follower::start(settings(seed))).collect();
    let rounds = times(2);
    for at in 0..rounds {
        round(&mut server, &proxy, &clients, at).await;
    }
    let mut all = Figures::default();
    for client in clients {
        all.add(client.stop().await);
    }
    println!(
        "{rounds} rounds, killed {} times: {} connections, {} frames, {} resumed without rows, {} with a snapshot\nfates: {:?}\n\
         ends: {:?}",
        rounds.div_ceil(2),
        all.connections,
        all.frames,
        all.resumed,
        all.resent,
        proxy.tally(),
        all.ends
    );
    assert_eq!(all.errors, Vec::<Value>::new(), "nothing was refused");
    let expected = ["broken", "ended", "not connected", "busy"];
    assert!(all.ends.keys().all(|end| expected.contains(&end.as_str())), "{:?}", all.ends);
    assert!(all.resumed > 0 && all.resent > 0, "both were met");
}
