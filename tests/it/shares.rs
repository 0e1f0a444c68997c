//! Share links: what whoever has one sees, and that it is nothing else.
//!
//! Nobody here is signed in but who makes the links.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::live_client::LiveClient;
use super::support::{PATIENCE, Reply, TestServer, id, number, send};

/// What no masked link may show: it is in the input, the result, the error and the parameters.
const SECRET_WORD: &str = "xylophone";

/// A caller without anything to come in by.
async fn open(server: &TestServer, path: &str) -> Reply {
    send(server.client.get(format!("{}{path}", server.base))).await
}

async fn page(server: &TestServer, path: &str) -> Reply {
    let request = server.client.get(format!("{}{path}", server.base)).header("accept", "text/html");
    send(request).await
}

async fn link(server: &TestServer, batch: &Value, body: &Value) -> (String, String) {
    let made = server.post_json(&format!("/batches/{}/shares", id(batch)), body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    let named = made["share_link"]["id"].as_str().unwrap().to_owned();
    (made["path"].as_str().unwrap().to_owned(), named)
}

/// A batch that is private, has failures, and holds the word in all that somebody has said.
async fn batch_with_payloads(server: &TestServer) -> Value {
    let body = json!({"task": "says", "name": "shared", "items": [SECRET_WORD, format!("bad {SECRET_WORD}")],
        "options": {"private": true}});
    let batch = server.post_json("/batches", &body).await.ok();
    let ended = server.finished(&batch).await;
    assert_eq!((number(&ended, "succeeded"), number(&ended, "failed")), (1, 1), "{ended}");
    ended
}

const TASKS: &str = r#"
[[task]]
name = "says"
input = "line"
command = ["sh", "-c", "echo \"$1\"; echo \"$1\" > \"$2/said.txt\"; case \"$1\" in bad*) echo \"$1\" >&2; exit 3;; esac", "sh", "{line}", "{out}"]
"#;

async fn links_show_what_they_say(server: &TestServer) {
    let batch = batch_with_payloads(server).await;
    let (masked, _) = link(server, &batch, &json!({})).await;
    let (shown, _) = link(server, &batch, &json!({"payloads": true, "expires_in_seconds": 3600})).await;
    let topics = ["progress", "strip", "families", "items/1-100"];

    // Progress by either, and nothing of what is in the batch by the masked one, in whatever shape.
    for path in [&masked, &shown] {
        let html = page(server, path).await;
        assert_eq!(html.status, 200, "{path}");
        assert!(html.text.contains("shared") && html.text.contains("role=\"progressbar\""), "{}", html.text);
        assert_eq!(html.text.contains(SECRET_WORD), *path == shown, "{path}");
        let text = open(server, &format!("{path}/status.txt")).await;
        assert_eq!((text.status, text.text.lines().next()), (StatusCode::OK, Some("shared")), "{text:?}");
        assert!(text.text.contains("2 of 2 items ended (100 %)"), "{}", text.text);
        let badge = open(server, &format!("{path}/badge.svg")).await;
        assert_eq!(badge.header("content-type"), "image/svg+xml");
        assert_eq!(badge.header("cross-origin-resource-policy"), "cross-origin");
        assert!(
            badge.text.starts_with("<svg ") && badge.text.contains("finished, 1 failed"),
            "{}",
            badge.text
        );
        for topic in topics {
            let query = format!("{path}/live/frames?topic=batch/{}/{topic}", id(&batch));
            let frames = open(server, &query).await.ok();
            let of_anybody = matches!(topic, "progress" | "strip");
            let told = frames.to_string();
            let refused = told.contains("not_found");
            assert_eq!(refused, *path == masked && !of_anybody, "{topic}: {told}");
            assert!(*path == shown || !told.contains(SECRET_WORD), "{topic}: {told}");
        }
        for part in ["results?format=ndjson", "results?format=csv", "items/1/files/said.txt"] {
            let reply = open(server, &format!("{path}/{part}")).await;
            let expected = if *path == shown { 200 } else { 403 };
            assert_eq!(reply.status, expected, "{path} {part}: {reply:?}");
            assert_eq!(reply.text.contains(SECRET_WORD), *path == shown, "{part}");
        }
        // Neither tells who made it, of what, or what else there is.
        for topic in ["batches".to_owned(), "nodes".to_owned(), format!("batch/{}", id(&batch))] {
            let frames = open(server, &format!("{path}/live/frames?topic={topic}")).await.ok().to_string();
            let whole = *path == shown && topic.starts_with("batch/");
            assert_eq!(frames.contains("not_found"), !whole, "{topic}: {frames}");
        }
    }

    // A link opens nothing but its own addresses, whatever it is sent as.
    let secret = masked.strip_prefix("/s/").unwrap();
    let of_batch = format!("/batches/{}", id(&batch));
    for path in [of_batch.as_str(), "/batches", "/nodes", "/tasks", "/audit", "/tokens", "/folders"] {
        for token in [secret.to_owned(), format!("mp_{secret}")] {
            let request = server.client.get(server.url(path)).bearer_auth(token);
            send(request).await.problem(401, "not_signed_in");
        }
        let cookie = server.client.get(server.url(path)).header("cookie", format!("milepost={secret}"));
        send(cookie).await.problem(401, "not_signed_in");
    }
    for path in ["/api/v1/batches", "/metrics", "/live/other", "/x"] {
        let reply = open(server, &format!("{masked}{path}")).await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
    for (method, path) in [(Method::POST, "results"), (Method::DELETE, "status.txt"), (Method::POST, "live")]
    {
        let reply = send(server.client.request(method, format!("{}{masked}/{path}", server.base))).await;
        assert!(reply.status.is_client_error(), "{path}: {reply:?}");
    }
    let other_item = format!("{shown}/items/1/files/../../../etc/passwd");
    assert_eq!(open(server, &other_item).await.status, 404);
}

#[tokio::test]
async fn links_show_what_they_say_on_sqlite() {
    let mut server = TestServer::bare(&[("MILEPOST_CONFIG", "milepost.toml")]);
    std::fs::write(server.folder.path().join("milepost.toml"), TASKS).unwrap();
    server.token = server.make_token("admin", "admin").await;
    server.spawn().await;
    links_show_what_they_say(&server).await;
}

async fn links_end(server: &TestServer) {
    let batch = server.demo(3, json!({"duration_ms": 60_000})).await;
    let shares = format!("/batches/{}/shares", id(&batch));
    let (path, named) = link(server, &batch, &json!({})).await;
    let topic = format!("batch/{}/progress", id(&batch));

    // Live by the page's own handshake; cut within a second of the revocation, and nothing after it.
    let mut live = LiveClient::connect_by_link(server, &path).await;
    live.subscribe(&topic, None).await;
    live.until(&topic, |known| !known.rows.is_empty()).await;
    let row = live.topics[&topic].rows.values().next().unwrap().clone();
    assert_eq!((&row["params"], &row["owner"]), (&json!({}), &json!("")), "{row}");
    let listed = server.get(&shares).await.ok();
    assert_eq!(listed["share_links"][0]["id"], named.as_str(), "{listed}");
    assert!(listed["share_links"][0]["used_at"].is_string(), "{listed}");
    assert!(!listed.to_string().contains(path.strip_prefix("/s/").unwrap()));
    let revoked_at = Instant::now();
    assert_eq!(server.delete(&format!("{shares}/{named}")).await.status, 204);
    while live.next().await.is_some() {}
    assert!(revoked_at.elapsed() < Duration::from_secs(4), "{:?}", revoked_at.elapsed());
    let after = page(server, &path).await;
    assert_eq!(after.status, 404);
    assert!(after.text.contains("This link shows nothing"), "{}", after.text);
    for part in ["/status.txt", "/badge.svg", "/results"] {
        open(server, &format!("{path}{part}")).await.problem(404, "not_found");
    }
    server.delete(&format!("{shares}/{named}")).await.problem(404, "not_found");

    // With its batch, too.
    let (path, _) = link(server, &batch, &json!({"payloads": true})).await;
    server.post(&format!("/batches/{}/cancel", id(&batch))).await.ok();
    server.finished(&batch).await;
    assert_eq!(open(server, &format!("{path}/status.txt")).await.status, 200);
    assert_eq!(server.delete(&format!("/batches/{}", id(&batch))).await.status.as_u16() / 100, 2);
    open(server, &format!("{path}/status.txt")).await.problem(404, "not_found");
    assert_eq!(page(server, &path).await.status, 404);
}

#[tokio::test]
async fn links_end_on_sqlite() {
    links_end(&TestServer::start().await).await;
}

#[tokio::test]
async fn links_end_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[]).await {
        links_end(&server).await;
    }
}

