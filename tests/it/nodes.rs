//! Several nodes on one Postgres: killed, frozen, drained, cut off from the database, and watched through each other.
//!
//! 0 lost, 0 twice, 0 stuck; what one node answers, the other obeys; what one node does, the other shows.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::cluster::{Cluster, Stop};
use super::support::ledger::{Auditor, Figures, Ledger, Plan, percentile, plan};
use super::support::live_client::LiveClient;
use super::support::{PATIENCE, TestServer, id, number, times};

/// A lost node is missed after this and one look.
const LEASE: Duration = Duration::from_secs(2);
const SETTINGS: [(&str, &str); 4] = [
    ("MILEPOST_ENGINE_LEASE_SECONDS", "2"),
    ("MILEPOST_ENGINE_RECLAIM_SECONDS", "1"),
    ("MILEPOST_ENGINE_DRAIN_SECONDS", "2"),
    ("MILEPOST_DATABASE_READERS", "4"),
];
/// Items of a batch under which nodes are harmed.
const ITEMS: u64 = 400;
const FAIL_RATE: f64 = 0.03;

/// Two nodes that do everything, on a cluster of their own or the shared one; none where tests are told to go without.
async fn two(cluster: Option<&Cluster>) -> Option<[TestServer; 2]> {
    let first = TestServer::start_on(cluster, &SETTINGS).await?;
    let second = first.beside("other", "all").await;
    Some([first, second])
}

