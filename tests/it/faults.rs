//! The process ends at every place where it may hurt, answers are lost, and the disk is slow.
//!
//! What was answered is there, what was not is there wholly or not at all, every item ends once.

use std::time::{Duration, Instant};

use milepost::fault::Point;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::api_forms::png;
use super::cluster::Cluster;
use super::support::ledger::{Ledger, Plan, plan};
use super::support::{PATIENCE, TestServer, id, send, times};

/// Items of each batch of numbers.
const ITEMS: u64 = 300;
/// Failed items of a batch whose retry takes more than one step.
const STEPPED_ITEMS: u64 = 11_000;
/// Part of them that fails by plan.
const FAIL_RATE: f64 = 0.05;
/// Settings under which a lost node is missed soon.
const SETTINGS: [(&str, &str); 3] = [
    ("MILEPOST_ENGINE_LEASE_SECONDS", "5"),
    ("MILEPOST_ENGINE_RECLAIM_SECONDS", "1"),
    ("MILEPOST_ENGINE_DRAIN_SECONDS", "2"),
];

/// Submits `body` with a key of its own; again and again where nobody answers, with the same key.
struct Order {
    key: String,
    body: Value,
    plan: Plan,
}

impl Order {
    /// Asks once; the batch, where it was answered.
    async fn ask(&self, server: &TestServer) -> Option<Value> {
        let request = server.request(Method::POST, "/batches").header("idempotency-key", &self.key);
        let response = request.json(&self.body).send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        assert!(status.is_success() || status.is_server_error() || status == 409, "{status}: {text}");
        if status.is_success() { serde_json::from_str(&text).ok() } else { None }
    }
}

/// What is to be done in one life: numbers, some of which fail; lines; numbers that take a while.
fn orders(name: &str, failing: &Plan) -> Vec<Order> {
    let plain = |items| Plan { items, ..Plan::default() };
    let lines: Vec<String> = (1..=50).map(|at| format!("{name} {at}")).collect();
    let bodies = [
        (
            json!({"task": "demo", "params": {"fail_rate": FAIL_RATE}, "items": {"count": ITEMS},
                "options": {"attempts_max": 40, "retry_base_ms": 1, "retry_max_ms": 5}}),
            failing.clone(),
        ),
        (json!({"task": "demo", "params": {"duration_ms": 1}, "items": lines}), plain(50)),
        (json!({"task": "demo", "params": {"duration_ms": 5}, "items": {"count": 200}}), plain(200)),
    ];
    let order = |(at, (body, plan))| Order { key: format!("{name}-{at}"), body, plan };
    bodies.into_iter().enumerate().map(order).collect()
}

