//! Uploads that stop on the way: what came is run, and the batch says so.
//!
//! A batch says by `options.expected` that it is an upload with an end. One without it may wait for more for as long as it likes.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{TestServer, id, number};

const SECONDS: &str = "MILEPOST_LIMITS_UPLOAD_IDLE_SECONDS";

async fn open(server: &TestServer, items: Value, options: Value) -> Value {
    let body = json!({"task": "demo", "items": items, "options": options});
    server.post_json("/batches", &body).await.ok()
}

async fn stops(server: &TestServer) {
    let forever = open(server, json!(["a"]), json!({"open": true})).await;
    let upload = open(server, json!(["a", "b"]), json!({"open": true, "expected": 600})).await;
    assert_eq!((number(&upload, "expected"), &upload["sealed"]), (600, &json!(false)), "{upload}");
    let done = server.finished(&upload).await;
    assert_eq!((&done["state"], &done["sealed"]), (&json!("succeeded"), &json!(true)), "{done}");
    assert_eq!((&done["reason"], number(&done, "total")), (&json!("upload_stopped"), 2), "{done}");
    let log = server.get(&format!("/audit?act=batch.seal&object={}", id(&upload))).await.ok();
    let entry = &log["entries"][0];
    assert_eq!((&entry["who"], &entry["detail"]), (&json!("milepost"), &json!("upload_stopped")), "{log}");
    let waits = server.get(&format!("/batches/{}", id(&forever))).await.ok();
    assert_eq!((&waits["sealed"], &waits["expected"]), (&json!(false), &json!(null)), "{waits}");
    let more = format!("/batches/{}/items?first_seq=3", id(&upload));
    server.post_json(&more, &json!({"items": ["c"]})).await.problem(409, "wrong_state");
}

#[tokio::test]
async fn an_upload_that_stops_is_sealed_and_what_came_is_run() {
    stops(&TestServer::start_with(&[(SECONDS, "1")]).await).await;
}

#[tokio::test]
async fn an_upload_that_stops_is_sealed_on_postgres_too() {
    let Some(cluster) = Cluster::own() else { return };
    let server = TestServer::start_on(Some(&cluster), &[(SECONDS, "1")]).await.expect("there is a cluster");
    stops(&server).await;
}

#[tokio::test]
async fn an_upload_to_which_nothing_came_is_cancelled() {
    let server = TestServer::start_with(&[(SECONDS, "1")]).await;
    let upload = open(&server, json!([]), json!({"open": true, "expected": 3})).await;
    let done = server.finished(&upload).await;
    assert_eq!(done["state"], "cancelled", "{done}");
    assert_eq!(done["reason"], "the upload stopped before any of its 3 items came");
}

#[tokio::test]
async fn a_batch_may_have_a_limit_of_its_own() {
    let server = TestServer::start_with(&[(SECONDS, "0")]).await;
    let never = open(&server, json!(["a"]), json!({"open": true, "expected": 2})).await;
    let soon = open(&server, json!(["a"]), json!({"open": true, "expected": 2, "idle_seconds": 1})).await;
    assert_eq!(server.finished(&soon).await["reason"], "upload_stopped");
    assert_eq!(server.get(&format!("/batches/{}", id(&never))).await.ok()["sealed"], false);
    for options in [json!({"expected": 5}), json!({"open": true, "expected": 0})] {
        let body = json!({"task": "demo", "items": ["a"], "options": options});
        let problem = server.post_json("/batches", &body).await.problem(422, "invalid");
        assert!(problem["detail"].as_str().unwrap().contains("expected"), "{problem}");
    }
}