#[tokio::test]
async fn links_are_made_by_whoever_may_act() {
    let server = TestServer::start().await;
    let tokens = [
        ("ada", server.make_token("ada", "operator").await),
        ("bob", server.make_token("bob", "operator").await),
        ("eve", server.make_token("eve", "viewer").await),
    ];
    let ask = async |token: &str, method: Method, path: &str, body: &Value| {
        send(server.client.request(method, server.url(path)).bearer_auth(token).json(body)).await
    };
    let body = json!({"task": "demo", "items": {"count": 1}});
    let hers = ask(&tokens[0].1, Method::POST, "/batches", &body).await.ok();
    let shares = format!("/batches/{}/shares", id(&hers));
    let made = ask(&tokens[0].1, Method::POST, &shares, &json!({})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let named = made.json()["share_link"]["id"].as_str().unwrap().to_owned();
    for (_, token) in &tokens[1..] {
        ask(token, Method::POST, &shares, &json!({})).await.problem(403, "not_allowed");
        ask(token, Method::GET, &shares, &json!({})).await.problem(403, "not_allowed");
        ask(token, Method::DELETE, &format!("{shares}/{named}"), &json!({}))
            .await
            .problem(403, "not_allowed");
    }
    for bad in [
        json!({"expires_in_seconds": 59}),
        json!({"expires_in_seconds": 31_536_001_u64}),
        json!({"payload": true}),
        json!({"expires_in_seconds": null}),
    ] {
        ask(&tokens[0].1, Method::POST, &shares, &bad).await.problem(422, "invalid");
    }
    let other = server.demo(1, json!({})).await;
    let of_other = format!("/batches/{}/shares/{named}", id(&other));
    server.delete(&of_other).await.problem(404, "not_found");
    // As many as are bounded, and the act is in the log.
    for _ in 1..64 {
        assert_eq!(ask(&tokens[0].1, Method::POST, &shares, &json!({})).await.status, 201);
    }
    ask(&tokens[0].1, Method::POST, &shares, &json!({})).await.problem(429, "too_many");
    let log = server.get("/audit?act=share.add").await.ok();
    assert_eq!(log["entries"].as_array().unwrap().len(), 64, "{log}");
}

#[tokio::test]
async fn a_link_ends_when_its_time_has_come() {
    let server = TestServer::start().await;
    let batch = server.demo(1, json!({})).await;
    let (path, _) = link(&server, &batch, &json!({"expires_in_seconds": 60})).await;
    let status = format!("{path}/status.txt");
    assert_eq!(open(&server, &status).await.status, 200);
    let waits = async {
        while open(&server, &status).await.status.is_success() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, waits).await.expect("it ends after a minute");
}
