//! Open batches that end by themselves when nothing is added to them.
//!
//! A page that was left in mid-upload leaves no batch behind that waits for ever.

use serde_json::json;

use super::support::{TestServer, id, number};

#[tokio::test]
async fn an_open_batch_that_nothing_is_added_to_ends_with_the_reason() {
    let server = TestServer::start().await;
    let body = json!({"task": "demo", "items": ["a"], "options": {"open": true, "idle_seconds": 1}});
    let batch = server.post_json("/batches", &body).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!((&done["state"], &done["sealed"]), (&json!("cancelled"), &json!(true)), "{done}");
    assert_eq!(done["reason"], "nothing was added for 1 s, and it was not sealed");
    assert_eq!(number(&done, "total"), 1, "what came stays: {done}");
    let more = server
        .post_json(&format!("/batches/{}/items?first_seq=2", id(&batch)), &json!({"items": ["b"]}))
        .await;
    more.problem(409, "wrong_state");
}

#[tokio::test]
async fn a_batch_that_was_sealed_in_time_ends_as_its_items_do() {
    let server = TestServer::start().await;
    let open = json!({"open": true, "idle_seconds": 1});
    let body = json!({"task": "demo", "params": {"duration_ms": 3_000}, "items": ["a"], "options": open});
    let batch = server.post_json("/batches", &body).await.ok();
    server.post(&format!("/batches/{}/seal", id(&batch))).await.ok();
    let done = server.finished(&batch).await;
    assert_eq!((&done["state"], &done["reason"]), (&json!("succeeded"), &json!(null)), "{done}");
}

#[tokio::test]
async fn the_limit_is_for_open_batches_and_has_bounds() {
    let server = TestServer::start().await;
    for options in [json!({"idle_seconds": 5}), json!({"open": true, "idle_seconds": 0})] {
        let body = json!({"task": "demo", "items": ["a"], "options": options});
        let problem = server.post_json("/batches", &body).await.problem(422, "invalid");
        assert!(problem["detail"].as_str().unwrap().contains("idle_seconds"), "{problem}");
    }
}
