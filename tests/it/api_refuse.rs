//! What is refused, and how: every code of SURFACE §6 that a client can provoke.
//!
//! Every refusal is a problem with its stable code, unknown addresses included.

use reqwest::Method;
use serde_json::json;

use super::support::{TestServer, id, send};

#[tokio::test]
async fn nobody_is_let_in_without_a_token() {
    let server = TestServer::start().await;
    for path in ["/tasks", "/batches", "/nodes", "/nowhere", "/batches/x/results"] {
        send(server.client.get(server.url(path))).await.problem(401, "not_signed_in");
        send(server.client.get(server.url(path)).bearer_auth("wrong")).await.problem(401, "not_signed_in");
    }
}

#[tokio::test]
async fn addresses_and_methods() {
    let server = TestServer::start().await;
    for path in ["/nowhere", "/batches/a/b/c/d", "/tasks/"] {
        server.get(path).await.problem(404, "not_found");
    }
    let there_is_none = "0198a7b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
    for tail in ["", "/items", "/items/1", "/items/1/log", "/items/1/files/a", "/families", "/results"] {
        server.get(&format!("/batches/{there_is_none}{tail}")).await.problem(404, "not_found");
        server.get(&format!("/batches/nonsense{tail}")).await.problem(400, "malformed");
    }
    for act in ["pause", "resume", "cancel", "retry", "seal"] {
        server.post(&format!("/batches/{there_is_none}/{act}")).await.problem(404, "not_found");
    }
    server.get(&format!("/batches/{there_is_none}/items/first")).await.problem(400, "malformed");
    let wrong = send(server.request(Method::PUT, "/batches")).await;
    wrong.problem(405, "wrong_method");
    assert!(wrong.header("allow").contains("POST"), "{wrong:?}");
}

