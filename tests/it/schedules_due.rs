//! When schedules are due: the clock of the server is set, and what is due is made once.
//!
//! Once for each time, on all nodes together, over kills and restarts; of what was missed one; in its window, and not
//! beside the last one; as its owner, if they still may.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::clock::Site;
use super::schedules::yearly;
use super::support::{PATIENCE, TestServer, id, send};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The time by the clock of this test, so many ms on.
fn in_ms(ms: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc() + time::Duration::milliseconds(ms)
}

/// A pattern that is due once a day, at the minute that is so many ms away.
fn daily_in(ms: i64) -> String {
    let at = in_ms(ms);
    format!("{} {} * * *", at.minute(), at.hour())
}

async fn make(server: &TestServer, body: &Value) -> Value {
    server.post_json("/schedules", body).await.ok()
}

async fn now(server: &TestServer, schedule: &Value) -> Value {
    server.get(&format!("/schedules/{}", id(schedule))).await.ok()
}

/// Waits until the schedule is as wanted.
async fn until(server: &TestServer, schedule: &Value, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = now(server, schedule).await;
        if so(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "never {what}: {now}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The batches that a schedule has made, newest first.
async fn made(server: &TestServer, schedule: &Value) -> Vec<Value> {
    let page = server.get("/batches?limit=500").await.ok();
    let batches = page["batches"].as_array().unwrap().iter();
    batches.filter(|batch| batch["schedule"] == schedule["id"]).cloned().collect()
}

fn is_due_at(schedule: &Value, due: &Value) -> bool {
    schedule["last_due_at"] == *due
}

async fn each_time_makes_one_batch(site: Site) {
    let Site { server, clock } = &site;
    let items = json!({"task": "demo", "items": ["a", "b"]});
    let schedule = make(server, &json!({"cron": daily_in(2 * HOUR_MS), "batch": items})).await;
    let paused = json!({"cron": daily_in(2 * HOUR_MS), "batch": items, "paused": true});
    let paused = make(server, &paused).await;
    let mut due = schedule["next_at"].clone();
    for day in 0..3 {
        clock.set(3 * HOUR_MS + day * DAY_MS);
        let after = until(server, &schedule, "made", |now| is_due_at(now, &due)).await;
        assert_ne!(after["next_at"], due);
        due = after["next_at"].clone();
        let batches = made(server, &schedule).await;
        assert_eq!(batches.len() as i64, day + 1);
        assert_eq!(after["last_batch"]["id"], batches[0]["id"]);
        assert_eq!(server.finished(&batches[0]).await["total"], 2);
    }
    // Ten days that nobody looked: one batch, for the last of them.
    clock.set(3 * HOUR_MS + 13 * DAY_MS);
    let after = until(server, &schedule, "made up for", |now| {
        now["last_due_at"] != schedule["last_due_at"] && now["next_at"] != due
    })
    .await;
    assert_eq!(made(server, &schedule).await.len(), 4, "{after}");
    // The clock was wrong: what is due next is due when the clock comes there, and not made again where it was made.
    clock.set(3 * HOUR_MS + 3 * DAY_MS);
    until(server, &schedule, "renewed", |now| now["next_at"].as_str() < after["next_at"].as_str()).await;
    assert_eq!(made(server, &schedule).await.len(), 4);
    assert_eq!(made(server, &paused).await.len(), 0);
    // A pause that is over makes nothing up.
    let path = format!("/schedules/{}", id(&paused));
    let resumed = server.post(&format!("{path}/resume")).await.ok();
    assert!(resumed["next_at"].as_str() > resumed["updated_at"].as_str(), "{resumed}");
    assert_eq!(made(server, &paused).await.len(), 0);
}

async fn a_window_makes_runs_wait(site: Site) {
    let Site { server, clock } = &site;
    let time = |ms| {
        let at = in_ms(ms);
        format!("{:02}:{:02}", at.hour(), at.minute())
    };
    let window = json!({"from": time(6 * HOUR_MS), "until": time(8 * HOUR_MS)});
    let body = json!({"cron": daily_in(2 * HOUR_MS), "window": window,
        "batch": {"task": "demo", "items": {"count": 1}}});
    let schedule = make(server, &body).await;
    clock.set(3 * HOUR_MS);
    let due = schedule["next_at"].clone();
    until(server, &schedule, "waiting", |now| now["waiting_for"] == due).await;
    assert_eq!(made(server, &schedule).await.len(), 0);
    clock.set(7 * HOUR_MS);
    let after = until(server, &schedule, "made", |now| is_due_at(now, &due)).await;
    assert_eq!(after["waiting_for"], Value::Null);
    assert_eq!(made(server, &schedule).await.len(), 1);
}

async fn what_still_runs_is_waited_for_or_not(site: Site) {
    let Site { server, clock } = &site;
    let body = |overlap: &str| {
        json!({"cron": daily_in(2 * HOUR_MS), "overlap": overlap,
            "batch": {"task": "demo", "items": {"count": 3}}})
    };
    let (skips, queues) = (make(server, &body("skip")).await, make(server, &body("queue")).await);
    let due = skips["next_at"].clone();
    for schedule in [&skips, &queues] {
        // Held back from the start, so that it does not finish.
        let slow =
            json!({"batch": {"task": "demo", "params": {"duration_ms": 600_000}, "items": {"count": 3}}});
        let path = format!("/schedules/{}", id(schedule));
        send(server.request(Method::PATCH, &path).json(&slow)).await.ok();
    }
    clock.set(3 * HOUR_MS);
    for schedule in [&skips, &queues] {
        until(server, schedule, "made", |now| is_due_at(now, &due)).await;
    }
    clock.set(3 * HOUR_MS + DAY_MS);
    let left_out = until(server, &skips, "left out", |now| now["last_error"].is_string()).await;
    let number = left_out["last_batch"]["number"].to_string();
    assert!(left_out["last_error"].as_str().unwrap().contains(&format!("batch #{number}")), "{left_out}");
    assert!(left_out["last_error_at"].is_string() && left_out["waiting_for"].is_null(), "{left_out}");
    let waits = until(server, &queues, "waiting", |now| now["waiting_for"].is_string()).await;
    assert_eq!(waits["last_due_at"], due);
    // Two that wait are one, the newer.
    clock.set(3 * HOUR_MS + 2 * DAY_MS);
    let newer =
        until(server, &queues, "newer", |now| now["waiting_for"].as_str() > waits["waiting_for"].as_str())
            .await;
    for schedule in [&skips, &queues] {
        assert_eq!(made(server, schedule).await.len(), 1);
        let running = &made(server, schedule).await[0];
        server.post(&format!("/batches/{}/cancel", id(running))).await.ok();
    }
    until(server, &queues, "made", |now| is_due_at(now, &newer["waiting_for"])).await;
    assert_eq!(made(server, &queues).await.len(), 2);
    clock.set(3 * HOUR_MS + 3 * DAY_MS);
    let again = until(server, &skips, "made", |now| now["last_error"].is_null()).await;
    assert_eq!(made(server, &skips).await.len(), 2, "{again}");
}

async fn an_owner_who_may_no_longer(site: Site) {
    let Site { server, clock } = &site;
    server.add_person("bob", "operator").await;
    let cookie = server.sign_in("bob").await;
    let bob = server.make_token("bobs", "operator").await;
    let body = json!({"cron": daily_in(2 * HOUR_MS), "batch": {"task": "demo", "items": {"count": 1}}});
    let by_login = server.client.post(server.url("/schedules")).header("cookie", &cookie);
    let person = send(by_login.header("origin", &server.base).json(&body)).await.ok();
    let token = send(server.client.post(server.url("/schedules")).bearer_auth(&bob).json(&body)).await.ok();
    assert_eq!((&person["owner"], &token["owner"]), (&json!("bob"), &json!("token:bobs")));
    clock.set(3 * HOUR_MS);
    for schedule in [&person, &token] {
        until(server, schedule, "made", |now| now["last_due_at"].is_string()).await;
        assert_eq!(made(server, schedule).await[0]["owner"], schedule["owner"]);
    }
    assert!(server.runs(&["user", "disable", "bob", "--data", "data"], &[]).await);
    assert!(server.runs(&["token", "revoke", "bobs", "--data", "data"], &[]).await);
    clock.set(3 * HOUR_MS + DAY_MS);
    for schedule in [&person, &token] {
        let refused = until(server, schedule, "refused", |now| now["last_error"].is_string()).await;
        let owner = schedule["owner"].as_str().unwrap();
        assert!(refused["last_error"].as_str().unwrap().contains(owner), "{refused}");
        assert_eq!(refused["waiting_for"], Value::Null);
        assert!(refused["next_at"].as_str() > refused["last_error_at"].as_str(), "{refused}");
        assert_eq!(made(server, schedule).await.len(), 1);
    }
}

/// Makes a schedule due while its node is killed between the batch and the schedule's row, and before and after the commit
/// of both.
async fn a_kill_makes_no_second_batch(mut site: Site) {
    if !cfg!(feature = "failpoints") {
        return;
    }
    let body = json!({"cron": daily_in(2 * HOUR_MS), "batch": {"task": "demo", "items": ["a", "b", "c"]}});
    let schedule = make(&site.server, &body).await;
    let mut due = schedule["next_at"].clone();
    for (day, point) in ["schedule.between", "commit.before", "commit.after"].into_iter().enumerate() {
        site.server.kill().await;
        site.clock.set(3 * HOUR_MS + day as i64 * DAY_MS);
        // Others commit too: which commit it is that is cut off differs, and one of them is the one that counts.
        for before in 0..if point == "schedule.between" { 1 } else { 8 } {
            let wish = format!("{point}={before}*off->return(abort)");
            // It may end before it listens.
            let _listens = site.server.spawn_with(&[("FAILPOINTS", &wish)]).await;
            let deadline = Instant::now() + PATIENCE;
            let path = format!("/schedules/{}", id(&schedule));
            while !site.server.has_ended() {
                let found = site.server.try_get(&path).await;
                if found.is_some_and(|found| is_due_at(&found, &due)) {
                    break;
                }
                assert!(Instant::now() < deadline, "neither made nor ended\n{}", site.server.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if point == "schedule.between" {
                assert!(site.server.has_ended(), "it came there\n{}", site.server.log());
            }
            site.server.kill().await;
        }
        site.server.spawn().await;
        let after = until(&site.server, &schedule, "made", |now| is_due_at(now, &due)).await;
        let batches = made(&site.server, &schedule).await;
        assert_eq!(batches.len(), day + 1, "{point}: {after}");
        assert_eq!(after["last_batch"]["id"], batches[0]["id"]);
        assert_eq!(site.server.finished(&batches[0]).await["succeeded"], 3);
        due = after["next_at"].clone();
    }
}

#[tokio::test]
async fn two_nodes_make_one_batch() {
    let Some(site) = Site::on_postgres().await else { return };
    let Site { server, clock } = &site;
    let other = server.beside("other", "web").await;
    let mut schedules = Vec::new();
    for at in 0..20 {
        let items: Vec<u32> = (0..200).collect();
        let body = json!({"name": format!("s{at}"), "cron": daily_in(2 * HOUR_MS),
            "batch": {"task": "demo", "items": items}});
        schedules.push(make(server, &body).await);
    }
    for day in 0..4 {
        clock.set(3 * HOUR_MS + day * DAY_MS);
        for schedule in &schedules {
            let count = usize::try_from(day).unwrap() + 1;
            let deadline = Instant::now() + PATIENCE;
            while made(server, schedule).await.len() < count {
                assert!(Instant::now() < deadline, "{}\n{}", server.log(), other.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    for schedule in &schedules {
        assert_eq!(made(server, schedule).await.len(), 4);
        for batch in made(server, schedule).await {
            assert_eq!(server.finished(&batch).await["succeeded"], 200);
        }
    }
    let by = |node: &TestServer| node.log().matches("made the batch of a schedule").count();
    assert_eq!(by(server) + by(&other), 80, "each by one of them");
    println!("made by the one: {}, by the other: {}", by(server), by(&other));
}

#[tokio::test]
async fn a_schedule_that_is_due_soon_is_made_by_the_real_clock() {
    let server = TestServer::start().await;
    let body = json!({"cron": "* * * * *", "batch": {"task": "demo", "items": {"count": 1}}});
    let schedule = make(&server, &body).await;
    let deadline = Instant::now() + Duration::from_secs(120);
    let first = loop {
        if let [batch] = made(&server, &schedule).await.as_slice() {
            break batch.clone();
        }
        assert!(Instant::now() < deadline, "never made\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let after = now(&server, &schedule).await;
    assert_eq!(after["last_due_at"], schedule["next_at"]);
    assert!(first["created_at"].as_str() >= schedule["next_at"].as_str(), "not sooner: {first}");
    // Beside it one that is not due.
    let quiet = make(&server, &yearly(&json!({"task": "demo", "items": {"count": 1}}))).await;
    assert!(made(&server, &quiet).await.is_empty());
}

/// `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name(super::Site::on_sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                let Some(site) = super::Site::on_postgres().await else { return };
                super::$name(site).await;
            }
        })*
    };
}

on_both! {
    each_time_makes_one_batch,
    a_window_makes_runs_wait,
    what_still_runs_is_waited_for_or_not,
    an_owner_who_may_no_longer,
    a_kill_makes_no_second_batch,
}
