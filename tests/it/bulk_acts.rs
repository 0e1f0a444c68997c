//! Acts over many batches, asked over the API: how far one has come, what was left and why, who may, and that a kill changes
//! nothing of it.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{TestServer, id, number};

/// The act once it has ended.
async fn ended(server: &TestServer, act: &Value) -> Value {
    let path = format!("/acts/{}", id(act));
    for _look in 0..600 {
        let now = server.get(&path).await.ok();
        if now["state"] != "running" {
            return now;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} goes on and on");
}

async fn begin(server: &TestServer, act: &str, batches: &[&Value]) -> Value {
    let ids: Vec<&str> = batches.iter().map(|batch| id(batch)).collect();
    let reply = server.post_json("/acts", &json!({"act": act, "batches": ids})).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let act = reply.json();
    assert_eq!(reply.header("location"), format!("/api/v1/acts/{}", id(&act)));
    act
}

async fn acts_go_to_all_that_they_name(server: TestServer) {
    let waits = json!({"duration_ms": 60_000});
    let (first, second) = (server.demo(3, waits.clone()).await, server.demo(3, waits).await);
    let done = server.finished(&server.demo(2, json!({})).await).await;
    let paused = ended(&server, &begin(&server, "pause", &[&first, &second, &done]).await).await;
    assert_eq!((number(&paused, "done"), number(&paused, "refused")), (2, 1));
    assert_eq!(paused["refusals"], json!([{"reason": "ended", "count": 1, "first": id(&done)}]));
    assert_eq!((&paused["act"], &paused["state"]), (&json!("pause"), &json!("done")));
    for batch in [&first, &second] {
        assert_eq!(server.get(&format!("/batches/{}", id(batch))).await.ok()["state"], "paused");
    }
    let cancelled = ended(&server, &begin(&server, "cancel", &[&first, &second, &first]).await).await;
    assert_eq!((number(&cancelled, "total"), number(&cancelled, "done")), (2, 2));
    for batch in [&first, &second] {
        assert_eq!(server.finished(batch).await["state"], "cancelled");
    }
    let aborted = server.post(&format!("/acts/{}/abort", id(&cancelled))).await.ok();
    assert_eq!(aborted, cancelled, "it has ended");
    ended(&server, &begin(&server, "delete", &[&first, &second, &done]).await).await;
    server.get(&format!("/batches/{}", id(&done))).await.problem(404, "not_found");

    let list = server.get("/acts?limit=2").await.ok();
    let acts: Vec<&Value> = list["acts"].as_array().unwrap().iter().map(|act| &act["act"]).collect();
    assert_eq!(acts, ["delete", "cancel"]);
    let rest = server.get(&format!("/acts?limit=2&cursor={}", list["next"].as_str().unwrap())).await.ok();
    assert_eq!((rest["acts"][0]["act"].as_str(), &rest["next"]), (Some("pause"), &Value::Null));
    assert_eq!(server.get("/acts?state=running").await.ok()["acts"], json!([]));
}

#[tokio::test]
async fn an_act_goes_to_all_that_it_names() {
    acts_go_to_all_that_they_name(TestServer::start().await).await;
}

#[tokio::test]
async fn an_act_goes_to_all_that_it_names_on_postgres_too() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await else { return };
    acts_go_to_all_that_they_name(server).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let server = TestServer::start().await;
    let none = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
    for (body, status, code) in [
        (json!({"act": "cancel", "batches": []}), 422, "invalid"),
        (json!({"act": "burn", "batches": [none]}), 422, "invalid"),
        (json!({"act": "cancel"}), 422, "invalid"),
        (json!({"act": "cancel", "batches": [none], "running": "stop"}), 422, "invalid"),
    ] {
        server.post_json("/acts", &body).await.problem(status, code);
    }
    server.post("/acts").await.problem(400, "malformed");
    let many: Vec<String> =
        (0..1_001_u32).map(|at| format!("0198a7b0-1c2d-7e3f-8a4b-5c6d{at:08x}")).collect();
    server.post_json("/acts", &json!({"act": "cancel", "batches": many})).await.problem(413, "too_large");
    for path in [format!("/acts/{none}"), format!("/acts/{none}/abort")] {
        let reply = if path.ends_with("abort") { server.post(&path).await } else { server.get(&path).await };
        reply.problem(404, "not_found");
    }
    server.get("/acts/x").await.problem(400, "malformed");
    server.get("/acts?state=dead").await.problem(400, "malformed");
    // Nothing of it is there: it has ended when it is answered.
    let act = server.post_json("/acts", &json!({"act": "delete", "batches": [none]})).await.json();
    assert_eq!((&act["state"], &act["refusals"][0]["reason"]), (&json!("done"), &json!("not_found")));
}

#[tokio::test]
async fn who_may_is_asked_of_each_batch() {
    let mut server = TestServer::start().await;
    let theirs = server.demo(2, json!({"duration_ms": 60_000})).await;
    let admin = server.token.clone();
    server.token = server.make_token("bo", "operator").await;
    let own = server.demo(2, json!({"duration_ms": 60_000})).await;
    let act = ended(&server, &begin(&server, "cancel", &[&theirs, &own]).await).await;
    assert_eq!(act["refusals"], json!([{"reason": "not_allowed", "count": 1, "first": id(&theirs)}]));
    assert_eq!(server.finished(&own).await["state"], "cancelled");
    server.token = server.make_token("eve", "operator").await;
    server.get(&format!("/acts/{}", id(&act))).await.problem(404, "not_found");
    assert_eq!(server.get("/acts").await.ok()["acts"], json!([]));
    server.token = server.make_token("vi", "viewer").await;
    server.get("/acts").await.problem(403, "not_allowed");
    let body = json!({"act": "cancel", "batches": [id(&theirs)]});
    server.post_json("/acts", &body).await.problem(403, "not_allowed");
    server.token = admin;
    let left = server.get(&format!("/batches/{}", id(&theirs))).await.ok();
    assert_ne!(left["state"], "cancelled", "{left}");
    server.post(&format!("/batches/{}/cancel", id(&theirs))).await.ok();
}

#[tokio::test]
async fn a_retry_over_many_survives_every_kill() {
    const BATCHES: usize = 60;
    let mut server = TestServer::start().await;
    let mut batches = Vec::new();
    for _ in 0..BATCHES {
        let body = json!({"task": "demo", "params": {"fail_rate": 1}, "options": {"attempts_max": 1}, "items": {"count": 2}});
        batches.push(server.post_json("/batches", &body).await.ok());
    }
    for batch in &batches {
        server.finished(batch).await;
    }
    let act = begin(&server, "retry", &batches.iter().collect::<Vec<_>>()).await;
    for _kill in 0..4 {
        server.kill().await;
        server.spawn().await;
    }
    let act = ended(&server, &act).await;
    assert_eq!((number(&act, "done"), number(&act, "refused")), (BATCHES as u64, 0));
    for batch in &batches {
        server.until(batch, "has run again", |batch| !batch["finished_at"].is_null()).await;
        let item = server.get(&format!("/batches/{}/items/2", id(batch))).await.ok();
        let generations: Vec<&Value> = item["history"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|attempt| attempt["outcome"] != "released")
            .map(|attempt| &attempt["generation"])
            .collect();
        assert_eq!(generations, [1, 2], "{item}");
    }
}