#[tokio::test]
async fn bodies_that_are_not_acceptable() {
    let server = TestServer::start_with(&[("MILEPOST_LIMITS_JSON_BODY_BYTES_MAX", "4096")]).await;
    let refused = async |body: &str, status: u16, code: &str| {
        server.post_body("/batches", "application/json", body.to_owned()).await.problem(status, code)
    };
    refused("{", 400, "malformed").await;
    refused("", 400, "malformed").await;
    refused("[]", 422, "invalid").await;
    refused(r#"{"items":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","itmes":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"nothing","items":[1]}"#, 422, "unknown_task").await;
    refused(r#"{"task":"demo","params":{"duration_ms":"long"},"items":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","params":{"colour":1},"items":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","params":[],"items":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","options":{"attempts_max":0},"items":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","options":{"prio":1},"items":[1]}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","items":"x"}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","items":{"count":-1}}"#, 422, "invalid").await;
    refused(r#"{"task":"demo","items":{"count":0}}"#, 422, "no_items").await;
    refused(r#"{"task":"demo","items":[]}"#, 422, "no_items").await;
    refused(r#"{"task":"demo"}"#, 422, "no_items").await;
    refused(r#"{"task":"checksum","items":["x"]}"#, 422, "invalid").await;
    refused(r#"{"task":"checksum","items":{"count":3}}"#, 422, "invalid").await;
    refused(&format!(r#"{{"task":"demo","items":["{}"]}}"#, "x".repeat(5000)), 413, "too_large").await;

    let other = server.post_body("/batches?task=demo", "application/xml", "<a/>").await;
    assert!(other.problem(415, "unsupported_type")["detail"].as_str().unwrap().contains("text/csv"));
    send(server.request(Method::POST, "/batches?task=demo").body("a")).await.problem(415, "unsupported_type");
    for (query, kind, body, code) in [
        ("", "text/plain", "a\n", "invalid"),
        ("?task=nothing", "text/plain", "a\n", "unknown_task"),
        ("?task=demo", "text/plain", "\u{feff}\n\r\n\n", "no_items"),
        ("?task=demo", "text/plain", "", "no_items"),
        ("?task=demo", "text/csv", "a,b\n", "no_items"),
        ("?task=demo", "application/x-ndjson", " \n\n", "no_items"),
        ("?task=demo&params=%7B%22x%22%3A1%7D", "text/plain", "a\n", "invalid"),
        ("?task=demo&options=%7B%22x%22%3A1%7D", "text/plain", "a\n", "invalid"),
        ("?task=checksum", "text/plain", "a\n", "invalid"),
        ("?task=csv-check", "text/plain", "a\n", "invalid"),
        ("?task=demo&delimiter=ab", "text/csv", "a\n1\n", "invalid"),
    ] {
        let reply = server.post_body(&format!("/batches{query}"), kind, body).await;
        assert_eq!(reply.problem(422, code)["line"], json!(null), "{query} {body:?}");
    }
    server.post_body("/batches?task=demo&params=%7B", "text/plain", "a\n").await.problem(400, "malformed");
    server.post_body("/batches", "multipart/form-data", "x").await.problem(400, "malformed");
    let page = server.get("/batches").await.ok();
    assert_eq!(page["batches"], json!([]), "nothing that was refused before its first item is there");
}

#[tokio::test]
async fn streams_over_the_limit_are_too_large() {
    let server = TestServer::start_with(&[("MILEPOST_LIMITS_UPLOAD_BYTES_MAX", "2048")]).await;
    let body = "x\n".repeat(4_000);
    server.post_body("/batches?task=demo", "text/plain", body.clone()).await.problem(413, "too_large");
    let pieces = futures_util::stream::iter(
        (0..80).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from("x\n".repeat(50)))),
    );
    let reply = server
        .post_body("/batches?task=demo&name=big", "text/plain", reqwest::Body::wrap_stream(pieces))
        .await;
    reply.problem(413, "too_large");
    // What had been stored by then stays, cancelled.
    if let Some(batch) = server.named("big").await {
        assert_eq!(server.finished(&batch).await["state"], "cancelled");
    }
}

#[tokio::test]
async fn roles_and_owners() {
    let server = TestServer::start().await;
    let (viewer, ada, bob) = (
        server.make_token("watch", "viewer").await,
        server.make_token("ada", "operator").await,
        server.make_token("bob", "operator").await,
    );
    let asked = async |token: &str, method: Method, path: &str, body: &serde_json::Value| {
        send(server.client.request(method, server.url(path)).bearer_auth(token).json(body)).await
    };
    let none = json!({});
    let create = json!({"task": "demo", "params": {"duration_ms": 50}, "items": {"count": 1000}});
    asked(&viewer, Method::POST, "/batches", &create).await.problem(403, "not_allowed");
    let batch = asked(&ada, Method::POST, "/batches", &create).await.ok();
    let path = format!("/batches/{}", id(&batch));
    assert_eq!(asked(&viewer, Method::GET, &path, &none).await.ok()["owner"], "token:ada");
    asked(&viewer, Method::POST, &format!("{path}/pause"), &none).await.problem(403, "not_allowed");
    asked(&bob, Method::POST, &format!("{path}/pause"), &none).await.problem(403, "not_allowed");
    asked(&ada, Method::POST, &format!("{path}/pause"), &none).await.ok();
    asked(&ada, Method::POST, "/nodes/x/drain", &none).await.problem(403, "not_allowed");

    let mut private = create.clone();
    private["options"] = json!({"private": true});
    let hidden = asked(&ada, Method::POST, "/batches", &private).await.ok();
    for tail in ["", "/items", "/families", "/results"] {
        let path = format!("/batches/{}{tail}", id(&hidden));
        asked(&bob, Method::GET, &path, &none).await.problem(404, "not_found");
        assert!(asked(&ada, Method::GET, &path, &none).await.status.is_success());
        assert!(server.get(&path).await.status.is_success(), "an admin sees all");
    }
    let seen = asked(&bob, Method::GET, "/batches", &none).await.ok();
    assert_eq!(seen["batches"].as_array().unwrap().len(), 1);
    for batch in [&batch, &hidden] {
        server.post(&format!("/batches/{}/cancel", id(batch))).await.ok();
    }
}

#[tokio::test]
async fn json_nested_too_deep_is_refused_at_the_door() {
    let server = TestServer::start().await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let json = "application/json";
    for levels in [101, 100_000] {
        let items = format!(r#"{{"task":"demo","items":[{}]}}"#, deep(levels));
        server.post_body("/batches", json, items).await.problem(422, "invalid");
        let params = format!(r#"{{"task":"demo","items":[1],"params":{}}}"#, deep(levels));
        server.post_body("/batches", json, params).await.problem(422, "invalid");
        let lines = format!("1\n{}\n", deep(levels));
        let reply = server.post_body("/batches?task=demo", "application/x-ndjson", lines).await;
        assert_eq!(reply.problem(422, "invalid")["line"], 2);
    }
    let items = format!(r#"{{"task":"demo","items":[{}]}}"#, deep(100));
    let batch = server.post_body("/batches", json, items).await.ok();
    assert!(server.get(&format!("/batches/{}/items", id(&batch))).await.text.contains(&deep(100)));
}

#[tokio::test]
async fn a_list_is_no_object_and_a_retry_takes_ends_only() {
    let server = TestServer::start().await;
    for body in [
        json!(["demo", "name", {}, {}, {"count": 1}]),
        json!({"task": "demo", "items": [1], "options": [5]}),
        json!({"task": "demo", "items": [1], "options": {"budget": [2, 50]}}),
    ] {
        server.post_json("/batches", &body).await.problem(422, "invalid");
    }
    server.post_body("/batches?task=demo&options=%5B5%5D", "text/plain", "a\n").await.problem(422, "invalid");
    let batch = server.demo(1, json!({})).await;
    server.finished(&batch).await;
    let retry = format!("/batches/{}/retry", id(&batch));
    server.post_json(&retry, &json!([])).await.problem(422, "invalid");
    server.post_json(&retry, &json!({"states": ["running"]})).await.problem(422, "invalid");
    server.post_json(&retry, &json!({"states": ["failed", "cancelled"]})).await.ok();
}
