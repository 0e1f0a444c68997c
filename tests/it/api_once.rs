//! `Idempotency-Key`: one batch, however often it is sent.
//!
//! SURFACE §6, over restarts too.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::raw::RawRequest;
use super::support::{Reply, TestServer, id, number, send};

async fn create(server: &TestServer, key: &str, query: &str, kind: &str, body: &str) -> Reply {
    let request = server.request(Method::POST, &format!("/batches{query}")).header("idempotency-key", key);
    send(request.header("content-type", kind).body(body.to_owned())).await
}

async fn batches(server: &TestServer) -> usize {
    server.get("/batches?limit=500").await.ok()["batches"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_request_makes_one_batch() {
    let mut server = TestServer::start().await;
    let text =
        async |server: &TestServer, body: &str| create(server, "k1", "?task=demo", "text/plain", body).await;
    let first = text(&server, "a\nb\n").await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = text(&server, "a\nb\n").await;
    assert_eq!((again.status.as_u16(), id(&again.json())), (200, id(&first.json())));
    assert_eq!(again.header("location"), first.header("location"));
    text(&server, "a\nc\n").await.problem(422, "idempotency_mismatch");
    create(&server, "k1", "?task=demo&name=x", "text/plain", "a\nb\n")
        .await
        .problem(422, "idempotency_mismatch");
    create(&server, "k1", "?task=demo", "text/csv", "a\nb\n").await.problem(422, "idempotency_mismatch");
    for bad in ["a b", &"k".repeat(256)] {
        create(&server, bad, "?task=demo", "text/plain", "a\n").await.problem(400, "malformed");
    }

    let json_body = json!({"task": "demo", "items": {"count": 3}}).to_string();
    let numbers = create(&server, "k2", "", "application/json", &json_body).await.ok();
    let again = create(&server, "k2", "", "application/json", &json_body).await;
    assert_eq!((again.status.as_u16(), id(&again.json())), (200, id(&numbers)));

    let other = server.make_token("other", "operator").await;
    let request = server.client.post(server.url("/batches?task=demo")).bearer_auth(other);
    let request = request.header("idempotency-key", "k1").header("content-type", "text/plain").body("a\nb\n");
    assert_eq!(send(request).await.status, 201, "keys are each caller's own");
    assert_eq!(batches(&server).await, 3);

    server.kill().await;
    server.spawn().await;
    let again = text(&server, "a\nb\n").await;
    assert_eq!((again.status.as_u16(), id(&again.json())), (200, id(&first.json())), "over restarts");
    text(&server, "z\n").await.problem(422, "idempotency_mismatch");
}

#[tokio::test]
async fn forms_are_compared_by_content() {
    let server = TestServer::start().await;
    let post = async |content: &str| {
        let part = reqwest::multipart::Part::bytes(content.as_bytes().to_vec()).file_name("a");
        let form = reqwest::multipart::Form::new().text("task", "checksum").part("file", part);
        let request = server.request(Method::POST, "/batches").header("idempotency-key", "f");
        send(request.multipart(form)).await
    };
    let first = post("x").await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = post("x").await;
    assert_eq!((again.status.as_u16(), id(&again.json())), (200, id(&first.json())), "whatever the boundary");
    post("y").await.problem(422, "idempotency_mismatch");
    assert_eq!(batches(&server).await, 1);
}

#[tokio::test]
async fn refused_and_cut_bodies_free_the_key() {
    let mut server = TestServer::start().await;
    let refused = create(&server, "k", "?task=demo&name=bad", "application/x-ndjson", "1\n{\n").await;
    refused.problem(422, "invalid");
    let headers = ["Content-Type: text/plain", "Content-Length: 1000", "Idempotency-Key: k"];
    let mut cut = RawRequest::post(&server, "/batches?task=demo&name=cut", &headers).await;
    cut.send(b"one\ntwo\n").await;
    let batch = loop {
        if let Some(batch) = server.named("cut").await {
            break batch;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let busy = create(&server, "k", "?task=demo", "text/plain", "a\n").await;
    busy.problem(409, "idempotency_in_flight");
    assert!(busy.header("retry-after").parse::<u64>().is_ok(), "{busy:?}");
    cut.cut().await;
    server.finished(&batch).await;
    let retried = async |server: &TestServer| loop {
        let reply = create(server, "k", "?task=demo", "text/plain", "a\n").await;
        if reply.status != 409 {
            return reply;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let made = retried(&server).await;
    assert_eq!(made.status, 201, "{made:?}");

    // A server that is killed in the middle of a body leaves the key free too.
    let headers = ["Content-Type: text/plain", "Content-Length: 1000", "Idempotency-Key: killed"];
    let mut open = RawRequest::post(&server, "/batches?task=demo&name=killed", &headers).await;
    open.send(b"one\ntwo\n").await;
    while server.named("killed").await.is_none_or(|batch| number(&batch, "total") < 2) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server.kill().await;
    server.spawn().await;
    let reply = create(&server, "killed", "?task=demo", "text/plain", "a\n").await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let left = server.named("killed").await.unwrap();
    let left = server.finished(&left).await;
    assert_eq!((&left["state"], left["reason"].is_null()), (&json!("cancelled"), false), "{left}");
    assert_ne!(left["reason"], Value::Null);
}