/// A day's work: orders, pictures, and the removal of older pictures. Stops caring where the server has gone.
async fn live(server: &mut TestServer, orders: &[Order], name: &str) {
    for order in orders {
        let _answered_or_not = order.ask(server).await;
    }
    let form = Form::new()
        .text("task", "image")
        .text("params", r#"{"width":8,"format":"png"}"#)
        .text("name", format!("pictures {name}"))
        .part("file", Part::bytes(png(16, 16)).file_name("one.png"))
        .part("file", Part::bytes(png(16, 8)).file_name("two.png"));
    let Ok(response) = server.request(Method::POST, "/batches").multipart(form).send().await else { return };
    let Ok(text) = response.text().await else { return };
    let Ok(batch) = serde_json::from_str::<Value>(&text) else { return };
    let path = format!("/batches/{}", batch["id"].as_str().unwrap_or("none"));
    let deadline = Instant::now() + PATIENCE;
    while !server.has_ended() && Instant::now() < deadline {
        match server.try_get(&path).await {
            Some(now) if now["finished_at"].is_string() => break,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    let _gone = server.request(Method::DELETE, &path).send().await;
}

/// Ends one life at `point`, after it was passed `before` times.
async fn end_at(server: &mut TestServer, point: Point, before: u32, orders: &[Order]) {
    let name = point.name();
    let told = server.log().matches(&format!("fault at {name}")).count();
    let points = format!("{name}={before}*off->return(abort)");
    let points = if before == 0 { format!("{name}=return(abort)") } else { points };
    if point == Point::ReclaimBetween {
        // A life that ends with work in hand of more than one batch.
        server.spawn().await;
        let slow = json!({"duration_ms": 30});
        for _batch in 0..2 {
            server.demo(40, slow.clone()).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.kill().await;
    }
    let mut failed = None;
    if point == Point::ActBetween {
        server.spawn().await;
        let body = json!({"task": "demo", "params": {"fail_rate": 1}, "items": {"count": STEPPED_ITEMS},
            "options": {"attempts_max": 1}});
        let batch = server.post_json("/batches", &body).await.ok();
        server.finished(&batch).await;
        failed = Some(batch);
        server.kill().await;
    }
    if server.spawn_with(&[("FAILPOINTS", &points)]).await {
        if let Some(failed) = failed {
            let path = format!("/batches/{}/retry", id(&failed));
            let _answered_or_not = server.request(Method::POST, &path).send().await;
        }
        live(server, orders, name).await;
        if point == Point::Draining {
            server.signal("TERM").await;
        }
        let deadline = Instant::now() + PATIENCE;
        while !server.has_ended() {
            assert!(Instant::now() < deadline, "{name} was never come by\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    server.ended().await;
    let now = server.log().matches(&format!("fault at {name}")).count();
    assert!(now > told, "it ended, but not at {name}\n{}", server.log());
}

/// Goes through all places that a running server comes by.
async fn ends_everywhere(mut server: TestServer, seed: u64) {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let failing = plan(&server, ITEMS, FAIL_RATE).await;
    server.kill().await;
    // The one is passed before a server runs, the other by who looks at items: nothing is lost there. The third has a test
    // of its own.
    let others = [Point::MigrationBetween, Point::WindowRead, Point::ScheduleBetween];
    for point in Point::ALL.into_iter().filter(|point| !others.contains(point)) {
        let rounds = match point {
            Point::CommitBefore | Point::CommitAfter => 2,
            _ => 1,
        };
        for round in 0..times(rounds) {
            let before = match point {
                Point::CommitBefore | Point::CommitAfter => random.random_range(0..25),
                Point::ItemEnded => random.random_range(0..250),
                Point::ClaimCommitted | Point::RecordCommitted => random.random_range(0..4),
                _ => 0,
            };
            let name = format!("{}-{round}", point.name());
            println!("{name} after {before}");
            let orders = orders(&name, &failing);
            end_at(&mut server, point, before, &orders).await;
            server.spawn().await;
            let mut ledger = Ledger::default();
            for order in &orders {
                ledger.add_planned(again(&server, order).await, order.plan.clone());
            }
            ledger.check(&server).await;
            server.kill().await;
        }
    }
    server.spawn().await;
    all_end(&server).await;
}

/// Asks until it is answered: the same key never makes a second batch.
async fn again(server: &TestServer, order: &Order) -> Value {
    let deadline = Instant::now() + PATIENCE;
    let batch = loop {
        if let Some(batch) = order.ask(server).await {
            break batch;
        }
        assert!(Instant::now() < deadline, "{} is never answered\n{}", order.key, server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let same = order.ask(server).await.expect("an answer is kept");
    assert_eq!(id(&same), id(&batch));
    batch
}

/// Also what nobody waited for ends: batches whose answer was lost.
async fn all_end(server: &TestServer) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = server.get("/batches?limit=500").await.ok();
        let open: Vec<&Value> = page["batches"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|batch| batch["finished_at"].is_null())
            .collect();
        if open.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "stuck: {open:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Answers are lost, places are slow: the process lives on, and so does the work.
async fn goes_on_with_errors(mut server: TestServer, seed: u64) {
    let failing = plan(&server, ITEMS, FAIL_RATE).await;
    server.kill().await;
    let wishes = [
        "commit.before=15%return(error)",
        "commit.after=15%return(error)",
        "commit.before=20%sleep(30);commit.after=20%sleep(30)",
        "file.kept=30%return(error);file.adopted=30%return(error)",
    ];
    for (at, wishes) in wishes.into_iter().enumerate() {
        println!("seed {seed}: {wishes}");
        // The start itself may meet what it is to meet later.
        while !server.spawn_with(&[("FAILPOINTS", wishes)]).await {
            server.ended().await;
        }
        let orders = orders(&format!("wish-{at}"), &failing);
        live(&mut server, &orders, "wish").await;
        let mut ledger = Ledger::default();
        for order in &orders {
            // Asked without a key: what was done without an answer is done once more.
            let deadline = Instant::now() + PATIENCE;
            let batch = loop {
                let reply = send(server.request(Method::POST, "/batches").json(&order.body)).await;
                if reply.status.is_success() {
                    break reply.json();
                }
                assert!(Instant::now() < deadline, "{reply:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            ledger.add_planned(batch, order.plan.clone());
        }
        ledger.check(&server).await;
        assert!(!server.has_ended(), "{}", server.log());
        server.kill().await;
    }
}

#[tokio::test]
async fn it_ends_anywhere_and_nothing_is_lost_on_sqlite() {
    ends_everywhere(TestServer::start_with(&SETTINGS).await, 11).await;
}

#[tokio::test]
async fn it_ends_anywhere_and_nothing_is_lost_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &SETTINGS).await else { return };
    ends_everywhere(server, 12).await;
}

#[tokio::test]
async fn answers_that_get_lost_change_nothing_on_sqlite() {
    goes_on_with_errors(TestServer::start_with(&SETTINGS).await, 13).await;
}

#[tokio::test]
async fn answers_that_get_lost_change_nothing_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &SETTINGS).await else { return };
    goes_on_with_errors(server, 14).await;
}

#[tokio::test]
async fn a_migration_that_is_cut_off_begins_again() {
    let server = TestServer::bare(&[]);
    let mut random = StdRng::seed_from_u64(15);
    let mut before = 0;
    loop {
        let points = format!("migration.between={before}*off->return(abort)");
        let points = if before == 0 { "migration.between=return(abort)".to_owned() } else { points };
        if server.runs(&["migrate", "--data", "data"], &[("FAILPOINTS", &points)]).await {
            break;
        }
        before += random.random_range(1..8);
    }
    assert!(before > 8, "every step was cut off somewhere");
    assert!(server.runs(&["migrate", "--data", "data"], &[]).await);
}
