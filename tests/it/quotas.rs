//! How much one person may have: what is refused, with which figures, and that it can be had again.
//!
//! Looked at by several requests at the same moment, on both databases: none passes the quota.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{Reply, TestServer, id, number, send};

const QUOTAS: &str = r#"
[quotas]
stored_bytes_max = 100000
items_max = 50
batches_max = 3

[quotas.people."token:brisk"]
batches_per_minute_max = 2

[quotas.people."token:free"]
"#;

async fn server_with_quotas(cluster: Option<&Cluster>) -> TestServer {
    let url = cluster.map(Cluster::database);
    let mut settings = vec![("MILEPOST_CONFIG", "milepost.toml")];
    settings.extend(url.as_deref().map(|url| ("MILEPOST_DATABASE_URL", url)));
    let mut server = TestServer::bare(&settings);
    std::fs::write(server.folder.path().join("milepost.toml"), QUOTAS).unwrap();
    server.token = server.make_token("ada", "operator").await;
    server.spawn().await;
    server
}

fn waiting(count: u64) -> Value {
    json!({"task": "demo", "params": {"duration_ms": 60_000}, "items": {"count": count}})
}

fn figures(refusal: &Value) -> (u64, u64) {
    (number(refusal, "limit"), number(refusal, "used"))
}

async fn upload(server: &TestServer, bytes: usize) -> Reply {
    let part = reqwest::multipart::Part::bytes(vec![7_u8; bytes]).file_name("a.bin");
    let form = reqwest::multipart::Form::new().text("task", "checksum").part("file", part);
    send(server.request(Method::POST, "/batches").multipart(form)).await
}

async fn quotas_hold(server: &TestServer) {
    // Items that have not ended.
    let first = server.post_json("/batches", &waiting(30)).await.ok();
    let refused = server.post_json("/batches", &waiting(21)).await;
    assert_eq!(figures(&refused.problem(429, "too_many")), (50, 30));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    let second = server.post_json("/batches", &waiting(20)).await.ok();
    server.post_json("/batches", &waiting(1)).await.problem(429, "too_many");

    // What has ended makes room.
    server.post(&format!("/batches/{}/cancel", id(&first))).await.ok();
    server.finished(&first).await;
    let third = server.post_json("/batches", &waiting(1)).await.ok();
    let fourth = server.post_json("/batches", &waiting(1)).await.ok();

    // Batches at once; and of many at the same moment none passes.
    let refused = server.post_json("/batches", &waiting(1)).await.problem(429, "too_many");
    assert_eq!(figures(&refused), (3, 3));
    for batch in [&second, &third, &fourth] {
        server.post(&format!("/batches/{}/cancel", id(batch))).await.ok();
        server.finished(batch).await;
    }
    let all = futures_util::future::join_all((0..12).map(|_| {
        let request = server.request(Method::POST, "/batches").json(&waiting(1));
        send(request)
    }))
    .await;
    let made: Vec<Value> =
        all.iter().filter(|reply| reply.status == StatusCode::CREATED).map(Reply::json).collect();
    assert_eq!(made.len(), 3, "{all:?}");
    for batch in &made {
        server.post(&format!("/batches/{}/cancel", id(batch))).await.ok();
        server.finished(batch).await;
    }

    // Bytes of files, whichever way they come; a batch that is deleted gives them back.
    let held = server.finished(&upload(server, 60_000).await.ok()).await;
    let refused = upload(server, 60_000).await.problem(413, "too_large");
    assert_eq!(figures(&refused), (100_000, 60_000));
    server.finished(&upload(server, 30_000).await.ok()).await;
    let announced = server.post_json("/uploads", &json!({"name": "b.bin", "bytes": 20_000})).await;
    assert_eq!(figures(&announced.problem(413, "too_large")), (100_000, 90_000));
    assert_eq!(server.delete(&format!("/batches/{}", id(&held))).await.status.as_u16() / 100, 2);
    let deadline = std::time::Instant::now() + super::support::PATIENCE;
    loop {
        let reply = upload(server, 60_000).await;
        if reply.status == StatusCode::CREATED {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{reply:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }

    // A rate, of whoever has a quota of their own; and nothing of whoever has an empty one.
    let as_token = async |token: &str, body: &Value| {
        send(server.client.post(server.url("/batches")).bearer_auth(token).json(body)).await
    };
    let brisk = server.make_token("brisk", "operator").await;
    for _ in 0..2 {
        as_token(&brisk, &waiting(100)).await.ok();
    }
    let refused = as_token(&brisk, &waiting(1)).await;
    assert_eq!(figures(&refused.problem(429, "too_many")), (2, 2));
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{refused:?}");
    let free = server.make_token("free", "operator").await;
    for _ in 0..5 {
        as_token(&free, &waiting(60)).await.ok();
    }
}

#[tokio::test]
async fn quotas_hold_on_sqlite() {
    quotas_hold(&server_with_quotas(None).await).await;
}

#[tokio::test]
async fn quotas_hold_on_postgres() {
    if let Some(cluster) = Cluster::shared() {
        quotas_hold(&server_with_quotas(Some(cluster)).await).await;
    }
}

/// A body that passes the quota on its way ends its batch with the reason, and an append leaves what came before.
#[tokio::test]
async fn a_stream_ends_at_the_quota() {
    let server = server_with_quotas(None).await;
    let lines = |count: usize| "x\n".repeat(count);
    let path = "/batches?task=demo&name=long&params={\"duration_ms\":60000}";
    let refused = server.post_body(path, "text/plain", lines(51)).await;
    refused.problem(429, "too_many");
    let left = server.named("long").await.expect("it is told");
    assert_eq!((left["state"].as_str(), number(&left, "total")), (Some("cancelled"), 0), "{left}");
    assert!(left["reason"].as_str().unwrap().contains("50 items"), "{left}");
    let path = "/batches?task=demo&name=open&params={\"duration_ms\":60000}&options={\"open\":true}";
    let open = server.post_body(path, "text/plain", lines(40)).await.ok();
    let more = format!("/batches/{}/items?first_seq=41", id(&open));
    server.post_body(&more, "text/plain", lines(11)).await.problem(429, "too_many");
    let after = server.post_body(&more, "text/plain", lines(10)).await.ok();
    assert_eq!(number(&after, "total"), 50);
}