/// Items that wait a little; some fail, some fail once. No item ends for a node that went away.
async fn load(server: &TestServer, ledger: &mut Ledger, failing: &Plan) -> Value {
    let body = json!({"task": "demo", "params": {"duration_ms": 15, "jitter": 0.9, "fail_rate": FAIL_RATE},
        "items": {"count": ITEMS}, "options": {"attempts_max": 60, "retry_base_ms": 1, "retry_max_ms": 2}});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = server.request(reqwest::Method::POST, "/batches").json(&body).send().await;
        if let Ok(response) = asked
            && response.status().is_success()
        {
            let batch: Value = response.json().await.unwrap();
            ledger.add_planned(batch.clone(), failing.clone());
            return batch;
        }
        assert!(Instant::now() < deadline, "no batch is taken\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All that has ended, of all batches noted.
async fn progress(server: &TestServer, ledger: &Ledger) -> Option<u64> {
    let mut ended = 0;
    for batch in ledger.ids() {
        let now = server.try_get(&format!("/batches/{batch}")).await?;
        ended += number(&now, "succeeded") + number(&now, "failed");
    }
    Some(ended)
}

/// How long it takes until something more has ended; zero where there is nothing left to end.
async fn recovery(server: &TestServer, ledger: &Ledger) -> Duration {
    let begun = Instant::now();
    let mut first = None;
    let all = ledger.ids().len() as u64 * ITEMS;
    while begun.elapsed() < PATIENCE {
        match (progress(server, ledger).await, first) {
            (Some(now), _) if now == all => return begun.elapsed(),
            (Some(now), None) => first = Some(now),
            (Some(now), Some(before)) if now > before => return begun.elapsed(),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("work does not go on\n{}", server.log());
}

fn say(what: &str, count: u32, looks: u64, figures: Figures, mut waits: Vec<Duration>) {
    println!(
        "{what}: {count} times, {} items, 0 lost, 0 twice, 0 stuck, {} attempts lost, {} set aside, {looks} looks at \
         the sums, work went on after p50 {:?} p95 {:?}",
        figures.items,
        figures.lost_attempts,
        figures.set_aside,
        percentile(&mut waits, 50),
        percentile(&mut waits, 95),
    );
}

#[tokio::test]
async fn either_of_two_nodes_is_killed_again_and_again() {
    let Some(mut nodes) = two(Cluster::shared()).await else { return };
    let mut random = StdRng::seed_from_u64(21);
    let failing = plan(&nodes[0], ITEMS, FAIL_RATE).await;
    let (mut ledger, mut waits) = (Ledger::default(), Vec::new());
    let auditor = Auditor::start(&nodes[0]);
    let kills = times(10);
    for kill in 0..kills {
        if kill % 3 == 0 {
            load(&nodes[0], &mut ledger, &failing).await;
            load(&nodes[1], &mut ledger, &failing).await;
        }
        auditor.watch(nodes.iter().map(|node| node.base.clone()).collect(), ledger.ids()).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        let (gone, stays) = if random.random_bool(0.5) { (0, 1) } else { (1, 0) };
        nodes[gone].kill().await;
        waits.push(recovery(&nodes[stays], &ledger).await);
        nodes[gone].spawn().await;
    }
    let figures = ledger.check(&nodes[0]).await;
    say("kill -9 of either of two nodes", kills, auditor.stop().await, figures, waits);
}

#[tokio::test]
async fn what_a_frozen_node_says_too_late_is_refused() {
    let Some(mut nodes) = two(Cluster::shared()).await else { return };
    let mut ledger = Ledger::default();
    let auditor = Auditor::start(&nodes[0]);
    let rounds = times(3);
    let mut waits = Vec::new();
    for _round in 0..rounds {
        let [calm, frozen] = &mut nodes;
        // Long enough that both are in the middle of items when one is frozen, however slow the machine is with it.
        let body = json!({"task": "demo", "params": {"duration_ms": 4_000}, "items": {"count": 16},
            "options": {"attempts_max": 60, "retry_base_ms": 1, "retry_max_ms": 2}});
        let batch = calm.post_json("/batches", &body).await.ok();
        busy(calm, "other").await;
        calm.until(&batch, "running on both", |now| number(now, "running") >= 12).await;
        frozen.signal("STOP").await;
        let begun = Instant::now();
        ledger.add(batch.clone(), 16);
        auditor.watch(vec![calm.base.clone()], ledger.ids()).await;
        let lost = lost_items(calm, &batch).await;
        assert!(begun.elapsed() >= LEASE / 2, "a node that was alive a moment ago is not given up");
        waits.push(begun.elapsed());
        frozen.signal("CONT").await;
        calm.finished(&batch).await;
        assert!(lost > 0, "what ran on it is lost to it");
        frozen.until(&batch, "seen alike", |now| now["finished_at"].is_string()).await;
    }
    let figures = ledger.check(&nodes[1]).await;
    assert!(figures.lost_attempts >= u64::from(rounds), "history shows what was lost: {figures:?}");
    assert_eq!(figures.set_aside, 0);
    say("frozen beyond the lease", rounds, auditor.stop().await, figures, waits);
}

/// Waits until the node of that name says that most of its slots are taken. A batch counts an item as running from the
/// grant on, a node from when it has started.
async fn busy(server: &TestServer, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = server.get("/nodes").await.ok();
        let is_busy =
            |node: &Value| node["name"] == name && node["state"] == "up" && number(node, "busy") >= 4;
        if list["nodes"].as_array().unwrap().iter().any(is_busy) {
            return;
        }
        assert!(Instant::now() < deadline, "it takes up nothing: {list}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until items of the batch show a lost attempt; how many do.
async fn lost_items(server: &TestServer, batch: &Value) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = server.get(&format!("/batches/{}/items?limit=500", id(batch))).await.ok();
        let mut lost = 0;
        for row in page["items"].as_array().unwrap() {
            if row["state"] == "retrying" || number(row, "attempts") > 1 {
                lost += super::support::ledger::lost_attempts(server, batch, number(row, "seq")).await;
            }
        }
        if lost > 0 {
            return lost;
        }
        assert!(Instant::now() < deadline, "nothing is ever lost\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_restarted_under_load() {
    let Some(cluster) = Cluster::own() else { return };
    let Some(nodes) = two(Some(&cluster)).await else { return };
    let failing = plan(&nodes[0], ITEMS, FAIL_RATE).await;
    let mut random = StdRng::seed_from_u64(22);
    let (mut ledger, mut waits) = (Ledger::default(), Vec::new());
    let auditor = Auditor::start(&nodes[0]);
    let restarts = times(2);
    for restart in 0..restarts {
        load(&nodes[0], &mut ledger, &failing).await;
        load(&nodes[1], &mut ledger, &failing).await;
        auditor.watch(nodes.iter().map(|node| node.base.clone()).collect(), ledger.ids()).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(100..800))).await;
        let how = if restart % 2 == 0 { Stop::Immediate } else { Stop::Fast };
        tokio::task::block_in_place(|| cluster.restart(how));
        let wait = recovery(&nodes[0], &ledger).await;
        assert!(wait < Duration::from_secs(10), "work goes on within 10 s, not {wait:?}\n{}", nodes[0].log());
        waits.push(wait);
    }
    let figures = ledger.check(&nodes[1]).await;
    say("Postgres restarted", restarts, auditor.stop().await, figures, waits);
}

#[tokio::test]
async fn what_a_worker_does_is_live_on_a_web_node() {
    let Some(mut web) = TestServer::start_on(Cluster::shared(), &SETTINGS).await else { return };
    web.kill().await;
    web.become_role("web").await;
    let batch = web.demo(60, json!({"duration_ms": 100, "steps": 4})).await;
    let topic = format!("batch/{}", id(&batch));
    let mut live = LiveClient::connect(&web).await;
    live.subscribe(&topic, None).await;
    live.until(&topic, |known| known.snapshots > 0).await;
    let _worker = web.beside("worker", "worker").await;
    let key = batch["id"].to_string();
    let of = |known: &super::support::known_topic::KnownTopic, state: &str| {
        known.rows.get(&key).and_then(|row| row[state].as_u64()).unwrap_or(0)
    };
    live.until(&topic, |known| (1..60).contains(&of(known, "succeeded"))).await;
    let known = live.until(&topic, |known| of(known, "succeeded") == 60).await;
    assert!(known.updates >= 3, "it came bit by bit: {known:?}");
}

#[tokio::test]
async fn an_act_answered_by_one_node_is_obeyed_by_the_other() {
    let Some(nodes) = two(Cluster::shared()).await else { return };
    for act in ["pause", "cancel"] {
        let batch = nodes[0].demo(10_000, json!({"duration_ms": 50})).await;
        nodes[0].until(&batch, "running on both", |now| number(now, "running") > 8).await;
        nodes[1].post(&format!("/batches/{}/{act}", id(&batch))).await.ok();
        // No item starts later than 1 s after the answer: what has started by then takes 50 ms more.
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        let then = nodes[0].until(&batch, "still", |now| number(now, "running") == 0).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let later = nodes[1].get(&format!("/batches/{}", id(&batch))).await.ok();
        assert_eq!(number(&then, "succeeded"), number(&later, "succeeded"), "{act}: {later}");
        if act == "cancel" {
            nodes[1].finished(&batch).await;
        }
    }
}

#[tokio::test]
async fn bounds_of_a_batch_hold_over_all_nodes() {
    let Some(nodes) = two(Cluster::shared()).await else { return };
    let body = |options: Value, items: u64, duration_ms: u64| {
        json!({"task": "demo", "params": {"duration_ms": duration_ms}, "items": {"count": items},
            "options": options})
    };
    let narrow = nodes[0].post_json("/batches", &body(json!({"concurrency": 3}), 200, 20)).await.ok();
    let slow = nodes[1].post_json("/batches", &body(json!({"rate_per_s": 20}), 60, 0)).await.ok();
    let begun = Instant::now();
    let mut most = 0;
    let mut slowest = None;
    loop {
        let mut open = false;
        for (at, node) in nodes.iter().enumerate() {
            let now = node.get(&format!("/batches/{}", id(&narrow))).await.ok();
            most = most.max(number(&now, "running"));
            assert!(number(&now, "running") <= 3, "node {at}: {now}");
            let rated = node.get(&format!("/batches/{}", id(&slow))).await.ok();
            // A full bucket at the start, then 20 a second, and a little for the clocks.
            let allowed = 20.0 + 20.0 * begun.elapsed().as_secs_f64() + 3.0;
            #[expect(clippy::cast_precision_loss, reason = "60 items")]
            let ended = number(&rated, "succeeded") as f64;
            assert!(ended <= allowed, "{ended} of {allowed}: {rated}");
            open |= now["finished_at"].is_null() || rated["finished_at"].is_null();
            if rated["finished_at"].is_string() {
                slowest.get_or_insert_with(|| begun.elapsed());
            }
        }
        if !open {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(most >= 2, "both worked on it: {most}");
    assert!(slowest.is_some_and(|wait| wait >= Duration::from_millis(1_800)), "{slowest:?}");
}

#[tokio::test]
async fn a_drained_node_leaves_its_work_to_the_other() {
    let Some(mut nodes) = two(Cluster::shared()).await else { return };
    let mut ledger = Ledger::default();
    let batch = nodes[0].demo(300, json!({"duration_ms": 40})).await;
    ledger.add(batch.clone(), 300);
    nodes[0].until(&batch, "running on both", |now| number(now, "running") > 8).await;
    let list = nodes[0].get("/nodes").await.ok();
    let other =
        list["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "other").unwrap().clone();
    nodes[0].post(&format!("/nodes/{}/drain", other["id"].as_str().unwrap())).await.ok();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = nodes[0].get("/nodes").await.ok();
        let now = list["nodes"].as_array().unwrap().iter().find(|node| node["id"] == other["id"]).cloned();
        let is_out = now.as_ref().is_none_or(|node| node["state"] != "up" && number(node, "busy") == 0);
        if is_out {
            break;
        }
        assert!(Instant::now() < deadline, "it is not drained: {now:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let figures = ledger.check(&nodes[0]).await;
    assert_eq!(figures.lost_attempts, 0, "a drain spends nothing");
    nodes[1].signal("TERM").await;
    assert!(nodes[1].ended().await.success());
}

#[tokio::test]
async fn ten_items_start_soon_beside_a_million() {
    let Some(nodes) = two(Cluster::shared()).await else { return };
    let million = nodes[0].demo(1_000_000, json!({"duration_ms": 10})).await;
    nodes[1].until(&million, "well under way", |now| number(now, "succeeded") > 2_000).await;
    let ten = nodes[1].demo(10, json!({})).await;
    nodes[0].until(&ten, "started", |now| number(now, "pending") < 10).await;
    let beside = nodes[0].get(&format!("/batches/{}", id(&million))).await.ok();
    assert!(number(&beside, "pending") > 900_000, "the million goes on beside it: {beside}");
    nodes[0].finished(&ten).await;
    nodes[0].post(&format!("/batches/{}/cancel", id(&million))).await.ok();
    nodes[0].finished(&million).await;
}
