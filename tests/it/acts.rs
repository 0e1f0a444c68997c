//! Acts over many items, budgets, start times and follow-up batches, asked over the API.
//!
//! What an act began is finished, once, whatever is killed meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{TestServer, assert_sums, id, number};

async fn submit(server: &TestServer, count: u64, params: Value, options: Value) -> Value {
    let body = json!({"task": "demo", "params": params, "options": options, "items": {"count": count}});
    server.post_json("/batches", &body).await.ok()
}

#[tokio::test]
async fn a_cancel_says_what_becomes_of_running_items() {
    let server = TestServer::start().await;
    let batch = submit(&server, 100, json!({"duration_ms": 800}), json!({})).await;
    let cancel = format!("/batches/{}/cancel", id(&batch));
    for (body, status, code) in [
        (r#"{"running":"slowly"}"#, 422, "invalid"),
        (r#"{"runing":"stop"}"#, 422, "invalid"),
        (r#"["finish"]"#, 422, "invalid"),
        ("{", 400, "malformed"),
    ] {
        server.post_body(&cancel, "application/json", body).await.problem(status, code);
    }
    server.until(&batch, "runs", |batch| number(batch, "running") == 8).await;
    let answer = server.post_json(&cancel, &json!({"running": "finish"})).await.ok();
    assert_eq!(answer["state"], "cancelling");
    let ended = server.finished(&batch).await;
    assert_eq!(
        (ended["state"].as_str(), number(&ended, "succeeded"), number(&ended, "cancelled")),
        (Some("cancelled"), 8, 92)
    );
    assert_eq!(server.post(&cancel).await.ok()["rev"], ended["rev"], "so already");
    let hastened = submit(&server, 100, json!({"duration_ms": 60_000}), json!({})).await;
    server.until(&hastened, "runs", |batch| number(batch, "running") == 8).await;
    let cancel = format!("/batches/{}/cancel", id(&hastened));
    server.post_json(&cancel, &json!({"running": "finish"})).await.ok();
    server.post_json(&cancel, &json!({})).await.ok();
    assert_eq!(number(&server.finished(&hastened).await, "cancelled"), 100);
}

#[tokio::test]
async fn a_retry_in_steps_survives_every_kill() {
    let mut server = TestServer::start().await;
    let count = 30_000;
    let batch = submit(&server, count, json!({"fail_rate": 1}), json!({"attempts_max": 1})).await;
    assert_eq!(number(&server.finished(&batch).await, "failed"), count);
    let retry = format!("/batches/{}/retry", id(&batch));
    let answer = server.post(&retry).await.ok();
    assert!(number(&answer, "failed") >= count - 10_000, "the first step is bounded: {answer}");
    for _kill in 0..4 {
        server.kill().await;
        server.spawn().await;
        let now = server.get(&format!("/batches/{}", id(&batch))).await.ok();
        assert_sums(&now);
    }
    let ended = server.finished(&batch).await;
    assert_eq!(number(&ended, "failed"), count);
    for seq in [1, 9_999, 10_001, 20_001, count] {
        let item = server.get(&format!("/batches/{}/items/{seq}", id(&batch))).await.ok();
        let generations: Vec<u64> = item["history"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|attempt| attempt["outcome"] != "released")
            .map(|attempt| attempt["generation"].as_u64().unwrap())
            .collect();
        assert_eq!(generations, [1, 2], "item {seq} ran again once: {item}");
    }
    server.delete(&format!("/batches/{}", id(&batch))).await;
}

#[tokio::test]
async fn a_follow_up_comes_once_however_often_the_server_is_killed() {
    let mut server = TestServer::start().await;
    let then = json!({"task": "demo", "name": "next", "items": ["a", "b"], "on": "finished"});
    let mut parents = Vec::new();
    for round in 0..6_u64 {
        let params = json!({"duration_ms": 1, "fail_rate": 0.1});
        parents.push(submit(&server, 20, params, json!({"then": then, "attempts_max": 1})).await);
        tokio::time::sleep(Duration::from_millis(30 * round)).await;
        server.kill().await;
        server.spawn().await;
    }
    for parent in &parents {
        server.finished(parent).await;
    }
    let next = async || {
        let list = server.get("/batches?q=next&limit=500").await.ok();
        list["batches"].as_array().unwrap().clone()
    };
    let mut made = next().await;
    for _look in 0..200 {
        if made.len() >= parents.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        made = next().await;
    }
    for batch in &made {
        let ended = server.finished(batch).await;
        assert_eq!((number(&ended, "total"), ended["sealed"].as_bool()), (2, Some(true)));
    }
    assert_eq!(next().await.len(), parents.len());
}

#[tokio::test]
async fn follow_ups_are_checked_at_the_submit() {
    let server = TestServer::start().await;
    let refused = async |then: Value, status: u16, code: &str| {
        let body = json!({"task": "demo", "options": {"then": then}, "items": ["a"]});
        server.post_json("/batches", &body).await.problem(status, code);
    };
    refused(json!({"task": "nothing", "items": ["a"]}), 422, "unknown_task").await;
    refused(json!({"task": "demo", "items": []}), 422, "no_items").await;
    refused(json!({"task": "demo", "itmes": ["a"]}), 422, "invalid").await;
    refused(json!({"task": "demo", "items": ["a"], "on": "cancelled"}), 422, "invalid").await;
    refused(json!({"task": "checksum", "items": ["a"]}), 422, "invalid").await;
    refused(json!({"task": "demo", "params": {"steps": "x"}, "items": ["a"]}), 422, "invalid").await;
    refused(json!({"task": "demo", "items": ["a".repeat(70_000)]}), 413, "too_large").await;
    let list = server.get("/batches").await.ok();
    assert_eq!(list["batches"], json!([]), "what is refused leaves nothing behind");
}

#[tokio::test]
async fn budgets_and_start_times_are_kept() {
    let server = TestServer::start().await;
    let options = json!({"attempts_max": 1, "budget": {"failed_in_a_row": 5}, "concurrency": 1});
    let batch = submit(&server, 500, json!({"fail_rate": 1, "duration_ms": 2}), options).await;
    let paused = server.until(&batch, "pauses", |batch| batch["state"] == "paused").await;
    assert_eq!(paused["reason"], "budget");
    assert!(number(&paused, "failed") >= 5);
    server.post(&format!("/batches/{}/resume", id(&batch))).await.ok();
    let before = number(&paused, "failed");
    let again = server
        .until(&batch, "pauses again", |batch| {
            batch["state"] == "paused" && number(batch, "failed") >= before + 5
        })
        .await;
    assert!(number(&again, "failed") < 500, "{again}");
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    server.finished(&batch).await;
    let later = json!({"start_at": "2999-01-01T00:00:00Z"});
    let batch = submit(&server, 2, json!({}), later).await;
    assert_eq!(batch["state"], "scheduled");
    let act = |name: &str| format!("/batches/{}/{name}", id(&batch));
    assert_eq!(server.post(&act("pause")).await.ok()["state"], "paused");
    assert_eq!(server.post(&act("resume")).await.ok()["state"], "scheduled");
    assert_eq!(server.post(&act("retry")).await.ok()["state"], "scheduled");
    server.post(&act("resume")).await.problem(409, "wrong_state");
    assert_eq!(server.post(&act("cancel")).await.ok()["state"], "cancelled");
    let past = submit(&server, 2, json!({}), json!({"start_at": "2001-01-01T00:00:00Z"})).await;
    assert_eq!(server.finished(&past).await["state"], "succeeded");
}
