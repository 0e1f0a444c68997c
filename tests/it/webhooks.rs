//! Webhooks against a receiver: signed, sent again until they are taken, guarded, and logged.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::cluster::Cluster;
use super::support::receiver::Receiver;
use super::support::{PATIENCE, TestServer, id, number, send};

const ALLOW: (&str, &str) = ("MILEPOST_WEBHOOKS_ALLOW", "127.0.0.0/8");

async fn submit(server: &TestServer, url: &str) -> Value {
    let body = json!({"task": "demo", "name": "told", "items": {"count": 3}, "options": {"webhook": url}});
    server.post_json("/batches", &body).await.ok()
}

async fn secret(server: &TestServer) -> String {
    server.get("/webhooks/secret").await.ok()["secret"].as_str().unwrap().to_owned()
}

/// The only delivery for `batch`, once it is as `done` says.
async fn delivery(server: &TestServer, batch: &Value, done: impl Fn(&Value) -> bool) -> Value {
    let looks = async {
        loop {
            let page = server.get(&format!("/webhooks/deliveries?batch={}", id(batch))).await.ok();
            let found = page["deliveries"].as_array().unwrap();
            assert!(found.len() <= 1, "{page}");
            if let Some(found) = found.first().filter(|found| done(found)) {
                return found.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("the delivery comes so far")
}

fn is(state: &str) -> impl Fn(&Value) -> bool {
    move |delivery| delivery["state"] == state
}

async fn history(server: &TestServer, delivery: &Value) -> Vec<Value> {
    let path = format!("/webhooks/deliveries/{}", delivery["id"].as_str().unwrap());
    server.get(&path).await.ok()["history"].as_array().unwrap().clone()
}

async fn a_batch_that_ends_is_told_once_and_signed(server: &TestServer) {
    let mut receiver = Receiver::start().await;
    let batch = submit(server, &receiver.url()).await;
    let came = receiver.next().await;
    assert!(came.is_signed_with(&secret(server).await));
    assert!(!came.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    assert_eq!(came.headers["content-type"], "application/json");
    assert_eq!(came.id(), format!("msg_{}_1", id(&batch)));
    let message = came.json();
    assert_eq!(message["type"], "batch.finished");
    let done = server.finished(&batch).await;
    assert_eq!(message["timestamp"], done["finished_at"], "{message}");
    // What it says is what the batch is at its end.
    assert_eq!(message["data"], done);
    let told = delivery(server, &batch, is("delivered")).await;
    assert_eq!((number(&told, "attempts"), number(&told, "status")), (1, 200));
    assert_eq!((&told["url"], &told["error"]), (&json!(receiver.url()), &Value::Null));
    let attempts = history(server, &told).await;
    assert_eq!((attempts.len(), &attempts[0]["answer"]), (1, &json!("thanks")));

    // A batch that is retried ends twice.
    let failing = json!({"task": "demo", "params": {"fail_rate": 1}, "items": {"count": 2},
        "options": {"webhook": receiver.url(), "attempts_max": 1}});
    let failing = server.post_json("/batches", &failing).await.ok();
    let first = receiver.next().await;
    server.finished(&failing).await;
    server.post(&format!("/batches/{}/retry", id(&failing))).await.ok();
    let second = receiver.next().await;
    assert_eq!(first.id(), format!("msg_{}_1", id(&failing)));
    assert_eq!(second.id(), format!("msg_{}_2", id(&failing)));
    assert_eq!(second.json()["data"]["state"], "failed");
    assert!(receiver.at_hand().is_empty());
}

#[tokio::test]
async fn a_batch_that_ends_is_told_once_and_signed_on_sqlite() {
    a_batch_that_ends_is_told_once_and_signed(&TestServer::start_with(&[ALLOW]).await).await;
}

#[tokio::test]
async fn a_batch_that_ends_is_told_once_and_signed_on_postgres() {
    if let Some(server) = TestServer::start_on(Cluster::shared(), &[ALLOW]).await {
        let other = server.beside("other", "web").await;
        a_batch_that_ends_is_told_once_and_signed(&server).await;
        drop(other);
    }
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_under_the_same_name() {
    let server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = Receiver::start().await;
    receiver.answer_status(500);
    let batch = submit(&server, &receiver.url()).await;
    let first = receiver.next().await;
    let waiting = delivery(&server, &batch, |delivery| number(delivery, "attempts") == 1).await;
    assert_eq!((&waiting["state"], number(&waiting, "status")), (&json!("waiting"), 500));
    assert_eq!(waiting["error"], "the answer was 500");
    assert!(waiting["next_at"].as_str().unwrap() > waiting["created_at"].as_str().unwrap());
    // After five seconds, by itself.
    let second = receiver.next().await;
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    assert!(second.is_signed_with(&secret(&server).await));
    let told = delivery(&server, &batch, is("delivered")).await;
    assert_eq!(
        (number(&told, "attempts"), &told["error"], &told["next_at"]),
        (2, &Value::Null, &Value::Null)
    );
    let statuses: Vec<u64> = history(&server, &told).await.iter().map(|row| number(row, "status")).collect();
    assert_eq!(statuses, [500, 200]);
}

#[tokio::test]
async fn answers_that_are_none_fail_and_can_be_sent_again_at_once() {
    let server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = Receiver::start().await;
    // A redirect to where nobody may go is not followed.
    receiver.answer_with(StatusCode::FOUND, "location", "http://169.254.169.254/");
    let batch = submit(&server, &receiver.url()).await;
    receiver.next().await;
    let moved = delivery(&server, &batch, |delivery| number(delivery, "attempts") == 1).await;
    assert_eq!(moved["error"], "the answer was 302: redirects are not followed");

    // An answer that goes on for ever is read no further than is kept of it.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
    receiver.answer(Response::new(Body::from_stream(endless)));
    let path = format!("/webhooks/deliveries/{}/redeliver", moved["id"].as_str().unwrap());
    let again = server.post(&path).await.ok();
    assert_eq!(again["state"], "waiting");
    receiver.next().await;
    let told = delivery(&server, &batch, is("delivered")).await;
    let rows = history(&server, &told).await;
    assert_eq!(rows[1]["answer"].as_str().unwrap(), "x".repeat(1_024));

    // One that was delivered can be sent once more.
    server.post(&path).await.ok();
    receiver.next().await;
    delivery(&server, &batch, |delivery| number(delivery, "attempts") == 3).await;
    server.post("/webhooks/deliveries/msg_nobody/redeliver").await.problem(404, "not_found");
}

#[tokio::test]
async fn nobody_there_ends_all_that_wait_for_the_address() {
    let server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = Receiver::start().await;
    receiver.answer_with(StatusCode::SERVICE_UNAVAILABLE, "retry-after", "3600");
    let first = submit(&server, &receiver.url()).await;
    receiver.next().await;
    let waiting = delivery(&server, &first, |delivery| number(delivery, "attempts") == 1).await;
    let asked = |name: &str| {
        time::OffsetDateTime::parse(
            waiting[name].as_str().unwrap(),
            &time::format_description::well_known::Rfc3339,
        )
        .unwrap()
    };
    assert!((asked("next_at") - asked("created_at")).whole_seconds() > 3_500, "{waiting}");
    receiver.answer_status(410);
    let second = submit(&server, &receiver.url()).await;
    receiver.next().await;
    for batch in [&first, &second] {
        let given_up = delivery(&server, batch, is("failed")).await;
        assert!(given_up["error"].as_str().unwrap().contains("410"), "{given_up}");
    }
}

#[tokio::test]
async fn what_only_the_server_can_reach_is_not_called() {
    let server = TestServer::start().await;
    let mut receiver = Receiver::start().await;
    let port = receiver.port;
    let hosts =
        ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]"];
    for host in hosts {
        let batch = submit(&server, &format!("http://{host}:{port}/")).await;
        let refused = delivery(&server, &batch, is("failed")).await;
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains("[webhooks] allow"), "{host}: {error}");
        assert_eq!(number(&refused, "attempts"), 1, "{refused}");
    }
    assert!(receiver.at_hand().is_empty());
    // A name that the operator allows is called wherever it is.
    let server = TestServer::start_with(&[("MILEPOST_WEBHOOKS_ALLOW", "localhost")]).await;
    submit(&server, &format!("http://localhost:{port}/")).await;
    receiver.next().await;
    let batch = submit(&server, &format!("http://127.0.0.1:{port}/")).await;
    delivery(&server, &batch, is("failed")).await;
}

#[tokio::test]
async fn addresses_are_checked_before_a_batch_is_made() {
    let server = TestServer::start().await;
    for url in [
        "",
        "hooks.example",
        "ftp://a.example/",
        "https://ada:pw@a.example/",
        "https://a.example/#x",
        "file:///etc/passwd",
    ] {
        let body = json!({"task": "demo", "items": {"count": 1}, "options": {"webhook": url}});
        let problem = server.post_json("/batches", &body).await.problem(422, "invalid");
        assert!(problem["detail"].as_str().unwrap().contains("options.webhook"), "{problem}");
    }
    assert!(server.get("/batches").await.ok()["batches"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_changed_secret_signs_beside_the_old_one_for_a_day() {
    let server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = Receiver::start().await;
    let old = secret(&server).await;
    assert_eq!(old, secret(&server).await);
    let changed = server.post("/webhooks/secret/rotate").await.ok();
    let new = changed["secret"].as_str().unwrap();
    assert!(new != old && changed["previous_until"].is_string(), "{changed}");
    submit(&server, &receiver.url()).await;
    let came = receiver.next().await;
    assert!(came.is_signed_with(&old) && came.is_signed_with(new));
    server.post("/webhooks/secret/rotate").await.ok();
    submit(&server, &receiver.url()).await;
    let came = receiver.next().await;
    assert!(!came.is_signed_with(&old) && came.is_signed_with(new));
}

#[tokio::test]
async fn deliveries_are_their_owners() {
    let server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = Receiver::start().await;
    let tokens = [
        server.make_token("ada", "operator").await,
        server.make_token("bob", "operator").await,
        server.make_token("eve", "viewer").await,
    ];
    let ask = |token: &str, method: Method, path: &str| {
        server.client.request(method, server.url(path)).bearer_auth(token)
    };
    let body = json!({"task": "demo", "items": {"count": 1}, "options": {"webhook": receiver.url()}});
    let batch = send(ask(&tokens[0], Method::POST, "/batches").json(&body)).await.ok();
    let came = receiver.next().await;
    let own = send(ask(&tokens[0], Method::GET, "/webhooks/secret")).await.ok();
    assert!(came.is_signed_with(own["secret"].as_str().unwrap()));
    assert!(!came.is_signed_with(&secret(&server).await), "each has a secret of their own");
    let told = delivery(&server, &batch, is("delivered")).await;
    let path = format!("/webhooks/deliveries/{}", told["id"].as_str().unwrap());
    let seen = |page: Value| page["deliveries"].as_array().unwrap().len();
    assert_eq!(seen(send(ask(&tokens[0], Method::GET, "/webhooks/deliveries")).await.ok()), 1);
    assert_eq!(seen(send(ask(&tokens[1], Method::GET, "/webhooks/deliveries")).await.ok()), 0);
    assert_eq!(seen(server.get("/webhooks/deliveries").await.ok()), 1, "an admin sees all");
    send(ask(&tokens[1], Method::GET, &path)).await.problem(404, "not_found");
    send(ask(&tokens[1], Method::POST, &format!("{path}/redeliver"))).await.problem(404, "not_found");
    for (method, path) in [
        (Method::GET, "/webhooks/deliveries"),
        (Method::GET, "/webhooks/secret"),
        (Method::POST, "/webhooks/secret/rotate"),
    ] {
        send(ask(&tokens[2], method, path)).await.problem(403, "not_allowed");
    }
    // The address may be a secret: others see the batch, and not where it tells of its end.
    let page = |token: String| {
        let request = server.client.get(format!("{}/batches/{}?tab=settings", server.base, id(&batch)));
        async move { send(request.bearer_auth(token).header("accept", "text/html")).await.text }
    };
    assert!(page(tokens[0].clone()).await.contains("s3cret"));
    let theirs = page(tokens[1].clone()).await;
    assert!(theirs.contains("shown to its owner") && !theirs.contains("s3cret"), "{theirs}");
}

/// A server that is killed while it tells, at any moment: each end is told, and always by the same name.
#[tokio::test]
async fn no_end_is_untold_over_kills() {
    let mut server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = Receiver::start().await;
    let mut owed = std::collections::BTreeSet::new();
    for _round in 0..4 {
        for _batch in 0..5 {
            let batch = submit(&server, &receiver.url()).await;
            owed.insert(format!("msg_{}_1", id(&batch)));
        }
        // As soon as one of them is told, others are on their way.
        let came = receiver.next().await;
        owed.remove(came.id());
        server.kill().await;
        server.spawn_again().await;
    }
    while !owed.is_empty() {
        // What was claimed and not recorded is claimed again after a minute.
        let came = tokio::time::timeout(2 * PATIENCE, receiver.next()).await.expect("all are told");
        owed.remove(came.id());
    }
    let page = server.get("/webhooks/deliveries?limit=500").await.ok();
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn the_documented_receiver_believes_what_is_genuine() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/webhooks.md")).unwrap();
    let (_, block) = document.split_once("\n```python\n").unwrap();
    let (script, _) = block.split_once("\n```").unwrap();
    let server = TestServer::start_with(&[ALLOW]).await;
    let mut receiver = tokio::process::Command::new("python3")
        .args(["-c", script])
        .env("WEBHOOK_SECRET", secret(&server).await)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines();
    let mut line =
        async || tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap().unwrap();
    let port = line().await.strip_prefix("listening on ").unwrap().to_owned();
    let batch = submit(&server, &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(line().await, "told succeeded");
    let told = delivery(&server, &batch, is("delivered")).await;
    assert_eq!(number(&told, "status"), 204);
    // Of somebody else's batch it believes nothing.
    let other = server.make_token("bob", "operator").await;
    let body = json!({"task": "demo", "items": {"count": 1}, "options": {"webhook": format!("http://127.0.0.1:{port}/")}});
    let request = server.client.post(server.url("/batches")).bearer_auth(other).json(&body);
    let forged = send(request).await.ok();
    let refused = delivery(&server, &forged, |delivery| number(delivery, "attempts") == 1).await;
    assert_eq!(number(&refused, "status"), 401);
}
